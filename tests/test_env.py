"""SearchQA-v0 as Gymnasium sees it, alone and in Gymnasium's vector environments."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import VectorEnv

from searchenv.env import SearchQAEnv
from searchenv.errors import EpisodeStateError, QuestionError
from searchenv.protocols import PROTOCOLS
from searchenv.retrieval import Retriever
from searchenv.rewards import Composite, Format, Outcome
from searchenv.types import (
    Hit,
    Limits,
    OnInvalid,
    Passage,
    Question,
    StopReason,
)

SEARCH, RIGHT, WRONG = (
    "<search> Velmara Nights </search>",
    "<answer> Dunmarrow </answer>",
    "<answer> Oslo </answer>",
)


@pytest.fixture
def env(keyword_retriever: Retriever, questions: tuple[Question, ...]) -> SearchQAEnv:
    return SearchQAEnv(index=keyword_retriever, questions=questions, reveal_gold=True)


def start(env: SearchQAEnv, question_id: str = "q1") -> None:
    env.reset(options={"question_id": question_id})


def test_a_right_and_a_wrong_answer_end_alike(env: SearchQAEnv) -> None:
    endings = []
    for text, expected in ((RIGHT, 1.0), (WRONG, 0.0)):
        start(env)
        env.step(SEARCH)
        observation, reward, terminated, truncated, info = env.step(text)
        assert (reward, info.pop("terms")) == (expected, {"outcome": expected})
        endings.append((observation, terminated, truncated, info))
    assert endings[0] == endings[1]
    assert endings[0][:3] == ("", True, False)


def test_info_before_the_end_holds_no_gold(env: SearchQAEnv) -> None:
    _, info = env.reset(options={"question_id": "q1"})
    assert info == {"question_id": "q1", "turn": 0, "calls": 0, "valid": True}
    _, reward, terminated, truncated, info = env.step(SEARCH)
    assert info == {"turn": 1, "calls": 1, "valid": True}
    assert (reward, terminated, truncated) == (0.0, False, False)
    *_, info = env.step(RIGHT)
    assert info == {
        "turn": 2,
        "calls": 1,
        "valid": True,
        "stop_reason": "answer",
        "terms": {"outcome": 1.0},
        "answers": ("Dunmarrow",),
    }


def test_gold_answers_are_shown_only_when_asked_for(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    env = SearchQAEnv(index=keyword_retriever, questions=questions)
    start(env)
    *_, info = env.step(RIGHT)
    assert "answers" not in info


def test_invalid_moves_cost_at_once_and_steps_sum_to_terms(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    env = SearchQAEnv(
        index=keyword_retriever,
        questions=questions,
        reward=Composite(Outcome("em"), Format(0.5)),
        limits=Limits(on_invalid=OnInvalid.PENALTY, invalid_penalty=0.25),
    )
    start(env)
    rewards = [float(env.step(text)[1]) for text in ("nothing", SEARCH, "nothing")]
    assert rewards == [-0.25, 0.0, -0.25]
    _, reward, _, _, info = env.step(RIGHT)
    assert info["terms"] == {"outcome": 1.0, "format": 0.0, "invalid": -0.5}
    assert sum(rewards) + float(reward) == 0.5


def test_budget_truncates(keyword_retriever: Retriever, questions: tuple[Question, ...]) -> None:
    env = SearchQAEnv(index=keyword_retriever, questions=questions, limits=Limits(max_turns=1))
    start(env)
    _, reward, terminated, truncated, info = env.step(SEARCH)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["stop_reason"] == StopReason.MAX_TURNS
    with pytest.raises(EpisodeStateError, match="is over"):
        env.step(SEARCH)


class Broken:
    """A retriever that fails a given number of times, then finds one passage."""

    fingerprint = "broken"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError("no route to index")
        return [[Hit(Passage("p", "t", "x"), 1.0, 1)] for _ in queries]


def test_a_tool_that_keeps_failing_truncates(questions: tuple[Question, ...]) -> None:
    retriever = Broken(failures=99)
    env = SearchQAEnv(index=retriever, questions=questions)
    start(env)
    observation, reward, terminated, truncated, info = env.step(SEARCH)
    assert (observation, reward, terminated, truncated) == ("", 0.0, False, True)
    assert info["stop_reason"] == "tool_error"
    assert info["tool_error"] == "ConnectionError: no route to index"
    assert info["terms"] == {}
    assert retriever.calls == 3


def test_a_tool_that_recovers_is_retried(questions: tuple[Question, ...]) -> None:
    retriever = Broken(failures=2)
    env = SearchQAEnv(index=retriever, questions=questions)
    start(env)
    observation, *_ = env.step(SEARCH)
    assert "Doc 1" in observation


def test_seeded_order_is_a_permutation_each_epoch(env: SearchQAEnv) -> None:
    def ids(seed: int) -> list[object]:
        first = env.reset(seed=seed)[1]["question_id"]
        return [first, *(env.reset()[1]["question_id"] for _ in range(5))]

    order = ids(3)
    assert sorted(map(str, order[:3])) == sorted(map(str, order[3:])) == ["q1", "q2", "q3"]
    assert order == ids(3)
    assert any(ids(seed) != order for seed in range(5))


def test_a_named_question_leaves_the_order_as_it_was(env: SearchQAEnv) -> None:
    env.reset(seed=3)
    plain = [env.reset()[1]["question_id"] for _ in range(2)]
    env.reset(seed=3)
    start(env, "q3")
    assert [env.reset()[1]["question_id"] for _ in range(2)] == plain


def test_bad_reset_options(env: SearchQAEnv) -> None:
    with pytest.raises(QuestionError, match="no question has the id 'q9' among 3"):
        env.reset(options={"question_id": "q9"})
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(options={"question": "q1"})
    with pytest.raises(TypeError, match="must be a str, got int"):
        env.reset(options={"question_id": 1})


def test_bad_arguments(keyword_retriever: Retriever, questions: tuple[Question, ...]) -> None:
    with pytest.raises(EpisodeStateError, match=r"step\(\) was called before reset\(\)"):
        SearchQAEnv(index=keyword_retriever, questions=questions).step(SEARCH)
    with pytest.raises(ValueError, match="render_mode must be"):
        SearchQAEnv(render_mode="rgb_array")
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        SearchQAEnv(k=0)
    with pytest.raises(QuestionError, match="questions are needed"):
        SearchQAEnv(index=keyword_retriever)
    with pytest.raises(QuestionError, match="no question is in the split 'dev'"):
        SearchQAEnv(index=keyword_retriever, questions=questions, split="dev").reset()
    with pytest.raises(ValueError, match="Did you mean 'search_r1'"):
        SearchQAEnv(protocol="search_r2")


def test_split_selects_questions(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    env = SearchQAEnv(index=keyword_retriever, questions=questions, split="test")
    assert [env.reset()[1]["question_id"] for _ in range(3)] == ["q3"] * 3


def test_ansi_rendering_shows_the_whole_episode(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    env = SearchQAEnv(index=keyword_retriever, questions=questions, render_mode="ansi")
    start(env)
    env.step(SEARCH)
    env.step("nothing")
    before = env.render()
    assert before is not None
    assert "expected" not in before
    env.step(RIGHT)
    text = env.render()
    assert text is not None
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("─")]
    assert lines[0] == "question   Where was the director of Velmara Nights born?"
    assert lines[1] == "1 search   Velmara Nights"
    assert lines[2].startswith("           1. Velmara Nights")
    assert lines[3:] == [
        "2 invalid  no action: found 0 actions",
        "3 answer   Dunmarrow",
        "expected   Dunmarrow ✓",
        "ended by   answer after 3 turns and 1 call",
    ]


def test_human_rendering_prints_each_step_once(
    keyword_retriever: Retriever,
    questions: tuple[Question, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    env = SearchQAEnv(index=keyword_retriever, questions=questions, render_mode="human")
    start(env)
    env.step(SEARCH)
    env.step(RIGHT)
    ansi = SearchQAEnv(index=keyword_retriever, questions=questions, render_mode="ansi")
    start(ansi)
    ansi.step(SEARCH)
    ansi.step(RIGHT)
    assert capsys.readouterr().out == ansi.render()


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_check_env_has_nothing_to_say(protocol: str, engine: str) -> None:
    env = gym.make("SearchQA-v0", protocol=protocol, engine=engine, render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_module_prefixed_id_and_every_registered_id() -> None:
    registered = [i for i in gym.registry if "SearchQA" in i]
    assert registered == ["SearchQA-v0"]
    assert isinstance(gym.make("searchenv:SearchQA-v0").unwrapped, SearchQAEnv)


ACTIONS = ("<search> film </search>", "nothing", "<answer> Oslo </answer>")


def play(envs: VectorEnv[Any, Any, Any]) -> list[tuple[Any, ...]]:
    trace: list[tuple[Any, ...]] = [envs.reset(seed=11)]
    trace += [envs.step((action,) * envs.num_envs) for action in ACTIONS * 2]
    envs.close()
    return trace


def test_vector_environments_of_gymnasium_agree() -> None:
    sync = play(gym.make_vec("SearchQA-v0", num_envs=2, vectorization_mode="sync"))
    spawned = play(
        gym.make_vec(
            "SearchQA-v0",
            num_envs=2,
            vectorization_mode="async",
            vector_kwargs={"context": "spawn"},
        )
    )
    own = play(gym.make_vec("SearchQA-v0", num_envs=2, vectorization_mode="vector_entry_point"))
    for other in (spawned, own):
        for (observations, *rest), (others, *other_rest) in zip(sync, other, strict=True):
            assert tuple(observations) == tuple(others)
            np.testing.assert_equal(rest, other_rest)


def test_async_fork_works_while_no_java_runs_in_the_parent(tmp_path: Path) -> None:
    code = (
        "import gymnasium as gym, searchenv\n"
        "if __name__ == '__main__':\n"
        "    envs = gym.make_vec('SearchQA-v0', num_envs=2, vectorization_mode='async',\n"
        "                        vector_kwargs={'context': 'fork'})\n"
        "    observations, _ = envs.reset(seed=1)\n"
        "    observations, *_ = envs.step(('<search> film </search>',) * 2)\n"
        "    assert all('Doc 1' in text for text in observations), observations\n"
        "    envs.close()\n"
    )
    script = tmp_path / "fork.py"
    script.write_text(code)
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
