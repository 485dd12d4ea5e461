"""Pre-training of tiny models from nothing, so that learning by reward has something to work with.

Reinforcement learning brings out what a model can do now and then. A random model never searches,
so two phases come first: one in which every episode is an oracle's, and one that covers this skill
up again with guesses and mistakes.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tqdm import tqdm

from searchenv.exports.whole import whole_folder
from searchenv.protocols import get_protocol
from searchenv.training.corpus import Corpus, Mix
from searchenv.training.items import make_batch
from searchenv.training.losses import score_tokens
from searchenv.training.models import ModelSize, make_model, save_model
from searchenv.training.teacher import Habits
from searchenv.training.tokenizer import world_tokenizer
from searchenv.worlds import FactConfig, FactWorld

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Phase", "Pretraining", "pretrain"]

_WARMUP = 100  # updates until the learning rate is reached


@dataclass(frozen=True, slots=True)
class Phase:
    """Updates on one mix of texts.

    Raises:
        ValueError: there is no update, no text in a batch, or no learning rate.
    """

    updates: int = 1000
    batch_size: int = 48
    """Texts an update."""
    learning_rate: float = 3e-3
    """Reached after at most 100 updates; then it falls, in a line, to a tenth."""
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("updates", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be > 0, got {self.learning_rate}")

    def rate(self, update: int) -> float:
        """Returns the learning rate of an update, counted from 0."""
        warm = min(1.0, (update + 1) / _WARMUP)
        return self.learning_rate * warm * (1 - 0.9 * update / self.updates)


def _phases() -> tuple[Phase, ...]:
    covered = Habits(search=0.4, right=0.3)
    return (Phase(), Phase(150, 48, 1e-3, Mix(0.05, 0.35, covered)))


@dataclass(frozen=True, slots=True)
class Pretraining:
    """All that decides a pre-trained model; the defaults take some minutes on one core."""

    world: FactConfig = field(default_factory=FactConfig)
    """Its seed is not used: the facts are drawn anew every few texts."""
    model: ModelSize = field(default_factory=ModelSize)
    phases: tuple[Phase, ...] = field(default_factory=_phases)
    protocol: str = "search_r1"
    seed: int = 0


def pretrain(settings: Pretraining, out: str | os.PathLike[str], *, progress: bool = False) -> None:
    """Trains a model from nothing and writes it as a Hugging Face folder that was not there.

    ``pretraining.json`` in it holds the settings and the loss of every tenth update. Equal settings
    give equal weights on machines that round alike.

    Raises:
        FileExistsError: ``out`` holds something.
        MissingDependencyError: transformers or torch is not installed.
    """
    protocol = get_protocol(settings.protocol)
    tokenizer = world_tokenizer(FactWorld(settings.world), protocol)
    model = make_model(tokenizer, settings.model, seed=settings.seed)
    curve: list[list[float]] = []
    with whole_folder(out) as folder:
        for number, phase in enumerate(settings.phases):
            corpus = Corpus(
                settings.world, protocol, tokenizer, phase.mix, seed=settings.seed + number
            )
            losses = _train(model, corpus, phase, progress=progress)
            curve.append([loss for update, loss in enumerate(losses) if update % 10 == 0])
        save_model(folder, model, tokenizer)
        described = {"settings": asdict(settings), "loss": curve}
        (folder / "pretraining.json").write_text(json.dumps(described, indent=1) + "\n")


def _train(
    model: "PreTrainedModel", corpus: Corpus, phase: Phase, *, progress: bool
) -> Iterator[float]:
    import torch

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    for update in tqdm(range(phase.updates), unit="update", disable=not progress):
        for group in optimizer.param_groups:
            group["lr"] = phase.rate(update)
        # two halves of like lengths, so that little is filled up
        items = sorted(corpus.batch(phase.batch_size), key=lambda item: len(item.ids))
        half = (len(items) + 1) // 2
        seen = sum(sum(item.mask[1:]) for item in items)
        optimizer.zero_grad()
        total = 0.0
        for part in filter(None, (items[:half], items[half:])):
            batch = make_batch(part)
            losses = -score_tokens(model, batch.ids).logprobs * batch.mask
            loss = losses.sum() / seen
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total
