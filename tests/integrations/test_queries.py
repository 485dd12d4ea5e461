from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest

from searchenv.env import SearchQAEnv
from searchenv.integrations.choices import ADVISED, CANDIDATE_SIZE, STATE_SIZE
from searchenv.integrations.queries import NewGold, QueryReader, passage_text, query_candidates
from searchenv.types import Gold, Hit, Limits, Passage, Question

stable_baselines3 = pytest.importorskip("stable_baselines3")
import torch  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402

from searchenv.integrations.sb3 import DiscreteSearch, SB3Policy  # noqa: E402
from searchenv.integrations.sb3_network import ChoicePolicy  # noqa: E402

FILM = Passage(
    "1", "Blue Harbour", "Blue Harbour is a film directed by Ann Lee and shot in Bergen."
)
PERSON = Passage("2", "Ann Lee", "Ann Lee is a director. She was born in Oslo.")
TOWN = Passage("3", "Bergen", "Bergen is a town.")
QUESTION = Question(
    "q",
    "Where was the director of Blue Harbour born?",
    ("Oslo",),
    gold=(Gold("Blue Harbour", ("1",)), Gold("Ann Lee", ("2",))),
)
SEARCH_QUESTION, FIRST, SECOND, THIRD = map(np.int64, range(4))


class Shelf:
    """Finds the passage whose title is in the query, and else nothing."""

    fingerprint = "shelf"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [
            [Hit(p, 2.0, 1) for p in (FILM, PERSON, TOWN) if p.title in query] for query in queries
        ]


def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Film and question have the same direction; all else stands at right angles to it."""
    alike = (QUESTION.text, passage_text(FILM))
    return np.array([[1, 0] if text in alike else [0, 1] for text in texts], dtype=np.float32)


def reader(candidates: int = 4) -> QueryReader:
    return QueryReader(embed, candidates=candidates)


def make_env(question: Question = QUESTION, searches: int = 2) -> DiscreteSearch:
    limits = Limits(max_turns=searches + 1, max_calls={"search": searches})
    env = SearchQAEnv(index=Shelf(), questions=[question], k=2, limits=limits)
    return DiscreteSearch(NewGold(env), reader())


def rows_of(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return features[5 + STATE_SIZE :].reshape(4, CANDIDATE_SIZE)


def test_env_passes_the_check_of_sb3() -> None:
    check_env(make_env())


def test_each_search_is_paid_for_the_gold_that_it_is_the_first_to_find() -> None:
    env = make_env(searches=3)
    _, info = env.reset(seed=0)
    assert info["question_id"] == "q"
    assert env.action_masks().tolist() == [True, True, False, False, False]
    paid = [env.step(action)[1:4] for action in (SEARCH_QUESTION, FIRST, SECOND)]
    # the film; the film again; Bergen, the second after "Blue Harbour" was searched
    assert paid == [(0.5, False, False), (0.0, False, False), (0.0, True, False)]


def test_bridge_is_found_by_the_name_in_the_first_passage() -> None:
    env = make_env()
    env.reset(seed=0)
    env.step(SEARCH_QUESTION)
    _, reward, terminated, truncated, info = env.step(SECOND)
    assert (reward, terminated, truncated, info["calls"]) == (0.5, True, False, 2)


def test_candidates_are_names_of_the_question_then_of_passages_without_what_was_searched() -> None:
    first = {QUESTION.text: (Hit(FILM, 2.0, 1),)}
    found = query_candidates(QUESTION.text, first, 9)
    assert [(c.text, c.source, c.depth) for c in found] == [
        ("Blue Harbour", None, 0),
        ("Ann Lee", "Blue Harbour", 1),
        ("Bergen", "Blue Harbour", 1),
    ]
    second = {**first, "Ann Lee": (Hit(PERSON, 2.0, 1),)}
    found = query_candidates(QUESTION.text, second, 9)
    assert [(c.text, c.source, c.depth) for c in found] == [
        ("Blue Harbour", None, 0),
        ("Oslo", "Ann Lee", 2),
        ("Bergen", "Blue Harbour", 1),
    ]
    assert [c.text for c in query_candidates(QUESTION.text, second, 1)] == ["Blue Harbour"]
    assert query_candidates("what?", {}, 3) == []


def test_features_say_advice_title_last_search_score_count_and_cosine() -> None:
    env = make_env(searches=3)
    env.reset(seed=0)
    env.step(SEARCH_QUESTION)
    features, *_ = env.step(SECOND)
    assert rows_of(features)[:, :ADVISED].tolist() == [
        [1, 1, 0, 0, 0.25, 0],  # Blue Harbour, advised: iterative has not searched it
        [0, 0, 1, 1, 0.25, 0.5],  # Oslo, in the passage on Ann Lee
        [0, 0, 0, 1, 0.25, 1],  # Bergen, in that on the film
        [0, 0, 0, 0, 0, 0],
    ]
    assert (features >= 0).all()
    assert (features <= 1).all()


def test_features_and_moves_do_not_depend_on_gold() -> None:
    other = replace(QUESTION, answers=("Nobody",), gold=(Gold("Bergen", ("3",)),), metadata={})
    one, two = make_env(), make_env(other)
    for env in (one, two):
        env.reset(seed=0)
    for action in (SEARCH_QUESTION, SECOND):
        np.testing.assert_array_equal(one._choices().features, two._choices().features)
        assert one._choices().moves == two._choices().moves
        rewards = [env.step(action)[1] for env in (one, two)]
    np.testing.assert_array_equal(one._choices().features, two._choices().features)
    assert rewards == [0.5, 0.0]


def test_no_search_is_offered_beyond_the_budget_and_the_rules_answer() -> None:
    env = make_env()
    env.reset(seed=0)
    env.step(SEARCH_QUESTION)
    env.step(SECOND)
    assert not env.action_masks().any()
    view = env.unwrapped.episode.view  # type: ignore[attr-defined]
    policy = SB3Policy(
        PPO(ChoicePolicy, make_env(), policy_kwargs=kwargs(), device="cpu"), reader()
    )
    assert policy.act([view]) == ["<answer> Oslo </answer>"]


def test_reader_remembers_the_latest_states() -> None:
    env = make_env()
    env.reset(seed=0)
    small = QueryReader(embed, candidates=4, size=1)
    view = env.unwrapped.episode.view  # type: ignore[attr-defined]
    first = small.read(view)
    assert small.read(view) is first
    env.step(SEARCH_QUESTION)
    assert small.read(view) is not first


def test_unbounded_searches_are_refused() -> None:
    env = SearchQAEnv(index=Shelf(), questions=[QUESTION])
    with pytest.raises(ValueError, match="NewGold needs a number of searches"):
        NewGold(env)


def kwargs() -> dict[str, Any]:
    return {"layout": reader().layout}


def test_ppo_learns_the_search_that_finds_the_bridge() -> None:
    env: gym.Env[Any, Any] = make_env()
    model = PPO(
        ChoicePolicy,
        env,
        n_steps=64,
        batch_size=64,
        learning_rate=3e-3,
        policy_kwargs=kwargs(),
        seed=0,
        device="cpu",
    )
    torch.manual_seed(0)
    model.learn(1024)
    features, _ = env.reset(seed=1)
    total = 0.0
    for _ in range(2):
        action, _ = model.predict(features, deterministic=True)
        features, reward, *_ = env.step(action)
        total += float(reward)
    assert total == 1.0
