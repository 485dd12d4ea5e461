from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchenv.env import SearchQAEnv
from searchenv.evaluation import evaluate
from searchenv.integrations.choices import (
    ACTIONS,
    CANDIDATE_SIZE,
    FIXED,
    NUM_CANDIDATES,
    NUM_FEATURES,
    STATE_SIZE,
    ChoiceReader,
    read_choices,
)
from searchenv.types import Gold, Hit, Passage, Question
from searchenv.vector import SearchQAVectorEnv

stable_baselines3 = pytest.importorskip("stable_baselines3")
import torch  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_checker import check_env  # noqa: E402

from searchenv.integrations.sb3 import DiscreteSearch, SB3Policy, SB3VecEnv  # noqa: E402
from searchenv.integrations.sb3_network import ChoicePolicy  # noqa: E402

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
        *map(ACTIONS.index, ("search the question", "answer yes", "answer no")),
        *map(ACTIONS.index, ("search candidate 0", "answer candidate 0")),
    ]
    env.step(act("search the question"))
    assert np.flatnonzero(env.action_masks()).tolist() == [
        *map(ACTIONS.index, ("answer yes", "answer no")),
        *map(ACTIONS.index, ("search candidate 0", "search candidate 2")),  # 1 is a year
        *(act(f"answer candidate {i}") for i in range(3)),
    ]
    _, reward, terminated, _, _ = env.step(act("answer candidate 2"))
    assert (reward, terminated) == (1.0, True)


def test_features_say_what_was_searched_and_what_the_rules_would_do() -> None:
    env = make_env()
    env.reset(seed=0)
    features, *_ = env.step(act("search candidate 0"))
    rows = features[len(ACTIONS) + STATE_SIZE :].reshape(NUM_CANDIDATES, CANDIDATE_SIZE)
    # searched, beside the last search, rules search it, rules answer it, one shot too, two sources
    assert rows[:4, :6].tolist() == [
        [1, 0, 0, 0, 0, 0],  # Blue Harbour
        [0, 1, 0, 0, 0, 0],  # 1950
        [0, 1, 0, 1, 1, 0],  # Ann Lee
        [0, 0, 0, 0, 0, 0],
    ]
    assert rows[:, 6].tolist() == [1] * 3 + [0] * 21
    assert (features >= 0).all()
    assert (features <= 1).all()


def test_forbidden_action_follows_the_rules() -> None:
    env = make_env()
    env.reset(seed=0)
    _, _, over, _, info = env.step(act("search candidate 5"))
    assert (over, info["calls"]) == (False, 1)
    _, reward, over, _, _ = env.step(act("search candidate 0"))
    assert (reward, over) == (1.0, True)


def test_features_and_moves_do_not_depend_on_gold() -> None:
    other = replace(QUESTION, answers=("Nobody",), gold=(), metadata={"type": "x"})
    envs = make_env(), make_env(other)
    for env in envs:
        env.reset(seed=0)
    for action in ("search the question", "search candidate 2", "answer no"):
        one, two = (read_choices(env.unwrapped.episode.view) for env in envs)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one.features, two.features)
        assert one.moves == two.moves
        for env in envs:
            env.step(act(action))


def test_vec_env_begins_anew_and_keeps_the_last_features() -> None:
    vec = make_vec()
    vec.seed(0)
    start = vec.reset()
    vec.step(np.array([act("search the question"), act("answer no")]))
    features, rewards, dones, infos = vec.step(
        np.array([act("answer candidate 2"), act("search the question")])
    )
    assert rewards.tolist() == [1.0, 0.0]
    assert dones.tolist() == [True, False]
    assert infos[0]["episode"] == {"r": 1.0, "l": 2, "t": 0.0}
    assert infos[0]["TimeLimit.truncated"] is False
    assert isinstance(features, np.ndarray)
    assert isinstance(start, np.ndarray)
    np.testing.assert_array_equal(features[0], start[0])
    assert (infos[0]["terminal_observation"] != start[0]).any()


def test_reader_remembers_the_latest_states() -> None:
    env = make_env()
    reader = ChoiceReader(size=1)
    env.reset(seed=0)
    view = env.unwrapped.episode.view  # type: ignore[attr-defined]
    first = reader.read(view)
    assert reader.read(view) is first
    env.step(act("search the question"))
    assert reader.read(view) is not first
    env.reset(seed=0)
    again = reader.read(env.unwrapped.episode.view)  # type: ignore[attr-defined]
    assert again is not first
    np.testing.assert_array_equal(again.features, first.features)


def test_vec_env_that_resets_by_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="expected autoreset_mode='Disabled', got 'NextStep'"):
        SB3VecEnv(SearchQAVectorEnv(1, index=Shelf(), questions=[QUESTION]))


def test_network_judges_candidates_alike_and_forbids_what_the_mask_forbids() -> None:
    policy = PPO(ChoicePolicy, make_vec(), seed=0, device="cpu").policy
    rows = np.random.default_rng(0).random((NUM_CANDIDATES, CANDIDATE_SIZE))
    order = np.arange(NUM_CANDIDATES)[::-1]
    mask, state = np.ones(len(ACTIONS)), np.full(STATE_SIZE, 0.5)
    mask[0] = 0
    batch = np.stack([np.concatenate([mask, state, r.ravel()]) for r in (rows, rows[order])])
    distribution = policy.get_distribution(torch.as_tensor(batch, dtype=torch.float32))
    one, other = distribution.distribution.probs.detach().numpy()  # type: ignore[union-attr]
    assert one[0] == 0
    fixed, searches, answers = np.split(one, [len(FIXED), len(FIXED) + NUM_CANDIDATES])
    expected = np.concatenate([fixed, searches[order], answers[order]])
    np.testing.assert_allclose(other, expected, rtol=1e-4)


@pytest.mark.parametrize("policy", ["MlpPolicy", ChoicePolicy])
def test_ppo_learns_and_goes_on_after_loading(tmp_path: Path, policy: Any) -> None:
    vec = make_vec(4)
    model = PPO(policy, vec, n_steps=32, batch_size=64, seed=0, device="cpu")
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
