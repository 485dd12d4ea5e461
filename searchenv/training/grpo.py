"""Policy gradients over episodes in one process: GRPO, REINFORCE++ and their relatives.

A step plays a group of episodes of each of some questions, compares their rewards, and makes the
tokens of the better ones more probable. The loop is the one of every other driver, ``Episode``; the
ids that are trained on are the ids that were sampled.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from tqdm import tqdm

from searchenv.evaluation import Record, Setup, run_header
from searchenv.policies.generation import Sampling, sample_seed
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.models import ModelPolicy
from searchenv.task import QuestionOrder
from searchenv.tokens import token_sample
from searchenv.training.advantages import Advantage, advantages
from searchenv.training.checkpoints import Checkpoints
from searchenv.training.curves import sparkline
from searchenv.training.items import Kind, TrainItem
from searchenv.training.losses import PolicyLoss
from searchenv.training.models import load_model, save_model
from searchenv.training.optimizer import Updater
from searchenv.training.rollout import Clock, Rollout, describe_records, describe_tools, roll_out
from searchenv.training.token_advantages import token_advantages
from searchenv.types import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Auxiliary", "Examination", "GrpoSettings", "train_grpo"]

Auxiliary = Callable[[int, Sequence[Record]], Sequence[TrainItem]]
"""From a step and its episodes to further items that are trained on in it, such as texts to be
remembered."""


@dataclass(frozen=True, slots=True)
class GrpoSettings:
    """How a policy is trained by reward.

    Raises:
        ValueError: a value is out of range, the advantage is unknown, or the divergence is wanted
            in the reward and in the loss.
    """

    steps: int = 100
    questions: int = 16
    """Questions a step."""
    samples: int = 8
    """Episodes of each question."""
    updates: int = 2
    """Updates of the weights a step; each sees its share of the episodes once."""
    learning_rate: float = 3e-4
    advantage: str = Advantage.GRPO.value
    """A value of :class:`searchenv.training.Advantage`."""
    loss: PolicyLoss = field(default_factory=lambda: PolicyLoss(kl=0.02))
    temperature: float = 1.0
    max_tokens: int = 24
    """Tokens that a turn may have."""
    token_kl: float | None = None
    """Weight of the divergence in the reward of each token, as REINFORCE++ has it; tokens then have
    advantages of their own (:func:`searchenv.training.token_advantages.token_advantages`). None:
    one advantage an episode, and the divergence in the loss."""
    until_search_rate: float | None = None
    """The last step is the first one whose episodes search at least this often; None: ``steps``
    alone decide."""
    masked: bool = True
    """Whether the loss leaves out what the environment wrote; False: all after the prompt is
    trained."""
    seed: int = 0
    exam_every: int = 10
    """Steps between two examinations; one more comes at the end."""
    checkpoint_every: int = 10
    """Steps between two checkpoints."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("steps", "questions", "samples", "updates", "exam_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be > 0, got {self.learning_rate}")
        if self.token_kl is not None and (self.token_kl < 0 or self.loss.kl):
            raise ValueError(
                f"token_kl must be >= 0, and loss.kl 0 beside it, got {self.token_kl} and "
                f"{self.loss.kl}"
            )
        if self.until_search_rate is not None and not 0 < self.until_search_rate <= 1:
            raise ValueError(f"until_search_rate must be in (0, 1], got {self.until_search_rate}")
        Advantage(self.advantage)
        Sampling(self.max_tokens, self.temperature)


@dataclass(frozen=True, slots=True)
class Examination:
    """What a model is examined on while it is trained; it learns nothing from it."""

    questions: Sequence[Question]
    setup: Setup
    temperature: float = 1.0


def train_grpo(
    model_folder: str | os.PathLike[str],
    questions: Sequence[Question],
    setup: Setup,
    settings: GrpoSettings,
    out: str | os.PathLike[str],
    *,
    examination: Examination | None = None,
    auxiliary: Auxiliary | None = None,
    progress: bool = False,
) -> Path:
    """Trains a model by reward and returns the folder of the trained one.

    ``out`` holds ``metrics.jsonl`` (a row a step and a row an examination; equal settings give
    equal bytes, also where the training was interrupted), ``timings.jsonl`` (seconds of each step),
    ``checkpoint.pt`` (the latest one, from which the same call goes on), and at the end ``model``.

    Args:
        model_folder: where training starts, also what the divergence is measured from.
        questions: to train on, in a seeded order that changes every epoch.
        setup: tools, protocol, limits, and the reward; its ``samples`` and ``seed`` are not used.
        settings: of the training.
        out: a folder of the training's own.
        examination: what the model is examined on every ``exam_every`` steps.
        auxiliary: further items for each step.
        progress: shows a bar with the latest reward and its curve on stderr.

    Raises:
        RunError: ``out`` holds another training.
        ValueError: there are no questions.
        MissingDependencyError: transformers or torch is not installed.
    """
    if not questions:
        raise ValueError("expected at least one question to train on, got none")
    folder = Path(out)
    if (folder / "model" / "config.json").is_file():
        return folder / "model"
    training = _Training(Path(model_folder), questions, setup, settings, examination, auxiliary)
    with Checkpoints(folder, training.header()) as checkpoints:
        start = checkpoints.restore(training.updater)
        before = checkpoints.rows()
        is_last = any(training.is_last(row) for row in before)
        rewards = [cast("float", row["reward"]) for row in before if row["kind"] == "train"]
        bar = tqdm(range(start, settings.steps), initial=start, total=settings.steps, unit="step")
        bar.disable = not progress
        for step in bar:
            if is_last:
                break
            for row, seconds in training.step(step):
                checkpoints.note(row, seconds)
                is_last = is_last or training.is_last(row)
                if row["kind"] == "train":
                    rewards.append(cast("float", row["reward"]))
                    bar.set_postfix_str(f"reward {rewards[-1]:.2f} {sparkline(rewards)}")
            done = step + 1
            if done % settings.checkpoint_every == 0 or is_last:
                checkpoints.save(done, training.updater)
        save_model(folder / "model", training.updater.model, training.tokenizer)
    return folder / "model"


class _Training:
    """What the steps of a training share."""

    def __init__(
        self,
        model_folder: Path,
        questions: Sequence[Question],
        setup: Setup,
        settings: GrpoSettings,
        examination: Examination | None,
        auxiliary: Auxiliary | None,
    ) -> None:
        model, self.tokenizer = load_model(model_folder)
        compares = settings.loss.kl or settings.token_kl
        reference = load_model(model_folder)[0] if compares else None
        self.updater = Updater(
            model,
            learning_rate=settings.learning_rate,
            loss=settings.loss,
            reference=reference,
        )
        self._questions = questions
        self._setup = replace(setup, samples=settings.samples)
        self._settings = settings
        self._examination = examination
        self._auxiliary = auxiliary
        self._order = QuestionOrder(len(questions), np.random.default_rng([settings.seed, 0]))

    def header(self) -> dict[str, object]:
        """Returns all that decides what is measured."""
        described = run_header(
            self._questions,
            self._setup,
            name="training",
            policy=self._policy(self._settings.temperature).describe(),
            retriever=describe_tools(self._setup.tools),
        )
        return {**described, "settings": asdict(self._settings)}

    def is_last(self, row: Mapping[str, object]) -> bool:
        """Returns whether a row is that of the last step."""
        if row["kind"] != "train":
            return False
        rate = self._settings.until_search_rate
        searches = cast(float, row.get("search_rate", 0.0))
        return row["step"] == self._settings.steps or (rate is not None and searches >= rate)

    def step(self, step: int) -> Iterator[tuple[dict[str, object], Mapping[str, float]]]:
        """Trains one step; yields rows of what was measured, each with its seconds."""
        settings = self._settings
        if step % settings.exam_every == 0:
            yield self._examine(step)
        clock = Clock()
        first = step * settings.questions
        questions = [self._questions[self._order[first + i]] for i in range(settings.questions)]
        rollout = roll_out(
            self._policy(settings.temperature),
            questions,
            self._setup,
            seed=sample_seed(settings.seed, step),
            clock=clock,
        )
        with clock.time("update"):
            items = self._items(rollout)
            lengths = _lengths(items)
            items += self._auxiliary(step, rollout.records) if self._auxiliary else ()
            order = np.random.default_rng([settings.seed, 1, step]).permutation(len(items))
            shares = [
                [items[i] for i in order[update :: settings.updates]]
                for update in range(settings.updates)
            ]
            learnt = self.updater.learn(shares)
        row = {"step": step + 1, "kind": "train", **describe_records(rollout.records)}
        row |= {"live_groups": _live(rollout), "failed": rollout.failed, **lengths, **learnt}
        yield _rounded(row), clock.seconds
        if self.is_last(row):
            yield self._examine(step + 1)

    def _items(self, rollout: Rollout) -> list[TrainItem]:
        settings = self._settings
        items = policy_items(rollout, self.tokenizer, settings)
        if settings.token_kl is None or not items:
            return items
        divergences = self.updater.divergences(items) if settings.token_kl else None
        return with_token_advantages(items, rollout, settings, divergences)

    def _examine(self, step: int) -> tuple[dict[str, object], Mapping[str, float]]:
        row: dict[str, object] = {"step": step, "kind": "exam"}
        clock = Clock()
        if (exam := self._examination) is not None:
            rollout = roll_out(
                self._policy(exam.temperature),
                exam.questions,
                exam.setup,
                seed=exam.setup.seed,
                clock=clock,
            )
            row |= {**describe_records(rollout.records), "failed": rollout.failed}
        return _rounded(row), clock.seconds

    def _policy(self, temperature: float) -> ModelPolicy:
        return ModelPolicy(
            TransformersGenerator.of(
                self.updater.model,
                self.tokenizer,
                sampling=Sampling(self._settings.max_tokens, temperature),
                batch_size=256,
            )
        )


def policy_items(
    rollout: Rollout, tokenizer: "PreTrainedTokenizerFast", settings: GrpoSettings
) -> list[TrainItem]:
    """Returns the episodes of a roll-out as items with their advantages."""
    rewards = [[sum(r.outcome.terms.values()) for r in group] for group in rollout.groups]
    found = advantages(rewards, Advantage(settings.advantage))
    return [
        TrainItem.of(
            token_sample(record.result.segments, tokenizer),
            kind=Kind.POLICY,
            advantage=advantage,
            observed=0.0 if settings.masked else 1.0,
        )
        for group, values in zip(rollout.groups, found, strict=True)
        for record, advantage in zip(group, values, strict=True)
    ]


def with_token_advantages(
    items: Sequence[TrainItem],
    rollout: Rollout,
    settings: GrpoSettings,
    divergences: Sequence[Sequence[float]] | None,
) -> list[TrainItem]:
    """Returns the items of :func:`policy_items` with an advantage for each token.

    Args:
        items: in the order of the roll-out's records.
        rollout: the whole one.
        settings: with ``token_kl``.
        divergences: for each id of each item; None: 0.
    """
    import torch

    def padded(rows: Sequence[Sequence[float]]) -> torch.Tensor:
        tensors = [torch.tensor(row, dtype=torch.float64) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)

    found = token_advantages(
        [sum(record.outcome.terms.values()) for record in rollout.records],
        [number for number, group in enumerate(rollout.groups) for _ in group],
        padded([(0.0, *item.mask[1:]) for item in items]),
        Advantage(settings.advantage),
        divergence=None if divergences is None else padded(divergences),
        kl=settings.token_kl or 0.0,
    )
    return [
        replace(item, token_advantages=tuple(row[: len(item.ids)].tolist()))
        for item, row in zip(items, found, strict=True)
    ]


def _live(rollout: Rollout) -> float:
    """Returns the share of groups whose rewards differ, so that they teach something."""
    rewards = [{sum(r.outcome.terms.values()) for r in group} for group in rollout.groups]
    return sum(len(values) > 1 for values in rewards) / len(rewards)


def _lengths(items: Sequence[TrainItem]) -> dict[str, float]:
    """Returns mean numbers of ids: of whole episodes, and of what is trained of them."""
    count = max(1, len(items))
    return {
        "length": sum(len(item.ids) for item in items) / count,
        "trained_length": sum(sum(item.mask) for item in items) / count,
    }


def _rounded(row: Mapping[str, object]) -> dict[str, object]:
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
