from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searchenv.env import SearchQAEnv
from searchenv.evaluation import evaluate
from searchenv.integrations.choices import ACTIONS, NUM_FEATURES, read_choices
from searchenv.types import Gold, Hit, Passage, Question
from searchenv.vector import SearchQAVectorEnv

stable_baselines3 = pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402

from searchenv.integrations.sb3 import DiscreteSearch, SB3Policy, SB3VecEnv  # noqa: E402

PASSAGES = (
    Passage("1", "Blue Harbour", "Blue Harbour is a 1950 film directed by Ann Lee."),
    Passage("2", "Ann Lee", "Ann Lee is a director. She was born in Oslo."),
)
QUESTION = Question(
    "q", "Who directed Blue Harbour?", ("Ann Lee",), gold=(Gold("Blue Harbour", ("1",)),)
)


class Shelf:
    """Two passages, those first whose title is in the query."""

    fingerprint = "shelf"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [self._one(query)[:k] for query in queries]

    def _one(self, query: str) -> list[Hit]:
        ranked = sorted(PASSAGES, key=lambda passage: passage.title not in query)
        return [Hit(passage, 1.0 / rank, rank) for rank, passage in enumerate(ranked, start=1)]


def make_env(question: Question = QUESTION) -> DiscreteSearch:
    return DiscreteSearch(SearchQAEnv(index=Shelf(), questions=[question], k=2))


def make_vec(num_envs: int = 2) -> SB3VecEnv:
    return SB3VecEnv(
        SearchQAVectorEnv(
            num_envs, autoreset_mode="Disabled", index=Shelf(), questions=[QUESTION], k=2
        )
    )


def act(name: str) -> np.int64:
    return np.int64(ACTIONS.index(name))


def test_env_passes_the_check_of_sb3() -> None:
    check_env(make_env())


def test_search_then_answer_what_a_passage_states() -> None:
    env = make_env()
    first, _ = env.reset(seed=0)
    assert first.shape == (NUM_FEATURES,)
    assert np.flatnonzero(env.action_masks()).tolist() == [
        *map(ACTIONS.index, ("search the question", "search name 0 of the question")),
        *map(ACTIONS.index, ("answer name 0 of the question", "answer yes", "answer no", "stop")),
    ]
    env.step(act("search the question"))
    assert not env.action_masks()[act("search the question")]
    _, reward, terminated, _, _ = env.step(act("answer what last passage 0 states"))
    assert (reward, terminated) == (1.0, True)


def test_forbidden_action_searches_then_answers_by_the_rules() -> None:
    env = make_env()
    env.reset(seed=0)
    _, _, over, _, info = env.step(act("search title 0 of the last passages"))
    assert (over, info["calls"]) == (False, 1)
    _, reward, over, _, _ = env.step(act("search the question"))
    assert (reward, over) == (1.0, True)


def test_features_and_moves_do_not_depend_on_gold() -> None:
    other = replace(QUESTION, answers=("Nobody",), gold=(), metadata={"type": "x"})
    envs = make_env(), make_env(other)
    for env in envs:
        env.reset(seed=0)
    for action in ("search the question", "search title 1 of the last passages", "stop"):
        one, two = (read_choices(env.unwrapped.episode.view) for env in envs)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one.features, two.features)
        assert one.moves == two.moves
        for env in envs:
            env.step(act(action))


def test_vec_env_begins_anew_and_keeps_the_last_features() -> None:
    vec = make_vec()
    vec.seed(0)
    start = vec.reset()
    vec.step(np.array([act("search the question"), act("stop")]))
    features, rewards, dones, infos = vec.step(
        np.array([act("answer what last passage 0 states"), act("search the question")])
    )
    assert rewards.tolist() == [1.0, 0.0]
    assert dones.tolist() == [True, False]
    assert infos[0]["episode"] == {"r": 1.0, "l": 2, "t": 0.0}
    assert infos[0]["TimeLimit.truncated"] is False
    assert isinstance(features, np.ndarray)
    assert isinstance(start, np.ndarray)
    np.testing.assert_array_equal(features[0], start[0])
    assert (infos[0]["terminal_observation"] != start[0]).any()


def test_vec_env_that_resets_by_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="expected autoreset_mode='Disabled', got 'NextStep'"):
        SB3VecEnv(SearchQAVectorEnv(1, index=Shelf(), questions=[QUESTION]))


def test_ppo_learns_and_goes_on_after_loading(tmp_path: Path) -> None:
    vec = make_vec(4)
    model = PPO("MlpPolicy", vec, n_steps=32, batch_size=64, seed=0, device="cpu")
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    model.learn(512)
    assert any((before[k] != v).any() for k, v in model.policy.state_dict().items())
    model.save(tmp_path / "model.zip")
    loaded = PPO.load(tmp_path / "model.zip", env=vec, device="cpu")
    features = vec.reset()
    assert loaded.predict(features, deterministic=True)[0].tolist() == (
        model.predict(features, deterministic=True)[0].tolist()
    )
    loaded.learn(128, reset_num_timesteps=False)
    assert loaded.num_timesteps == 640
    tools = vec.env.task.tools
    report = evaluate(SB3Policy(loaded), [QUESTION], tools=tools)
    assert [(r.question_id, r.failed) for r in report.results] == [("q", False)]
