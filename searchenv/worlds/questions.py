"""Asks questions about a graph whose answers must be searched for.

A draft is kept only if nothing but its gold passages answers it: each fact on its path is stated in
one passage, the answer is not in the question, and the entities it names and the facts it needs
belong to one split alone.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from searchenv.errors import QuestionError
from searchenv.types import Gold, Question
from searchenv.worlds.drafts import Draft, Drafter
from searchenv.worlds.graph import Entity, Fact, Graph
from searchenv.worlds.passages import Library
from searchenv.worlds.schema import RELATIONS, Kind
from searchenv.worlds.stream import Stream

__all__ = ["MIX", "QuestionType", "ask_questions"]


class QuestionType(StrEnum):
    """The shapes of questions; ``hops`` is the number of facts that one needs."""

    SIMPLE = "simple"
    """One fact about a named entity."""
    BRIDGE = "bridge"
    """Two facts, joined by an entity that the question does not name."""
    COMPOSITIONAL = "compositional"
    """Three or four facts in a row."""
    INFERENCE = "inference"
    """A family relation that no passage states, of a named person or of somebody behind a work."""
    COMPARISON = "comparison"
    """Two named things compared, directly or through somebody behind them; a choice or yes/no."""
    INTERSECTION = "intersection"
    """The one entity that meets two conditions."""


MIX: dict[tuple[QuestionType, int], int] = {
    (QuestionType.SIMPLE, 1): 8,
    (QuestionType.BRIDGE, 2): 27,
    (QuestionType.COMPOSITIONAL, 3): 12,
    (QuestionType.COMPOSITIONAL, 4): 8,
    (QuestionType.INFERENCE, 2): 8,
    (QuestionType.INFERENCE, 3): 6,
    (QuestionType.COMPARISON, 2): 12,
    (QuestionType.COMPARISON, 4): 6,
    (QuestionType.INTERSECTION, 2): 13,
}
"""How many of a hundred questions have a type and a number of hops."""

_WANTED = ("first", "second", "yes", "first", "second", "no")
"""The answers of comparisons in turn, so that always saying the same is right half of the time."""

_TRIES = 5_000


def ask_questions(
    graph: Graph,
    library: Library,
    *,
    splits: Sequence[tuple[str, int]],
    hops: Sequence[int],
    seed: int,
) -> tuple[Question, ...]:
    """Returns the questions of all splits, split after split.

    Raises:
        QuestionError: the world is too small for that many questions.
    """
    asker = _Asker(graph, library, hops, Stream(seed, "questions"))
    asker.share_out(splits)
    return tuple(question for split, count in splits for question in asker.ask(split, count))


class _Asker:
    def __init__(self, graph: Graph, library: Library, hops: Sequence[int], stream: Stream) -> None:
        self._graph = graph
        self._library = library
        self._hops = hops
        self._stream = stream
        self._drafter = Drafter(graph, stream)
        self._owner: dict[Entity | Fact, str] = {}  # the split that an entity or a fact belongs to
        self._pools: dict[str, dict[Kind, list[Entity]]] = {}
        self._texts: set[str] = set()
        self._num_comparisons: Counter[str] = Counter()

    def share_out(self, splits: Sequence[tuple[str, int]]) -> None:
        """Gives each entity to one split; questions of the others never name it."""
        total = sum(count for _, count in splits)
        self._pools = {split: {} for split, _ in splits}
        for kind in Kind:
            entities = self._stream.sample(self._graph.kinds[kind], len(self._graph.entities))
            start = done = 0
            for split, count in splits:
                done += count
                end = len(entities) * done // total
                self._pools[split][kind] = entities[start:end]
                self._owner.update(dict.fromkeys(entities[start:end], split))
                start = end

    def ask(self, split: str, count: int) -> list[Question]:
        """Returns ``count`` questions that mix the types."""
        kept = [
            (kind, self._fair_draft(split, kind, hops))
            for kind, hops, quota in self._quotas(count)
            for _ in range(quota)
        ]
        mixed = self._stream.sample(kept, len(kept))
        return [
            self._question(f"{split}-{i:04d}", split, *question) for i, question in enumerate(mixed)
        ]

    def _quotas(self, count: int) -> list[tuple[QuestionType, int, int]]:
        wanted = [(shape, weight) for shape, weight in MIX.items() if shape[1] in self._hops]
        total = sum(weight for _, weight in wanted)
        quotas, start = [], 0
        for shape, weight in wanted:
            end = start + weight
            quotas.append((*shape, end * count // total - start * count // total))
            start = end
        return quotas

    def _fair_draft(self, split: str, kind: QuestionType, hops: int) -> Draft:
        for _ in range(_TRIES):
            draft = self._draft(split, kind, hops)
            if draft and self._is_fair(draft, split, kind):
                self._texts.add(draft.text)
                self._owner.update(dict.fromkeys(draft.path, split))
                self._num_comparisons[split] += kind is QuestionType.COMPARISON
                return draft
        raise QuestionError(
            f"expected more {kind} questions of {hops} hops for the split {split!r}, found none in "
            f"{_TRIES} tries: ask for fewer questions or raise WorldConfig.entities"
        )

    def _draft(self, split: str, kind: QuestionType, hops: int) -> Draft | None:
        pool = self._pools[split]
        match kind:
            case QuestionType.COMPARISON:
                wanted = _WANTED[self._num_comparisons[split] % len(_WANTED)]
                return self._drafter.comparison(pool, hops // 2, wanted)
            case QuestionType.INTERSECTION:
                return self._drafter.intersection(pool)
            case QuestionType.INFERENCE:
                return self._drafter.inference(pool, hops)
            case _:
                return self._drafter.chain(pool, hops)

    def _is_fair(self, draft: Draft, split: str, kind: QuestionType) -> bool:
        gold = self._gold(draft)
        return (
            draft.text not in self._texts
            and len(set(draft.path)) == len(draft.path)
            and len(gold) >= min(2, len(draft.path))
            and all(self._owner.get(thing, split) == split for thing in draft.path + draft.anchors)
            and (kind is QuestionType.COMPARISON or not _gives_away(draft))
            and all(self._is_readable(draft, fact, gold) for fact in draft.path)
            and not any(self._is_implied(fact) for fact in draft.path)
        )

    def _gold(self, draft: Draft) -> list[Entity]:
        return list(dict.fromkeys(self._library.source[fact] for fact in draft.path))

    def _is_readable(self, draft: Draft, fact: Fact, gold: list[Entity]) -> bool:
        """Whether an alias in the statement of a fact is explained in gold, or is the answer."""
        hidden = self._library.under_alias.get(fact)
        if hidden is None or hidden in gold:
            return True
        uses = sum(hidden in (other.subject, other.object) for other in draft.path)
        return uses == 1 and hidden.name in draft.answers

    def _is_implied(self, fact: Fact) -> bool:
        """Whether a reader knows the fact without its passage: a capital lies in its country."""
        return fact.relation == "city_country" and bool(self._graph.into(fact.subject, "capital"))

    def _question(self, name: str, split: str, kind: QuestionType, draft: Draft) -> Question:
        gold = [self._library.passages[entity] for entity in self._gold(draft)]
        metadata: dict[str, object] = {
            "split": split,
            "type": str(kind),
            "hops": len(draft.path),
            "anchors": [self._graph.titles[anchor] for anchor in draft.anchors],
            "path": self._steps(draft),
        }
        return Question(
            id=name,
            text=draft.text,
            answers=draft.answers,
            gold=tuple(Gold(passage.title, (passage.id,)) for passage in gold),
            metadata=metadata,
        )

    def _steps(self, draft: Draft) -> list[list[str]]:
        """Returns the path in titles; marriages are told from the side that comes first."""
        steps = []
        here: Entity | str = draft.anchors[0]
        for subject, relation, target in draft.path:
            turned = RELATIONS[relation].symmetric and target == here
            start, here = (target, subject) if turned else (subject, target)
            titles = [x if isinstance(x, str) else self._graph.titles[x] for x in (start, here)]
            steps.append([titles[0], relation, titles[1]])
        return steps


def _gives_away(draft: Draft) -> bool:
    text = draft.text.casefold()
    return any(answer.casefold() in text for answer in draft.answers)
