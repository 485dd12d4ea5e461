"""Supervised fine-tuning on masked episodes, and on those of a model's own that were right."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from searchenv.evaluation import Record, Run, Setup, read_run, run_header, run_questions
from searchenv.exports import Selection, select, sft_example
from searchenv.exports.whole import whole_folder
from searchenv.policies.generation import Sampling
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.models import ModelPolicy
from searchenv.training.items import TrainItem
from searchenv.training.models import load_model, save_model
from searchenv.training.optimizer import Updater
from searchenv.training.rollout import describe_tools
from searchenv.types import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "RejectionSettings",
    "SftSettings",
    "fine_tune",
    "keep_right",
    "read_items",
    "train_rejection",
]


@dataclass(frozen=True, slots=True)
class SftSettings:
    """How a model is fine-tuned.

    Raises:
        ValueError: a value is out of range.
    """

    epochs: int = 3
    batch_size: int = 32
    """Episodes an update; where there are fewer, all of them."""
    learning_rate: float = 3e-4
    seed: int = 0
    """Of the order of the episodes."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be > 0, got {self.learning_rate}")


@dataclass(frozen=True, slots=True)
class RejectionSettings:
    """How a model samples what it is fine-tuned on.

    Raises:
        ValueError: a value is out of range.
    """

    questions: int = 1600
    """The first ones of the training questions; all where there are fewer."""
    samples: int = 8
    """Episodes of each question."""
    scorer: str = "em"
    """Of the setup; episodes that it gives 1 are kept."""
    searched: bool = False
    """Keep only those that searched: a guess that happened to be right is not imitated."""
    temperature: float = 1.0
    max_tokens: int = 24
    """Tokens that a turn may have."""
    sft: SftSettings = field(default_factory=SftSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("questions", "samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        Sampling(self.max_tokens, self.temperature)


def fine_tune(
    model_folder: str | os.PathLike[str],
    items: Sequence[TrainItem],
    settings: SftSettings,
    out: str | os.PathLike[str],
    *,
    progress: bool = False,
) -> list[float]:
    """Writes the fine-tuned model as a new Hugging Face folder; returns the mean loss by epoch.

    ``fine_tuning.json`` in it holds the losses. The loss of an update is the mean over all trained
    tokens of its episodes: were it a mean over episodes, the first token of a guess would count ten
    times that of a search. Equal settings and items give equal weights.

    Raises:
        ValueError: there are no items, or no model.
        FileExistsError: ``out`` holds something.
        MissingDependencyError: transformers or torch is not installed.
    """
    if not items:
        raise ValueError("expected at least one episode to fine-tune on, got none")
    model, tokenizer = load_model(model_folder)
    updater = Updater(model, learning_rate=settings.learning_rate)
    size = min(settings.batch_size, len(items))
    losses: list[float] = []
    with whole_folder(out) as folder:
        for epoch in tqdm(range(settings.epochs), unit="epoch", disable=not progress):
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(items))
            batches = [order[start : start + size] for start in range(0, len(items), size)]
            found = [
                updater.learn([by_tokens([items[i] for i in batch])])["loss"] for batch in batches
            ]
            losses.append(float(np.average(found, weights=[len(batch) for batch in batches])))
        save_model(folder, model, tokenizer)
        described = {"episodes": len(items), "loss": losses}
        (folder / "fine_tuning.json").write_text(json.dumps(described) + "\n", encoding="ascii")
    return losses


def by_tokens(items: Sequence[TrainItem]) -> list[TrainItem]:
    """Returns the items weighted so that their mean loss is the mean over all trained tokens."""
    tokens = [sum(item.mask[1:]) for item in items]
    mean = sum(tokens) / len(items)
    return [replace(item, weight=count / mean) for item, count in zip(items, tokens, strict=True)]


def read_items(
    source: str | os.PathLike[str], tokenizer: "PreTrainedTokenizerFast"
) -> list[TrainItem]:
    """Returns the episodes of a run folder, or of a file that ``searchenv export sft`` wrote.

    Raises:
        RunError: the folder holds no run, or a broken one.
        ValueError: a line of the file is no example, has no token ids, or ids of another tokenizer.
    """
    path = Path(source)
    if path.is_dir():
        return [_item(sft_example(record, tokenizer)) for record in read_run(path).records]
    items = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            item = _item(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, line {number}: expected an example with input_ids and loss_mask, as "
                f"searchenv export sft --tokenizer writes it ({type(error).__name__}: {error})"
            ) from error
        if max(item.ids) >= len(tokenizer):
            raise ValueError(
                f"{path}, line {number}: the id {max(item.ids)} is not one of the model's "
                f"{len(tokenizer)}: export with the tokenizer of the model"
            )
        items.append(item)
    return items


def train_rejection(
    model_folder: str | os.PathLike[str],
    questions: Sequence[Question],
    setup: Setup,
    settings: RejectionSettings,
    out: str | os.PathLike[str],
    *,
    progress: bool = False,
) -> Selection:
    """Lets a model play, fine-tunes it on what was right, and returns what was kept.

    ``out`` holds ``run``, the episodes, and ``model``. What is there already is not made again.

    Args:
        model_folder: where training starts.
        questions: to sample.
        setup: tools, protocol and limits; its reward teaches nothing.
        settings: of sampling, selection and fine-tuning.
        out: a folder of the training's own.
        progress: shows bars on stderr.

    Raises:
        RunError: ``out`` holds another run.
        ValueError: no episode was right.
    """
    folder = Path(out)
    setup = replace(setup, samples=settings.samples, seed=settings.seed)
    run = _sample(model_folder, questions, setup, settings, folder / "run", progress)
    selection = keep_right(run.records, settings)
    if not (folder / "model" / "config.json").is_file():
        _, tokenizer = load_model(model_folder)
        items = [_item(sft_example(record, tokenizer)) for record in selection.kept]
        fine_tune(model_folder, items, settings.sft, folder / "model", progress=progress)
    return selection


def keep_right(records: Sequence[Record], settings: RejectionSettings) -> Selection:
    """Returns the episodes that scored 1, and of these, where asked for, those that searched."""
    found = select(records, min_scores={settings.scorer: 1.0}, answered=True)
    if not settings.searched:
        return found
    kept = tuple(record for record in found.kept if record.result.num_calls)
    guessed = len(found.kept) - len(kept)
    return Selection(kept, {**found.left_out, **({"did not search": guessed} if guessed else {})})


def _sample(
    model_folder: str | os.PathLike[str],
    questions: Sequence[Question],
    setup: Setup,
    settings: RejectionSettings,
    out: Path,
    progress: bool,
) -> Run:
    chosen = questions[: settings.questions]
    sampling = Sampling(settings.max_tokens, settings.temperature)
    policy = ModelPolicy(
        TransformersGenerator(Path(model_folder), sampling=sampling, batch_size=256)
    )
    header = run_header(
        chosen,
        setup,
        name="rejection sampling",
        policy={"name": "model", **policy.describe()},
        retriever=describe_tools(setup.tools),
    )
    return run_questions(policy, chosen, setup, out, header=header, num_envs=256, progress=progress)


def _item(example: Mapping[str, Any]) -> TrainItem:
    ids = tuple(int(id_) for id_ in example["input_ids"])
    if not ids:
        raise ValueError("an example without ids")
    return TrainItem(ids, tuple(float(bit) for bit in example["loss_mask"]))
