"""The knowledge graph behind a world: entities, facts and the look-ups that questions need."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from searchenv.worlds.schema import Kind

__all__ = ["Entity", "Fact", "Graph"]


class Entity(NamedTuple):
    """A node of the graph. ``key`` is unique; entities with different titles may share a name."""

    key: int
    kind: Kind
    name: str
    feminine: bool = False


class Fact(NamedTuple):
    """An edge of the graph."""

    subject: Entity
    relation: str
    object: Entity | str


@dataclass(slots=True)
class Graph:
    """Entities and facts, with the look-ups that questions need."""

    entities: list[Entity] = field(default_factory=list)
    kinds: dict[Kind, list[Entity]] = field(default_factory=lambda: defaultdict(list))
    """The entities of each kind, in the order of their making."""
    facts: list[Fact] = field(default_factory=list)
    titles: dict[Entity, str] = field(default_factory=dict)
    """The entity's name, with a qualifier in brackets where several share it."""
    _out: dict[tuple[Entity, str], list[Fact]] = field(default_factory=lambda: defaultdict(list))
    _into: dict[tuple[Entity, str], list[Fact]] = field(default_factory=lambda: defaultdict(list))

    def add(self, subject: Entity, relation: str, target: Entity | str) -> None:
        """Adds one fact."""
        fact = Fact(subject, relation, target)
        self.facts.append(fact)
        self._out[subject, relation].append(fact)
        if isinstance(target, Entity):
            self._into[target, relation].append(fact)

    def out(self, subject: Entity, relation: str) -> list[Fact]:
        """Returns the facts of ``subject`` under ``relation``."""
        return self._out.get((subject, relation), [])

    def into(self, target: Entity, relation: str) -> list[Fact]:
        """Returns the facts under ``relation`` whose object is ``target``."""
        return self._into.get((target, relation), [])

    def text(self, subject: Entity, relation: str) -> str:
        """Returns the one object under ``relation`` as text, or "" if there is none."""
        facts = self.out(subject, relation)
        if not facts:
            return ""
        target = facts[0].object
        return target.name if isinstance(target, Entity) else target
