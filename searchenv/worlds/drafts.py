"""Drafts of questions: one method a shape. Whether a draft is fair is judged elsewhere."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from searchenv.worlds.forms import (
    ANCHORS,
    COMPARISONS,
    INTERSECTIONS,
    KIN_ASKS,
    KIN_TERMS,
    Pick,
    Side,
)
from searchenv.worlds.graph import Entity, Fact, Graph
from searchenv.worlds.passages import name_in_text
from searchenv.worlds.schema import KIN, MONTHS, RELATIONS, Kind, Value
from searchenv.worlds.stream import Stream

__all__ = ["Draft", "Drafter", "Pool", "value_key"]

Pool = Mapping[Kind, Sequence[Entity]]
"""The entities that a question may name."""


class Draft(NamedTuple):
    """A question that may turn out to be unfair."""

    text: str
    answers: tuple[str, ...]
    path: tuple[Fact, ...]
    """The facts that lead to the answer."""
    anchors: tuple[Entity, ...]
    """The entities that the text names."""


class _Walk(NamedTuple):
    """Facts in a row, and what they end at."""

    facts: tuple[Fact, ...]
    end: Entity | str


def value_key(text: str) -> tuple[int, int, int]:
    """Returns a key that sorts dates, years and numbers.

    >>> value_key("3 May 1911") < value_key("1 June 1911") < value_key("1912")
    True
    """
    words = text.replace(",", "").split()
    if len(words) == 3:
        return int(words[2]), MONTHS.index(words[1]) + 1, int(words[0])
    return int(words[0]), 0, 0


class Drafter:
    """Makes drafts about a graph. Each method returns None when its random choices lead nowhere."""

    def __init__(self, graph: Graph, stream: Stream) -> None:
        self._graph = graph
        self._stream = stream

    def chain(self, pool: Pool, length: int) -> Draft | None:
        """Drafts a question that follows ``length`` relations from one anchor."""
        path = self._random_path(length)
        return self._along(pool, path, path[-1:]) if path else None

    def inference(self, pool: Pool, length: int) -> Draft | None:
        """Drafts a question for a family relation: of the anchor, or of somebody behind it."""
        kin = self._stream.pick(list(KIN_TERMS))
        lead = self._random_path(length - 2, Kind.PERSON)
        if lead is None or KIN.intersection(lead):
            return None
        return self._along(pool, lead + kin, kin)

    def comparison(self, pool: Pool, length: int, wanted: str) -> Draft | None:
        """Drafts a comparison of what is ``length`` relations away from its two anchors.

        ``wanted`` is the answer: ``"yes"``, ``"no"``, or the anchor named ``"first"`` or
        ``"second"``.
        """
        yes_no = wanted in {"yes", "no"}
        form = self._stream.pick(
            [
                form
                for form in COMPARISONS
                if len(form.path) == length and (form.pick is Pick.SAME) == yes_no
            ]
        )
        anchors = self._stream.sample(pool[form.kind], 2)
        walks = [walk for anchor in anchors if (walk := self._walk(anchor, form.path))]
        if len(walks) < 2 or any(a.name in b.name for a, b in (anchors, anchors[::-1])):
            return None
        if yes_no:
            if (walks[0].end == walks[1].end) != (wanted == "yes"):
                return None
            answers: tuple[str, ...] = (wanted,)
        else:
            keys = [value_key(str(walk.end)) for walk in walks]
            if keys[0] == keys[1]:
                return None
            if (keys[0] < keys[1]) != ((form.pick is Pick.LEAST) == (wanted == "first")):
                anchors, walks = anchors[::-1], walks[::-1]
            answers = self._answers(anchors[0 if wanted == "first" else 1])
        a, b = (name_in_text(self._graph, anchor) for anchor in anchors)
        facts = walks[0].facts + walks[1].facts
        return Draft(form.text.format(a=a, b=b), answers, facts, (anchors[0], anchors[1]))

    def intersection(self, pool: Pool) -> Draft | None:
        """Drafts a question for the one entity that meets two conditions."""
        form = self._stream.pick(INTERSECTIONS)
        a = self._anchor(pool, _anchor_kind(form.first))
        first = self._meeting(a, form.first) if a else {}
        if a is None or len(first) < 2:
            return None
        target = self._stream.pick(list(first))
        look = self._graph.out if form.second.inverse else self._graph.into
        facts = look(target, form.second.relation)
        if not facts:
            return None
        b = _other(self._stream.pick(facts), target)
        second = self._meeting(b, form.second)
        if a == b or [entity for entity in first if entity in second] != [target]:
            return None
        text = form.text.format(a=self._name(a), b=self._name(b))
        return Draft(text, self._answers(target), (first[target], second[target]), (a, b))

    def _anchor(self, pool: Pool, kind: Kind) -> Entity | None:
        return self._stream.pick(pool[kind]) if pool[kind] else None

    def _random_path(self, length: int, end: Kind | None = None) -> tuple[str, ...] | None:
        """Returns a random path, drawn from its last relation on; ``end`` is what it leads to."""
        path: list[str] = []
        target: Kind | Value | None = end
        while len(path) < length:
            fitting = [
                name
                for name, relation in RELATIONS.items()
                if relation.asks
                and (target is None or relation.object is target)
                and not (path and name in KIN and path[0] in KIN)
            ]
            if not fitting:
                return None
            path.insert(0, self._stream.pick(fitting))
            target = RELATIONS[path[0]].subject
        return tuple(path)

    def _along(self, pool: Pool, path: Sequence[str], asked: Sequence[str]) -> Draft | None:
        """Drafts a question about the end of ``path``; ``asked`` are its last relations."""
        start = self._anchor(pool, RELATIONS[path[0]].subject)
        walk = self._walk(start, path) if start else None
        if start is None or walk is None:
            return None
        phrase = self._name(start)
        for relation in path[: -len(asked)]:
            phrase = self._stream.pick(RELATIONS[relation].nouns).format(s=phrase)
        if len(asked) == 1:
            text = self._stream.pick(RELATIONS[asked[0]].asks).format(s=phrase)
        else:
            text = self._stream.pick(KIN_ASKS).format(s=phrase, k=KIN_TERMS[asked[0], asked[1]])
        return Draft(text, self._answers(walk.end), walk.facts, (start,))

    def _walk(self, start: Entity, path: Sequence[str]) -> _Walk | None:
        """Returns the facts on a path; None where one is missing or an entity comes back."""
        facts: list[Fact] = []
        seen: list[Entity | str] = [start]
        for relation in path:
            here = seen[-1]
            if not isinstance(here, Entity):
                return None
            found = self._graph.out(here, relation)
            if not found and RELATIONS[relation].symmetric:
                found = self._graph.into(here, relation)
            if not found:
                return None
            facts.append(found[0])
            seen.append(found[0].object if found[0].subject == here else found[0].subject)
            if seen[-1] in seen[:-1]:
                return None
        return _Walk(tuple(facts), seen[-1])

    def _meeting(self, anchor: Entity, side: Side) -> dict[Entity, Fact]:
        """Returns the entities that meet a condition, each with the fact that shows it."""
        look = self._graph.into if side.inverse else self._graph.out
        return {_other(fact, anchor): fact for fact in look(anchor, side.relation)}

    def _name(self, entity: Entity) -> str:
        return ANCHORS.get(entity.kind, "{n}").format(n=name_in_text(self._graph, entity))

    def _answers(self, end: Entity | str) -> tuple[str, ...]:
        """Returns the accepted answers: the name, then alias and title, or other spellings."""
        if isinstance(end, Entity):
            spellings = [end.name, self._graph.text(end, "alias"), self._graph.titles[end]]
        else:
            spellings = [end, end.replace(",", "")]
            if len(words := end.split()) == 3:
                spellings.append(f"{words[1]} {words[0]}, {words[2]}")
        return tuple(dict.fromkeys(spelling for spelling in spellings if spelling))


def _anchor_kind(side: Side) -> Kind:
    """Returns the kind of the entity that a condition names."""
    relation = RELATIONS[side.relation]
    kind = relation.object if side.inverse else relation.subject
    assert isinstance(kind, Kind)
    return kind


def _other(fact: Fact, entity: Entity) -> Entity:
    other = fact.object if fact.subject == entity else fact.subject
    assert isinstance(other, Entity)
    return other
