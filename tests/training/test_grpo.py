"""Training by reward in one process: what it learns, what it keeps, what it does with failures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from searchenv.errors import RunError
from searchenv.evaluation import Record, Setup
from searchenv.policies.oracle import OraclePolicy
from searchenv.results import Result
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.tokens import token_sample
from searchenv.training import grpo
from searchenv.training.grpo import (
    Examination,
    GrpoSettings,
    policy_items,
    train_grpo,
    with_token_advantages,
)
from searchenv.training.items import Kind, TrainItem
from searchenv.training.losses import PolicyLoss
from searchenv.training.models import load_model
from searchenv.training.optimizer import Updater
from searchenv.training.rollout import Clock, Rollout, describe_records, roll_out
from searchenv.training.teacher import Habits, Teacher
from searchenv.types import Limits, Terms, ToolCall, ToolFailure, ToolResult
from searchenv.worlds import FactWorld

SETTINGS = GrpoSettings(
    steps=4, questions=2, samples=4, max_tokens=6, exam_every=2, checkpoint_every=2
)


class Brevity:
    """Pays an agent for few ids, so that even a random model has something to learn."""

    reads_transcript = False

    def __call__(self, result: Result) -> Terms:
        return {"brevity": -sum(len(s.token_ids or ()) for s in result.segments) / 10}


class FlakySearch:
    """A tool that fails for queries with one word."""

    def __init__(self, world: FactWorld, word: str) -> None:
        self._tool = RetrieverTool(MemoryRetriever(world.passages), 3)
        self._word = word

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        found = self._tool.run(calls)
        return [
            ToolFailure("the shelf is closed", retryable=False) if self._word in c.query else f
            for c, f in zip(calls, found, strict=True)
        ]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def train(
    model: Path, world: FactWorld, setup: Setup, out: Path, settings: GrpoSettings = SETTINGS
) -> Path:
    examination = Examination(world.split("test", 3), setup)
    return train_grpo(model, world.split("train"), setup, settings, out, examination=examination)


def test_metrics_have_a_row_a_step_and_an_examination(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    trained = train(random_model, world, setup, tmp_path / "run")
    found = rows(tmp_path / "run")
    assert [(row["step"], row["kind"]) for row in found] == [
        *((0, "exam"), (1, "train"), (2, "train"), (2, "exam")),
        *((3, "train"), (4, "train"), (4, "exam")),
    ]
    names = "reward term_outcome term_format em search_rate searches valid_rate live_groups failed"
    names += " length trained_length loss grad_norm kl entropy clipped"
    assert set(names.split()) < found[1].keys()
    timings = [json.loads(t) for t in (tmp_path / "run" / "timings.jsonl").read_text().splitlines()]
    assert timings[1].keys() >= {"step", "generation", "environment", "update"}
    assert load_model(trained)[0].config.hidden_size == 16


def test_equal_settings_give_equal_bytes(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    for name in "ab":
        train(random_model, world, setup, tmp_path / name)
    first, second = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in "ab")
    assert first == second


def test_interrupted_training_goes_on_to_the_same_bytes(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    never = replace(setup, reward=Stopping(setup, after=10_000))
    train(random_model, world, never, tmp_path / "whole")
    in_step_4 = replace(setup, reward=Stopping(setup, after=3 + 2 * 8 + 3 + 8 + 1))
    with pytest.raises(KeyboardInterrupt):
        train(random_model, world, in_step_4, tmp_path / "cut")
    assert rows(tmp_path / "cut")[-1]["step"] == 3  # one step after the checkpoint
    trained = train(random_model, world, never, tmp_path / "cut")
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    sessions = json.loads((tmp_path / "cut" / "sessions.json").read_text())
    assert [session["seconds"] is None for session in sessions] == [True, False]
    assert train(random_model, world, never, tmp_path / "cut") == trained  # nothing is left to do


def test_training_ends_at_the_search_rate_and_stays_ended(
    random_model: Path,
    world: FactWorld,
    setup: Setup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = iter([0.2, 0.95, 0.1, 0.1])

    def described(records: Sequence[Record]) -> dict[str, float]:
        rate = {"search_rate": next(rates)} if len(records) == 8 else {}
        return {**describe_records(records), **rate}

    monkeypatch.setattr(grpo, "describe_records", described)
    settings = replace(SETTINGS, steps=4, exam_every=4, until_search_rate=0.9, checkpoint_every=4)
    trained = train(random_model, world, setup, tmp_path, settings)
    expected = [(0, "exam"), (1, "train"), (2, "train"), (2, "exam")]
    assert [(row["step"], row["kind"]) for row in rows(tmp_path)] == expected
    weights = (trained / "model.safetensors").read_bytes()
    (trained / "config.json").unlink()  # killed before the model was written
    train(random_model, world, setup, tmp_path, settings)
    assert [(row["step"], row["kind"]) for row in rows(tmp_path)] == expected
    assert (trained / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_training_with_advantages_of_tokens(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path, kl: float
) -> None:
    settings = replace(
        SETTINGS,
        steps=2,
        samples=8,
        max_tokens=20,
        learning_rate=1e-2,
        loss=PolicyLoss(),
        token_kl=kl,
        advantage="reinforce++_baseline",
    )
    brief = replace(setup, reward=Brevity())
    train(random_model, world, brief, tmp_path, settings)
    found = [row for row in rows(tmp_path) if row["kind"] == "train"]
    assert all(row["grad_norm"] > 0 for row in found)
    assert ("kl" in found[0]) == (kl > 0)


def test_advantages_of_tokens_are_those_of_the_roll_out(
    random_model: Path, world: FactWorld, setup: Setup
) -> None:
    model, tokenizer = load_model(random_model)
    policy = Teacher(world, Habits(search=0.5, right=1.0))
    rollout = roll_out(
        policy, world.split("train", 3), replace(setup, samples=4), seed=1, clock=Clock()
    )
    settings = replace(SETTINGS, loss=PolicyLoss(), token_kl=0.5, advantage="group_mean")
    items = policy_items(rollout, tokenizer, settings)
    other, _ = load_model(random_model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    divergences = Updater(model, learning_rate=0.1, reference=other).divergences(items)
    found = with_token_advantages(items, rollout, settings, divergences)
    for item, divergence in zip(found, divergences, strict=True):
        assert len(divergence) == len(item.ids)
        assert any(divergence)
        assert item.token_advantages is not None
        costs = [0.5 * k * m for k, m in zip(divergence, item.mask, strict=True)]
        for place, (value, bit) in enumerate(zip(item.token_advantages, item.mask, strict=True)):
            expected = (item.advantage - sum(costs[place:])) * bit if place else 0.0
            assert value == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_kl": 0.1}, "token_kl must be >= 0, and loss.kl 0 beside it, got 0.1 and 0.02"),
        ({"until_search_rate": 0.0}, r"until_search_rate must be in \(0, 1\], got 0.0"),
    ],
)
def test_settings_that_contradict_each_other(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GrpoSettings(**change)  # type: ignore[arg-type]


class Stopping:
    """A reward that is the setup's own until a person stops the program."""

    reads_transcript = False

    def __init__(self, setup: Setup, after: int) -> None:
        self._reward = setup.reward
        self._left = after

    def __call__(self, result: Result) -> Terms:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._reward(result)


def test_another_training_in_the_folder_is_an_error(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    train(random_model, world, setup, tmp_path, replace(SETTINGS, steps=1))
    (tmp_path / "model" / "config.json").unlink()
    other = replace(setup, limits=Limits(max_turns=2))
    with pytest.raises(RunError, match=r"another training \(it differs in limits, settings\)"):
        train(random_model, world, other, tmp_path, SETTINGS)


def test_reward_rises(random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path) -> None:
    settings = replace(
        SETTINGS, steps=25, samples=8, max_tokens=20, learning_rate=1e-2, loss=PolicyLoss()
    )
    train(random_model, world, replace(setup, reward=Brevity()), tmp_path, settings)
    rewards = [row["reward"] for row in rows(tmp_path) if row["kind"] == "train"]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.1


def test_failed_samples_are_left_out_and_counted(world: FactWorld, setup: Setup) -> None:
    questions = world.split("train", 6)
    name = questions[0].text.split(" 's ")[0]
    flaky = replace(setup, tools={"search": FlakySearch(world, name)}, samples=2)
    clock = Clock()
    rollout = roll_out(Teacher(world, Habits()), questions, flaky, seed=0, clock=clock)
    sizes = [len(group) for group in rollout.groups]
    assert sizes[0] == 0
    assert rollout.failed == 12 - sum(sizes) > 0
    assert len(rollout.records) == sum(sizes) > 0
    assert set(clock.seconds) == {"generation", "retrieval", "environment"}


def test_auxiliary_items_are_trained_on(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    seen: list[int] = []

    def remember(step: int, records: Sequence[Record]) -> list[TrainItem]:
        seen.append(len(records))
        return [TrainItem((300, 301, 302), (0.0, 1.0, 1.0), weight=0.5)]

    settings = replace(SETTINGS, steps=1)
    questions = world.split("train")
    for name, auxiliary in (("with", remember), ("without", None)):
        train_grpo(random_model, questions, setup, settings, tmp_path / name, auxiliary=auxiliary)
    assert seen == [8]
    one, other = (tmp_path / name / "model" / "model.safetensors" for name in ("with", "without"))
    assert one.read_bytes() != other.read_bytes()


def test_policy_items_follow_rewards_and_masks(
    random_model: Path, world: FactWorld, setup: Setup
) -> None:
    _, tokenizer = load_model(random_model)
    good = roll_out(
        Teacher(world, Habits()), world.split("train", 1), setup, seed=0, clock=Clock()
    ).records[0]
    poor = replace(good, outcome=replace(good.outcome, terms={"outcome": 0.0}))
    rollout = Rollout(((good, poor),), failed=0)
    settings = replace(SETTINGS, advantage="group_mean")
    first, second = grpo.policy_items(rollout, tokenizer, settings)
    half = sum(good.outcome.terms.values()) / 2
    assert (first.advantage, second.advantage) == (half, -half)
    assert first.kind is Kind.POLICY
    sample = token_sample(good.result.segments, tokenizer)
    assert first.mask == (0.0,) * len(sample.prompt_ids) + tuple(map(float, sample.mask))
    bare = replace(settings, masked=False)
    assert sum(grpo.policy_items(rollout, tokenizer, bare)[0].mask) == len(sample.response_ids)


def test_describe_records_by_hand(world: FactWorld, setup: Setup) -> None:
    questions = world.split("train", 4)
    rollout = roll_out(OraclePolicy(questions), questions, setup, seed=0, clock=Clock())
    assert describe_records(rollout.records) == {
        "reward": 1.5,
        "term_outcome": 1.0,
        "term_format": 0.5,
        "em": 1.0,
        "search_rate": 0.0,  # passages have no titles, so that the oracle has nothing to search for
        "searches": 0.0,
        "valid_rate": 1.0,
    }
    assert describe_records([]) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must be > 0, got 0\.0"),
        ({"advantage": "ppo"}, "'ppo' is not a valid Advantage"),
        ({"temperature": -1.0}, r"temperature must be >= 0, got -1\.0"),
    ],
)
def test_settings_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **options)  # type: ignore[arg-type]


def test_no_questions_is_an_error(random_model: Path, setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at least one question to train on, got none"):
        train_grpo(random_model, [], setup, SETTINGS, tmp_path)
