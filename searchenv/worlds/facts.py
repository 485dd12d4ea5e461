"""Worlds of bare facts: small enough for language models of less than a million parameters.

A passage is one fact, ``Bado 's rival is Luto .``; a question goes over two of them, ``Bado 's
rival 's tutor``. Names and relations are always the same words, but every seed draws the facts
anew, so that a model can learn how to look facts up, and not the facts. Question, query and passage
share their wording: copying is what small models learn first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from searchenv.errors import QuestionError, did_you_mean
from searchenv.types import Gold, Passage, Question

__all__ = ["Fact", "FactConfig", "FactWorld", "fact_text"]

RELATIONS = ("mayor", "rival", "tutor", "twin", "guest", "owner", "pilot", "boss")
SPLITS = ("train", "dev", "test")
# No stemmer and no stop-word list touches a word of this form.
_SYLLABLES = ["".join(pair) for pair in product("bdfgklmnprstvz", "aou")]
_HELD_OUT = 6  # every so manieth entity is only asked about in test, another one in dev


class Fact(NamedTuple):
    """``subject`` and ``object`` are numbers of entities, ``relation`` that of a relation."""

    subject: int
    relation: int
    object: int


@dataclass(frozen=True, slots=True)
class FactConfig:
    """The knobs of a world of facts; equal configurations give equal worlds everywhere.

    Raises:
        ValueError: a value is out of range.
    """

    seed: int = 0
    """Of the facts and of the ids of passages; names are the same for every seed."""
    entities: int = 120
    """At least 12, at most 1,000."""
    relations: int = 6
    """From 3 to 8."""
    usual: float = 0.15
    """The share of facts whose object is the usual one of their relation, from 0 to 1: what an
    agent that does not search can guess."""
    name_words: int = 1
    """Words of a name, 1 or 2. With 2, a first and a last word are shared by several names, so that
    half an answer can be right."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, low, high in (
            ("seed", 0, float("inf")),
            ("entities", 12, 1000),
            ("relations", 3, len(RELATIONS)),
            ("usual", 0, 1),
            ("name_words", 1, 2),
        ):
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value}")


@dataclass(frozen=True)
class FactWorld:
    """The facts that a configuration determines, as passages and questions."""

    config: FactConfig = field(default_factory=FactConfig)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The entities' names, by number."""
        return _names(self.config.entities, self.config.name_words)

    @cached_property
    def relations(self) -> tuple[str, ...]:
        """The relations' names, by number."""
        return RELATIONS[: self.config.relations]

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """Every relation of every entity, in the order of the passages' ids."""
        config = self.config
        rng = np.random.default_rng(config.seed)
        shape = (config.entities, config.relations)
        subjects = np.arange(config.entities)[:, None]
        objects = rng.integers(0, config.entities - 1, size=shape)
        objects += objects >= subjects  # nobody is his own rival
        usual = np.array([self.usual(relation) for relation in range(config.relations)])[None]
        keeps = (rng.random(shape) >= config.usual) | (usual == subjects)
        objects = np.where(keeps, objects, usual)
        order = rng.permutation(objects.size).tolist()
        pairs = [divmod(place, config.relations) for place in order]
        return tuple(Fact(s, r, int(objects[s, r])) for s, r in pairs)

    @cached_property
    def passages(self) -> tuple[Passage, ...]:
        """One for each fact, without titles; ids say nothing about the facts."""
        return tuple(
            Passage(f"f{number:04}", "", fact_text(self, fact))
            for number, fact in enumerate(self.facts)
        )

    def usual(self, relation: int) -> int:
        """Returns the object that is usual for a relation, in every world."""
        return relation * 37 % self.config.entities

    def number(self, subject: int, relation: int) -> int:
        """Returns the place of a fact among ``facts`` and ``passages``."""
        return self._places[subject, relation]

    def is_held_out(self, first: int, second: int) -> bool:
        """Returns whether a pair of relations is asked for in dev and test only.

        There are such pairs from 5 relations on.
        """
        return (first + second) % 7 == 0

    def split(self, name: str, limit: int | None = None) -> tuple[Question, ...]:
        """Returns the questions of ``train``, ``dev`` or ``test``, in an order of the seed's.

        Splits share no entity that a question names. Pairs of relations with ``is_held_out`` are
        not in train.

        Args:
            name: of the split.
            limit: how many at most; None: all.

        Raises:
            QuestionError: there is no such split.
        """
        if name not in SPLITS:
            raise QuestionError(f"no split is named {name!r}. {did_you_mean(name, SPLITS)}")
        keys = [
            (entity, first, second)
            for entity in range(self.config.entities)
            if _split_of(entity) == name
            for first, second in product(range(self.config.relations), repeat=2)
            if first != second and not (name == "train" and self.is_held_out(first, second))
        ]
        rng = np.random.default_rng([self.config.seed, SPLITS.index(name)])
        return tuple(self._question(keys[i], name) for i in rng.permutation(len(keys))[:limit])

    def _question(self, key: tuple[int, int, int], split: str) -> Question:
        entity, first, second = key
        steps = [self.number(entity, first)]
        steps.append(self.number(self.facts[steps[0]].object, second))
        facts = [self.facts[step] for step in steps]
        return Question(
            id=f"w{self.config.seed}-{entity}-{first}-{second}",
            text=f"{self.names[entity]} 's {self.relations[first]} 's {self.relations[second]}",
            answers=(self.names[facts[1].object],),
            gold=tuple(Gold(ids=(self.passages[step].id,)) for step in steps),
            metadata={
                "split": split,
                "type": "unseen_pair" if self.is_held_out(first, second) else "seen_pair",
                "hops": 2,
                "path": [list(fact) for fact in facts],
            },
        )

    @cached_property
    def _places(self) -> dict[tuple[int, int], int]:
        return {(fact.subject, fact.relation): i for i, fact in enumerate(self.facts)}


def fact_text(world: FactWorld, fact: Fact) -> str:
    """Returns a fact as its passage states it."""
    names, relation = world.names, world.relations[fact.relation]
    return f"{names[fact.subject]} 's {relation} is {names[fact.object]} ."


def _split_of(entity: int) -> str:
    return {0: "test", _HELD_OUT // 2: "dev"}.get(entity % _HELD_OUT, "train")


@lru_cache(maxsize=8)
def _names(count: int, words: int) -> tuple[str, ...]:
    """Returns names of one or two words; the same ones for every world of a size."""
    rng = np.random.default_rng(7)
    every = [f"{a}{b}".capitalize() for a, b in product(_SYLLABLES, repeat=2)]
    drawn: Sequence[str] = [every[i] for i in rng.permutation(len(every))]
    if words == 1:
        return tuple(drawn[:count])
    size = int(np.ceil(count**0.5 * 1.4))
    pairs = list(product(drawn[:size], drawn[size : 2 * size]))
    return tuple(" ".join(pairs[i]) for i in rng.permutation(len(pairs))[:count])
