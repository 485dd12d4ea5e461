"""SearchQAVectorEnv: one retrieval a step, groups, autoreset, the same as single environments."""

import numpy as np
import pytest

from searchenv.env import SearchQAEnv
from searchenv.errors import EpisodeStateError
from searchenv.protocols import PROTOCOLS, get_protocol
from searchenv.retrieval import Retriever
from searchenv.rewards import CallCost, Composite, Outcome
from searchenv.types import Act, Answer, Limits, OnInvalid, Question, ToolCall
from searchenv.vector import SearchQAVectorEnv

SEARCH, ANSWER = "<search> Velmara </search>", "<answer> Dunmarrow </answer>"


def scripted_moves(protocol_name: str, count: int) -> list[str]:
    """Searches, answers and mistakes in a fixed, uneven order."""
    protocol = get_protocol(protocol_name)
    rng = np.random.default_rng(5)
    words = ["Velmara", "Orla Fenwick", "Dunmarrow", "river", "nothing"]
    moves = []
    for _ in range(count):
        kind = rng.integers(4)
        word = words[int(rng.integers(len(words)))]
        if kind < 2:
            moves.append(protocol.render(Act((ToolCall("search", word),)), "so"))
        elif kind == 2:
            moves.append(protocol.render(Answer(word)))
        else:
            moves.append(f"{word} is no move")
    return moves


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_same_moves_give_the_same_as_the_single_environment(
    protocol: str, keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    def arguments() -> dict[str, object]:
        return {
            "index": keyword_retriever,
            "questions": questions,
            "protocol": protocol,
            "reward": Composite(Outcome("f1_squad"), CallCost()),
            "limits": Limits(max_turns=4, on_invalid=OnInvalid.PENALTY),
        }

    moves = scripted_moves(protocol, 200)
    vector = SearchQAVectorEnv(3, **arguments())  # type: ignore[arg-type]
    observations, _ = vector.reset(seed=20)
    singles = [SearchQAEnv(**arguments()) for _ in range(3)]  # type: ignore[arg-type]
    starts = [env.reset(seed=20 + i) for i, env in enumerate(singles)]
    assert observations == tuple(text for text, _ in starts)
    over = [False] * 3
    for move in moves:
        observations, rewards, terminations, truncations, infos = vector.step((move,) * 3)
        for i, env in enumerate(singles):
            if over[i]:
                text, info = env.reset()
                reward, terminated, truncated = 0.0, False, False
            else:
                text, reward, terminated, truncated, info = env.step(move)  # type: ignore[assignment]
            over[i] = terminated or truncated
            assert (text, reward) == (observations[i], rewards[i])
            assert (terminated, truncated) == (terminations[i], truncations[i])
            assert env.episode.segments == vector.episodes[i].segments
            assert {key: infos[key][i] for key in ("turn", "calls", "valid")} == {  # type: ignore[index]
                key: info[key] for key in ("turn", "calls", "valid")
            }


def test_one_retrieval_call_a_step_at_256(
    questions: tuple[Question, ...],
    keyword_retriever: "Retriever",
) -> None:
    envs = SearchQAVectorEnv(256, index=keyword_retriever, questions=questions)
    envs.reset(seed=0)
    for _ in range(3):
        envs.step((SEARCH,) * 256)
    envs.step((SEARCH,) * 255 + (ANSWER,))
    assert keyword_retriever.batches == [256, 256, 256, 255]  # type: ignore[attr-defined]


def test_groups_play_the_same_questions(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    envs = SearchQAVectorEnv(6, group_size=3, index=keyword_retriever, questions=questions)
    _, infos = envs.reset(seed=4)
    first = list(infos["question_id"])  # type: ignore[call-overload]
    assert first[0:1] * 3 + first[3:4] * 3 == first
    single = SearchQAEnv(index=keyword_retriever, questions=questions)
    orders = []
    for seed in (4, 5):
        ids = [single.reset(seed=seed)[1]["question_id"], single.reset()[1]["question_id"]]
        orders.append(ids)
    assert [first[0], first[3]] == [orders[0][0], orders[1][0]]
    # Member 1 of each group ends early; its next question is the one the others get later.
    envs.step((ANSWER, SEARCH, SEARCH) * 2)
    *_, infos = envs.step((SEARCH,) * 6)
    assert [infos["question_id"][i] for i in (0, 3)] == [orders[0][1], orders[1][1]]  # type: ignore[index]
    envs.step((SEARCH, ANSWER, ANSWER) * 2)
    *_, infos = envs.step((SEARCH,) * 6)
    later = infos["question_id"]
    assert [later[i] for i in (1, 2, 4, 5)] == [orders[0][1]] * 2 + [orders[1][1]] * 2  # type: ignore[index]


def test_same_step_reports_the_final_episode(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    envs = SearchQAVectorEnv(
        2, index=keyword_retriever, questions=questions, autoreset_mode="SameStep"
    )
    envs.reset(seed=1, options={"question_id": "q1"})
    observations, rewards, terminations, _, infos = envs.step((ANSWER, SEARCH))
    assert list(rewards) == [1.0, 0.0]
    assert list(terminations) == [True, False]
    assert "Question: " in observations[0]
    assert list(infos["_final_info"]) == [True, False]  # type: ignore[call-overload]
    assert infos["final_info"]["stop_reason"][0] == "answer"  # type: ignore[index]
    assert infos["final_obs"][0] == ""  # type: ignore[index]
    assert infos["turn"].tolist() == [0, 1]  # type: ignore[attr-defined]


def test_disabled_autoreset_wants_a_mask(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    envs = SearchQAVectorEnv(
        2, index=keyword_retriever, questions=questions, autoreset_mode="Disabled"
    )
    envs.reset(seed=1)
    envs.step((ANSWER, SEARCH))
    with pytest.raises(EpisodeStateError, match=r"episodes \[0\] are over"):
        envs.step((SEARCH, SEARCH))
    before = envs.episodes[1]
    _, infos = envs.reset(options={"reset_mask": np.array([True, False]), "question_id": "q3"})
    assert infos["_question_id"].tolist() == [True, False]  # type: ignore[attr-defined]
    assert infos["question_id"][0] == "q3"  # type: ignore[index]
    assert envs.episodes[1] is before
    envs.step((SEARCH, SEARCH))


def test_bad_calls_say_what_was_expected(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    with pytest.raises(ValueError, match="num_envs=4 and group_size=3"):
        SearchQAVectorEnv(4, group_size=3)
    envs = SearchQAVectorEnv(4, group_size=2, index=keyword_retriever, questions=questions)
    with pytest.raises(EpisodeStateError, match="before reset"):
        envs.step((SEARCH,) * 4)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="expected 4 actions, got 3"):
        envs.step((SEARCH,) * 3)
    with pytest.raises(ValueError, match="one seed for each of 2 groups, got 4"):
        envs.reset(seed=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="bool array of shape"):
        envs.reset(options={"reset_mask": [True] * 4})
    with pytest.raises(ValueError, match="unknown reset options"):
        envs.reset(options={"mask": 1})


def test_unseeded_resets_go_on_with_the_order(
    keyword_retriever: Retriever, questions: tuple[Question, ...]
) -> None:
    envs = SearchQAVectorEnv(1, index=keyword_retriever, questions=questions)
    ids = [envs.reset(seed=9)[1]["question_id"][0]]  # type: ignore[index]
    ids += [envs.reset()[1]["question_id"][0] for _ in range(2)]  # type: ignore[index]
    assert sorted(ids) == ["q1", "q2", "q3"]
