"""What tiny models read before they learn by reward: copies, facts looked up, and episodes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from searchenv.episode import Episode
from searchenv.evaluation.play import play
from searchenv.protocols import TextProtocol
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.tokens import token_sample
from searchenv.training.items import TrainItem
from searchenv.training.teacher import Habits, Teacher
from searchenv.training.tokenizer import END
from searchenv.types import Limits
from searchenv.worlds import FactConfig, FactWorld

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Corpus", "Mix"]

_BACKGROUND = 0.1  # what tokens count that nobody can predict, such as retrieved passages
_COPIED = 14  # words
_WORLD_TEXTS = 16  # texts of one world; then the facts are drawn anew
_HITS = 3


@dataclass(frozen=True, slots=True)
class Mix:
    """How a batch of texts is put together.

    Raises:
        ValueError: the shares do not leave anything between 0 and 1 for episodes.
    """

    copies: float = 0.15
    """The share of texts that are random words said twice: the quickest way to copying."""
    readings: float = 0.35
    """The share of texts that are retrieved facts, and the same facts again in other orders."""
    habits: Habits = field(default_factory=Habits)
    """How the teacher plays in the episodes, which are the rest."""

    def __post_init__(self) -> None:
        """Checks the shares."""
        if min(self.copies, self.readings) < 0 or self.copies + self.readings > 1:
            raise ValueError(
                "copies and readings must be >= 0 and sum to at most 1, "
                f"got {self.copies} and {self.readings}"
            )


class Corpus:
    """An endless stream of texts of ever new worlds; equal seeds give equal streams.

    An episode ends with the end token, unless its last move ends with a stop string.

    Args:
        config: of the worlds, except for their seeds. Only questions of ``train`` are played.
        protocol: what the episodes are written in.
        tokenizer: of the model.
        mix: what there is how much of.
        seed: at least 0.
    """

    def __init__(
        self,
        config: FactConfig,
        protocol: TextProtocol,
        tokenizer: "PreTrainedTokenizerFast",
        mix: Mix,
        *,
        seed: int,
    ) -> None:
        self._config = config
        self._protocol = protocol
        self._tokenizer = tokenizer
        self._mix = mix
        self._rng = np.random.default_rng([seed, 1])
        self._tokens = tokenizer.get_vocab()
        self._end = self._tokens[END]

    def batch(self, size: int) -> list[TrainItem]:
        """Returns the next ``size`` texts."""
        items: list[TrainItem] = []
        while len(items) < size:
            world = FactWorld(replace(self._config, seed=int(self._rng.integers(2**31))))
            items += self._texts(world, min(_WORLD_TEXTS, size - len(items)))
        return items

    def _texts(self, world: FactWorld, count: int) -> Iterator[TrainItem]:
        mix, kinds = self._mix, self._rng.random(count)
        copies = int((kinds < mix.copies).sum())
        readings = int((kinds < mix.copies + mix.readings).sum()) - copies
        retriever = MemoryRetriever(world.passages)
        for _ in range(copies):
            yield self._copy(world)
        for _ in range(readings):
            yield self._reading(world, retriever)
        yield from self._episodes(world, retriever, count - copies - readings)

    def _copy(self, world: FactWorld) -> TrainItem:
        names = self._rng.integers(len(world.names), size=_COPIED)
        relations = self._rng.integers(len(world.relations), size=_COPIED)
        is_name = self._rng.random(_COPIED) < 0.7
        words = [
            world.names[name] if one else world.relations[relation]
            for name, relation, one in zip(names, relations, is_name, strict=True)
        ]
        ids = self._words(" ".join(words))
        return TrainItem(ids * 2, (0.0,) * len(ids) + (1.0,) * len(ids))

    def _reading(self, world: FactWorld, retriever: MemoryRetriever) -> TrainItem:
        """Returns practice in finding an entity's relation among the facts shown."""
        name = world.names[self._rng.integers(len(world.names))]
        relation = world.relations[self._rng.integers(len(world.relations))]
        (hits,) = retriever.search([f"{name} 's {relation}"], _HITS)
        limits = Limits()
        found = [hit.passage for hit in hits]
        block = self._protocol.render_passages(found, limits.max_observation, limits.counter)
        ids = list(self._tokenizer.encode(block, add_special_tokens=False))
        mask = [_BACKGROUND] * len(ids)
        for i in [*self._rng.permutation(len(found)), *self._rng.permutation(len(found))]:
            fact = self._words(found[i].text)
            ids += fact
            unknown = len(world.names[0].split())  # whose turn it is cannot be predicted
            mask += [_BACKGROUND] * unknown + [1.0] * (len(fact) - unknown)
        return TrainItem(tuple(ids), tuple(mask))

    def _episodes(
        self, world: FactWorld, retriever: MemoryRetriever, count: int
    ) -> Iterator[TrainItem]:
        questions = world.split("train", count)
        seeds = self._rng.integers(2**31, size=count)
        episodes = [
            Episode(question, self._protocol, Limits(), seed=int(seed))
            for question, seed in zip(questions, seeds, strict=True)
        ]
        tools = {"search": RetrieverTool(retriever, _HITS)}
        list(play(Teacher(world, self._mix.habits), episodes, tools))
        for episode in episodes:
            segments = episode.result.segments
            sample = token_sample(segments, self._tokenizer)
            item = TrainItem.of(sample, prompt=_BACKGROUND, observed=_BACKGROUND)
            if not segments[-1].text.endswith(self._protocol.stop):
                item = TrainItem((*item.ids, self._end), (*item.mask, 1.0))
            yield item

    def _words(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokens[f" {word}"] for word in text.split())
