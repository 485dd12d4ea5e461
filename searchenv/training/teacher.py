"""A policy that shows how questions of a world are answered, well or badly, for pre-training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError
from searchenv.policies.generation import sample_seed
from searchenv.types import Act, Answer, ToolCall
from searchenv.worlds import Fact, FactWorld, fact_text

__all__ = ["Habits", "Teacher"]


@dataclass(frozen=True, slots=True)
class Habits:
    """How often a teacher does what; its defaults are an oracle's.

    Raises:
        ValueError: a share is not between 0 and 1.
    """

    search: float = 1.0
    """The share of episodes in which it searches; in the others it guesses at once."""
    right: float = 1.0
    """The share of these in which it searches for the right facts and answers with what they say.
    In the others it asks for a wrong relation, believes any passage, leaves out the second search,
    or guesses after all."""
    usual: float = 0.5
    """The share of guesses that are the usual answer of the relation, and not any name."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("search", "right", "usual"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


class Teacher:
    """Plays the questions of a world with given habits.

    It searches ``E 's R1``, repeats the fact that it believes in its thoughts, searches ``F 's R2``
    and answers. What it does in an episode depends on the episode's seed and question alone. Where
    a right fact was not found it guesses.

    Args:
        world: with the answers.
        habits: how well it plays.
    """

    def __init__(self, world: FactWorld, habits: Habits) -> None:
        self._world = world
        self._habits = habits
        self._by_text = {
            passage.text: fact for passage, fact in zip(world.passages, world.facts, strict=True)
        }
        self._numbers = {name: number for number, name in enumerate(world.names)}

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the next move of each view.

        Raises:
            PolicyError: a question is not of the form ``E 's R1 's R2``.
        """
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        entity, first, second = self._read(view.question)
        turn = len(view.moves)
        # one stream an episode says what is done, another one a turn which name or passage it is
        plan = np.random.default_rng(sample_seed(view.seed, view.question_id)).random(3)
        rng = np.random.default_rng(sample_seed(view.seed, view.question_id, turn))
        if plan[0] >= self._habits.search:
            return self._guess(view, second, rng)
        if plan[1] < self._habits.right:
            return self._right(view, entity, (first, second), rng)
        return self._wrong(view, entity, (first, second), rng, int(plan[2] * 4))

    def _right(
        self, view: EpisodeView, entity: int, relations: tuple[int, int], rng: np.random.Generator
    ) -> str:
        turn = len(view.moves)
        thought = ""
        for relation in relations[:turn]:
            fact = self._fact(entity, relation)
            thought, entity = f" {fact_text(self._world, fact)} ", fact.object
        if turn and fact not in self._found(view):
            return self._guess(view, relations[1], rng)
        if turn < len(relations):
            return self._search(view, entity, relations[turn], thought)
        return self._answer(view, entity, thought)

    def _wrong(
        self,
        view: EpisodeView,
        entity: int,
        relations: tuple[int, int],
        rng: np.random.Generator,
        kind: int,
    ) -> str:
        relation = relations[int(rng.integers(2))]
        found = self._found(view)
        if not view.moves:
            return self._search(view, entity, relation, "")
        if not found:
            return self._guess(view, relations[1], rng)
        believed = found[int(rng.integers(len(found)))]
        thought = f" {fact_text(self._world, believed)} "
        if kind == 1 and len(view.moves) == 1:
            return self._search(view, believed.object, relation, thought)
        if kind == 2:
            return self._answer(view, int(rng.integers(len(self._world.names))), thought)
        return self._answer(view, believed.object, thought)

    def _guess(self, view: EpisodeView, relation: int, rng: np.random.Generator) -> str:
        is_usual = rng.random() < self._habits.usual
        entity = self._world.usual(relation) if is_usual else rng.integers(len(self._world.names))
        return self._answer(view, int(entity), "")

    def _search(self, view: EpisodeView, entity: int, relation: int, thought: str) -> str:
        query = f"{self._world.names[entity]} 's {self._world.relations[relation]}"
        return view.protocol.render(Act((ToolCall("search", query),)), thought)

    def _answer(self, view: EpisodeView, entity: int, thought: str) -> str:
        return view.protocol.render(Answer(self._world.names[entity]), thought)

    def _fact(self, entity: int, relation: int) -> Fact:
        return self._world.facts[self._world.number(entity, relation)]

    def _found(self, view: EpisodeView) -> list[Fact]:
        return [self._by_text[hit.passage.text] for hit in (view.observations or ((),))[-1]]

    def _read(self, question: str) -> tuple[int, int, int]:
        try:
            name, first, second = question.split(" 's ")
            relations = self._world.relations
            return self._numbers[name], relations.index(first), relations.index(second)
        except (KeyError, ValueError):
            raise PolicyError(
                f"expected a question of the form \"NAME 's RELATION 's RELATION\" with names and "
                f"relations of the world, got {question!r}"
            ) from None
