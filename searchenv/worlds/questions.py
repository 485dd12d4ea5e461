"""Asks questions about a graph whose answers must be searched for.

A draft is kept only if nothing but its gold passages answers it: each fact on its path is stated in one passage, the
answer is not in the question, and the entities it names and the facts it needs belong to one split alone.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from searchenv.errors import QuestionError
from searchenv.types import Gold, Question
from searchenv.worlds.forms import ANCHORS, COMPARISONS, INTERSECTIONS, KIN_ASKS, KIN_TERMS, Pick, Side
from searchenv.worlds.graph import Entity, Fact, Graph
from searchenv.worlds.passages import Library, name_in_text
from searchenv.worlds.schema import KIN, MONTHS, RELATIONS, Kind, Value
from searchenv.worlds.stream import Stream

__all__ = ["MIX", "QuestionType", "ask_questions", "value_key"]


class QuestionType(StrEnum):
    """The shapes of questions; ``hops`` is the number of facts that one needs."""

    SIMPLE = "simple"
    """One fact about a named entity."""
    BRIDGE = "bridge"
    """Two facts, joined by an entity that the question does not name."""
    COMPOSITIONAL = "compositional"
    """Three or four facts in a row."""
    INFERENCE = "inference"
    """A family relation that no passage states, for a named person or for somebody behind a work."""
    COMPARISON = "comparison"
    """Two named things compared, directly or through somebody behind them; a choice or yes/no."""
    INTERSECTION = "intersection"
    """The one entity that meets two conditions."""


MIX: dict[QuestionType, tuple[int, frozenset[int]]] = {
    QuestionType.SIMPLE: (8, frozenset({1})),
    QuestionType.BRIDGE: (27, frozenset({2})),
    QuestionType.COMPOSITIONAL: (20, frozenset({3, 4})),
    QuestionType.INFERENCE: (14, frozenset({2, 3})),
    QuestionType.COMPARISON: (18, frozenset({2, 4})),
    QuestionType.INTERSECTION: (13, frozenset({2})),
}
"""The weight of each type, and the hops that it can have."""

_TRIES = 3_000


@dataclass(frozen=True, slots=True)
class _Draft:
    text: str
    answers: tuple[str, ...]
    path: tuple[Fact, ...]
    anchors: tuple[Entity, ...]


def ask_questions(
    graph: Graph, library: Library, *, splits: Sequence[tuple[str, int]], hops: Sequence[int], seed: int
) -> tuple[Question, ...]:
    """Returns the questions of all splits, split after split.

    Raises:
        QuestionError: the world is too small for that many questions.
    """
    asker = _Asker(graph, library, frozenset(hops), Stream(seed, "questions"))
    asker.share_out(splits)
    return tuple(question for split, count in splits for question in asker.split(split, count))


def value_key(text: str) -> tuple[int, int, int]:
    """Returns a key that sorts dates, years and numbers.

    >>> value_key("3 May 1911") < value_key("1 June 1911") < value_key("1912")
    True
    """
    words = text.replace(",", "").split()
    if len(words) == 3:
        return int(words[2]), MONTHS.index(words[1]) + 1, int(words[0])
    return int(words[0]), 0, 0


@dataclass(slots=True)
class _Asker:
    graph: Graph
    library: Library
    hops: frozenset[int]
    stream: Stream
    split_of: dict[Entity | Fact, str] = field(default_factory=dict)
    pools: dict[tuple[str, Kind], list[Entity]] = field(default_factory=lambda: defaultdict(list))
    texts: set[str] = field(default_factory=set)
    balance: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def share_out(self, splits: Sequence[tuple[str, int]]) -> None:
        """Gives each entity to one split; questions of other splits never name it."""
        total = sum(count for _, count in splits)
        for kind in Kind:
            entities = self.stream.sample(self.graph.of(kind), len(self.graph.entities))
            start = done = 0
            for split, count in splits:
                done += count
                end = len(entities) * done // total
                for entity in entities[start:end]:
                    self.split_of[entity] = split
                    self.pools[split, kind].append(entity)
                start = end

    def split(self, split: str, count: int) -> list[Question]:
        """Returns ``count`` questions that mix the types."""
        kept: list[tuple[QuestionType, _Draft]] = []
        for kind, quota in self._quotas(count):
            kept += [(kind, self._one(split, kind)) for _ in range(quota)]
        mixed = self.stream.sample(kept, len(kept))
        return [self._question(f"{split}-{i:04d}", split, *pair) for i, pair in enumerate(mixed)]

    def _quotas(self, count: int) -> list[tuple[QuestionType, int]]:
        wanted = [(kind, weight) for kind, (weight, hops) in MIX.items() if hops & self.hops]
        total = sum(weight for _, weight in wanted)
        quotas, start = [], 0
        for kind, weight in wanted:
            quotas.append((kind, (start + weight) * count // total - start * count // total))
            start += weight
        return quotas

    def _one(self, split: str, kind: QuestionType) -> _Draft:
        make: dict[QuestionType, Callable[[str], _Draft | None]] = {
            QuestionType.SIMPLE: lambda split: self._chain(split, (1,)),
            QuestionType.BRIDGE: lambda split: self._chain(split, (2,)),
            QuestionType.COMPOSITIONAL: lambda split: self._chain(split, (3, 4)),
            QuestionType.INFERENCE: self._inference,
            QuestionType.COMPARISON: self._comparison,
            QuestionType.INTERSECTION: self._intersection,
        }
        for _ in range(_TRIES):
            draft = make[kind](split)
            if draft and self._is_fair(draft, split, kind):
                self.texts.add(draft.text)
                self.split_of.update(dict.fromkeys(draft.path, split))
                if kind is QuestionType.COMPARISON:
                    self.balance[split, "order" if draft.answers[0] not in {"yes", "no"} else "same"] += 1
                return draft
        raise QuestionError(
            f"expected {kind} questions for the split {split!r}, found no further one in {_TRIES} tries; "
            "ask fewer questions or raise WorldConfig.entities"
        )

    # what makes a draft fair

    def _is_fair(self, draft: _Draft, split: str, kind: QuestionType) -> bool:
        gold = self._gold(draft)
        return (
            len(draft.path) in self.hops & MIX[kind][1]
            and draft.text not in self.texts
            and len(set(draft.path)) == len(draft.path)
            and len(gold) >= min(2, len(draft.path))
            and all(self.split_of.get(fact, split) == split for fact in draft.path)
            and (kind is QuestionType.COMPARISON or not _holds(draft.text, draft.answers))
            and all(self._is_readable(draft, fact, gold) for fact in draft.path)
        )

    def _gold(self, draft: _Draft) -> list[Entity]:
        return list(dict.fromkeys(self.library.source[fact] for fact in draft.path))

    def _is_readable(self, draft: _Draft, fact: Fact, gold: list[Entity]) -> bool:
        """Whether an alias in the statement of a fact is explained by a gold passage, or is the answer itself."""
        hidden = self.library.under_alias.get(fact)
        if hidden is None or hidden in gold:
            return True
        return sum(hidden in (other.subject, other.object) for other in draft.path) == 1 and hidden.name in draft.answers

    # the shapes

    def _anchor(self, split: str, kind: Kind) -> Entity | None:
        pool = self.pools[split, kind]
        return self.stream.pick(pool) if pool else None

    def _follow(self, start: Entity, path: Sequence[str]) -> list[Fact] | None:
        """Returns the facts on a path, or None where one is missing or the path comes back to an entity."""
        facts: list[Fact] = []
        seen: list[Entity | str] = [start]
        for relation in path:
            here = seen[-1]
            if not isinstance(here, Entity):
                return None
            found = self.graph.out(here, relation)
            if not found and RELATIONS[relation].symmetric:
                found = self.graph.into(here, relation)
            if not found:
                return None
            facts.append(found[0])
            seen.append(found[0].object if found[0].subject == here else found[0].subject)
            if seen[-1] in seen[:-1]:
                return None
        return facts

    def _end(self, start: Entity, facts: Sequence[Fact]) -> Entity | str:
        here: Entity | str = start
        for fact in facts:
            here = fact.object if fact.subject == here else fact.subject
        return here

    def _chain(self, split: str, lengths: tuple[int, ...]) -> _Draft | None:
        length = self.stream.pick([n for n in lengths if n in self.hops])
        path = self._random_path(length)
        return self._draft_chain(split, path, path[-1:]) if path else None

    def _random_path(self, length: int, end: Kind | None = None) -> tuple[str, ...] | None:
        """Returns a random walk over relations, backwards from its last one; ``end`` is the kind it must reach."""
        path: list[str] = []
        target: Kind | Value | None = end
        while len(path) < length:
            fitting = [
                name
                for name, relation in RELATIONS.items()
                if relation.asks
                and (relation.object is target or target is None)
                and not (path and name in KIN and path[0] in KIN)
            ]
            if not fitting:
                return None
            path.insert(0, self.stream.pick(fitting))
            target = RELATIONS[path[0]].subject
        return tuple(path)

    def _draft_chain(self, split: str, path: tuple[str, ...], asked: tuple[str, ...]) -> _Draft | None:
        """Drafts a question about the end of ``path``; the last relations, ``asked``, form the question itself."""
        start = self._anchor(split, RELATIONS[path[0]].subject)
        facts = self._follow(start, path) if start else None
        if start is None or facts is None:
            return None
        phrase = self._name(start)
        for relation in path[: -len(asked)]:
            phrase = self.stream.pick(RELATIONS[relation].nouns).format(s=phrase)
        if len(asked) == 1:
            text = self.stream.pick(RELATIONS[asked[0]].asks).format(s=phrase)
        else:
            text = self.stream.pick(KIN_ASKS).format(s=phrase, k=KIN_TERMS[asked[0], asked[1]])
        return _Draft(text, self._answers(self._end(start, facts)), tuple(facts), (start,))

    def _inference(self, split: str) -> _Draft | None:
        kin = self.stream.pick(list(KIN_TERMS))
        lead: tuple[str, ...] | None = ()
        if 3 in self.hops and (2 not in self.hops or self.stream.chance(0.4)):
            lead = self._random_path(1, Kind.PERSON)
        if lead is None or (lead and lead[0] in KIN):
            return None
        return self._draft_chain(split, lead + kin, kin)

    def _comparison(self, split: str) -> _Draft | None:
        form = self.stream.pick(COMPARISONS)
        a, b = self._anchor(split, form.kind), self._anchor(split, form.kind)
        if a is None or b is None or _holds(a.name, (b.name,)) or _holds(b.name, (a.name,)):
            return None
        left, right = self._follow(a, form.path), self._follow(b, form.path)
        if left is None or right is None:
            return None
        ends = self._end(a, left), self._end(b, right)
        if form.pick is Pick.SAME:
            same = ends[0] == ends[1]
            if same != (self.balance[split, "same"] % 2 == 0):
                return None
            answers: tuple[str, ...] = ("yes",) if same else ("no",)
        else:
            keys = value_key(str(ends[0])), value_key(str(ends[1]))
            if keys[0] == keys[1]:
                return None
            winner = a if (keys[0] < keys[1]) == (form.pick is Pick.LEAST) else b
            if (winner is a) != (self.balance[split, "order"] % 2 == 0):
                a, b, left, right = b, a, right, left
            answers = self._answers(winner)
        text = form.text.format(a=self._name(a), b=self._name(b))
        return _Draft(text, answers, (*left, *right), (a, b))

    def _intersection(self, split: str) -> _Draft | None:
        form = self.stream.pick(INTERSECTIONS)
        first = self._meeting(self._anchor(split, self._anchor_kind(form.first)), form.first)
        if len(first) < 2:
            return None
        target = self.stream.pick(list(first))
        facts = self.graph.into(target, form.second.relation)
        if form.second.inverse:
            facts = self.graph.out(target, form.second.relation)
        if not facts:
            return None
        fact = self.stream.pick(facts)
        b = fact.object if form.second.inverse else fact.subject
        a = self._other(first[target], target)
        if not isinstance(b, Entity) or a == b or self.split_of.get(b) != split:
            return None
        second = self._meeting(b, form.second)
        if [entity for entity in first if entity in second] != [target]:
            return None
        text = form.text.format(a=self._name(a), b=self._name(b))
        return _Draft(text, self._answers(target), (first[target], second[target]), (a, b))

    def _anchor_kind(self, side: Side) -> Kind:
        relation = RELATIONS[side.relation]
        kind = relation.object if side.inverse else relation.subject
        assert isinstance(kind, Kind)
        return kind

    def _meeting(self, anchor: Entity | None, side: Side) -> dict[Entity, Fact]:
        """Returns the entities that meet a condition, each with the fact that shows it."""
        if anchor is None:
            return {}
        look = self.graph.into if side.inverse else self.graph.out
        return {self._other(fact, anchor): fact for fact in look(anchor, side.relation)}

    @staticmethod
    def _other(fact: Fact, entity: Entity) -> Entity:
        other = fact.object if fact.subject == entity else fact.subject
        assert isinstance(other, Entity)
        return other

    # words

    def _name(self, entity: Entity) -> str:
        return ANCHORS.get(entity.kind, "{n}").format(n=name_in_text(self.graph, entity))

    def _answers(self, end: Entity | str) -> tuple[str, ...]:
        """Returns the accepted answers: the name, then the alias, the title and other spellings."""
        if isinstance(end, Entity):
            spellings = [end.name, self.graph.text(end, "alias"), self.graph.titles[end]]
        else:
            spellings = [end, end.replace(",", "")]
            if len(words := end.split()) == 3:
                spellings.append(f"{words[1]} {words[0]}, {words[2]}")
        return tuple(dict.fromkeys(spelling for spelling in spellings if spelling))

    def _question(self, name: str, split: str, kind: QuestionType, draft: _Draft) -> Question:
        titles = self.graph.titles
        gold = [self.library.passages[entity] for entity in self._gold(draft)]
        path = [
            [titles[subject], relation, target if isinstance(target, str) else titles[target]]
            for subject, relation, target in draft.path
        ]
        metadata: dict[str, object] = {
            "split": split,
            "type": str(kind),
            "hops": len(draft.path),
            "anchors": [titles[anchor] for anchor in draft.anchors],
            "path": path,
        }
        return Question(
            id=name,
            text=draft.text[0].upper() + draft.text[1:],
            answers=draft.answers,
            gold=tuple(Gold(passage.title, (passage.id,)) for passage in gold),
            metadata=metadata,
        )


def _holds(text: str, names: Sequence[str]) -> bool:
    return any(name.casefold() in text.casefold() for name in names)
