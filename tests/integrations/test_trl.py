"""TRL's own trainer over episodes, on the CPU."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from searchenv.integrations.trl import SearchRollout
from searchenv.rewards import CallCost, Composite, Outcome
from searchenv.task import Task
from searchenv.types import Limits, Question
from searchenv.worlds import FactWorld

Make = Callable[..., Any]
STEPS, SAMPLES = 3, 4


def task_of(index: str | Path, world: FactWorld) -> Task:
    limits = Limits(max_turns=3, max_observation=300)
    questions = world.split("train")[:8]
    reward = Composite(Outcome("em"), CallCost())  # differs within every group
    return Task(index=index, questions=questions, limits=limits, reward=reward)


@pytest.mark.filterwarnings("ignore")
def test_the_real_trainer_learns_from_episodes(
    trl_trainer: Make, index: Path, world: FactWorld
) -> None:
    rollout = SearchRollout(task_of(index, world), max_tokens=24)
    trainer = trl_trainer(rollout, max_steps=STEPS, learning_rate=1e-3, logging_steps=1)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.train()
    logs = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logs) == STEPS
    for row in logs:
        assert row["reward"] == pytest.approx(row["episodes/reward"], abs=1e-4)
        assert row["reward"] < row["episodes/em"]
        assert row["episodes/failed"] == 0
        assert row["episodes/search_rate"] > 0
        assert row["num_tokens"] > 0
    after = trainer.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.filterwarnings("ignore")
def test_the_gradient_of_what_the_environment_wrote_is_zero(
    trl_trainer: Make, index: Path, world: FactWorld
) -> None:
    rollout = SearchRollout(task_of(index, world), max_tokens=24)
    trainer = trl_trainer(rollout)
    prompts = [row["prompt"] for row in rollout.dataset()][:4] * SAMPLES
    batch = trainer._generate_and_score_completions([{"prompt": p} for p in sorted(prompts)])
    original, kept = trainer._get_per_token_logps_and_entropies, []

    def keeps(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named)
        found[0].retain_grad()
        kept.append(found[0])
        return found

    trainer._get_per_token_logps_and_entropies = keeps
    batch["advantages"] = torch.ones_like(batch["advantages"])
    batch["old_per_token_logps"] = None
    trainer._compute_loss(trainer.model, batch).backward()
    mask = (batch["completion_mask"] * batch["tool_mask"]).bool()
    (logprobs,) = kept
    assert bool((logprobs.grad[mask] != 0).all())
    assert bool((logprobs.grad[~mask] == 0).all())
    assert 0 < int(mask.sum()) < int(batch["completion_mask"].sum())


@pytest.mark.filterwarnings("ignore")
def test_a_failed_tool_gives_no_reward_and_its_siblings_live(
    trl_trainer: Make, world: FactWorld
) -> None:
    rollout = SearchRollout(task_of("http://127.0.0.1:9", world), max_tokens=24)
    trainer = trl_trainer(rollout)
    output = rollout([row["prompt"] for row in rollout.dataset()] * 4, trainer)
    failed = [reward is None for reward in output["env_reward"]]
    assert 0 < sum(failed) < len(failed)
    for is_failed, ids, mask in zip(
        failed, output["completion_ids"], output["env_mask"], strict=True
    ):
        assert len(ids) == len(mask) > 0
        assert any(mask) is not is_failed
    logged: dict[str, float] = {}
    rewards = rollout.reward(env_reward=output["env_reward"], log_metric=logged.__setitem__)
    assert [reward is None for reward in rewards] == failed
    assert logged["episodes/failed"] == sum(failed)


def test_questions_must_be_told_apart(index: Path, world: FactWorld) -> None:
    question = world.split("train")[0]
    with pytest.raises(ValueError, match="expected questions that can be told apart, got"):
        SearchRollout(Task(index=index, questions=[question, question]))


def test_a_prompt_of_somebody_else_is_an_error(index: Path, world: FactWorld) -> None:
    rollout = SearchRollout(Task(index=index, questions=world.split("train")[:2]))
    assert next(row["prompt"] for row in rollout.dataset()).startswith("[w0-")
    with pytest.raises(ValueError, match=r"'What\?' is none of the task's 2 questions: train on"):
        rollout._question("What?")
    assert len(rollout.dataset([Question("a", "b", ("c",))])) == 1
