"""A world: passages and questions that a seed determines."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from searchenv.types import Passage, Question
from searchenv.worlds.passages import write_passages
from searchenv.worlds.populate import build_graph
from searchenv.worlds.questions import ask_questions

__all__ = ["World", "WorldConfig", "content_hash", "generate_world"]


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """The knobs of a world; equal configurations give equal worlds everywhere."""

    seed: int = 0
    entities: int = 400
    """About how many entities, and so passages; at least 100."""
    train: int = 30
    dev: int = 10
    test: int = 10
    """Questions in each split."""
    hops: tuple[int, ...] = (1, 2, 3, 4)
    """How many facts a question may need; shapes that need another number are left out."""
    distractors: float = 0.3
    """The share of names that borrow a word from another name of the same kind, from 0 to 1."""
    same_names: float = 0.03
    """The share of people who are given the whole name of another, from 0 to 0.25; films that
    follow a novel take its name four times as often."""
    aliases: float = 0.15
    """The share of people with a second name, by which other passages sometimes call them."""

    def __post_init__(self) -> None:
        if self.entities < 100:
            raise ValueError(f"entities must be >= 100, got {self.entities}")
        if min(self.train, self.dev, self.test) < 0 or self.train + self.dev + self.test < 1:
            raise ValueError(
                "train, dev and test must be >= 0 and one of them >= 1, "
                f"got {self.train}, {self.dev}, {self.test}"
            )
        if not self.hops or not set(self.hops) <= {1, 2, 3, 4}:
            raise ValueError(f"hops must be one or more numbers from 1 to 4, got {self.hops}")
        for name, limit in (("distractors", 1.0), ("same_names", 0.25), ("aliases", 1.0)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} must be from 0 to {limit}, got {getattr(self, name)}")


@dataclass(frozen=True)
class World:
    """Passages, and questions that they answer.

    ``Question.metadata`` holds ``split``, ``type`` (a value of
    :class:`searchenv.worlds.QuestionType`), ``hops``, ``anchors`` (the titles of the entities that
    the question names) and ``path`` (the facts that lead to the answer, as lists of subject,
    relation and object).
    """

    config: WorldConfig
    passages: tuple[Passage, ...] = field(repr=False)
    questions: tuple[Question, ...] = field(repr=False)

    @cached_property
    def content_hash(self) -> str:
        """The sha256 of all passages and questions; the configuration is not part of it."""
        return content_hash(self.passages, self.questions)

    def split(self, name: str) -> tuple[Question, ...]:
        """Returns the questions of ``train``, ``dev`` or ``test``."""
        return tuple(question for question in self.questions if question.metadata["split"] == name)


def content_hash(passages: Iterable[Passage], questions: Iterable[Question]) -> str:
    """Returns the sha256 over one line of JSON for each passage, then for each question."""
    digest = sha256()
    for passage in passages:
        digest.update(_line(list(passage)))
    for question in questions:
        gold = [[gold.title, list(gold.ids)] for gold in question.gold]
        fields = [question.id, question.text, list(question.answers), gold, question.metadata]
        digest.update(_line(fields))
    return digest.hexdigest()


def generate_world(config: WorldConfig) -> World:
    """Returns the world of a configuration; the same one on every machine.

    Raises:
        QuestionError: the world is too small for that many questions.
    """
    graph = build_graph(
        config.entities,
        lookalikes=config.distractors,
        same_names=config.same_names,
        aliases=config.aliases,
        seed=config.seed,
    )
    library = write_passages(graph, config.seed)
    questions = ask_questions(
        graph,
        library,
        splits=(("train", config.train), ("dev", config.dev), ("test", config.test)),
        hops=config.hops,
        seed=config.seed,
    )
    return World(config, tuple(library.passages.values()), questions)


def _line(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return f"{text}\n".encode()
