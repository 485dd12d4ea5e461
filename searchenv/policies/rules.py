"""Agents made of rules: they search, read and answer without a model and without the gold answers.

They are a floor that a trained agent must beat, and show that an index and its questions belong
together. A strategy is a generator: it yields what it wants to search, is sent the passages, and
returns the answer. Each turn it is replayed over the searches that the view holds, so that the
policies keep no state.
"""

from collections.abc import Generator, Sequence

from searchenv.episode import EpisodeView
from searchenv.policies.clues import Clue, Form, Kind, Plan, make_plan
from searchenv.policies.moves import (
    expressible,
    may_search,
    passages_seen,
    searched,
    write_answer,
    write_search,
)
from searchenv.policies.reading import (
    bare,
    find_page,
    read,
    read_inverse,
    same_name,
    sort_key,
)
from searchenv.types import Passage

__all__ = ["IterativePolicy", "OneShotPolicy"]

Passages = Sequence[Passage]
Steps = Generator[str, Passages, str | None]


class OneShotPolicy:
    """Searches the question once and answers the span that looks best in what came back."""

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the search or the answer of each view."""
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        if not view.observations and may_search(view):
            return write_search(view, view.question)
        return write_answer(view, _conclude(view, _solve(make_plan(view.question))))


class IterativePolicy:
    """Searches the entity that the question names, then the entities found, one after the other.

    Args:
        max_searches: searches an episode may take besides what its limits say, at least 1.
    """

    def __init__(self, max_searches: int = 7) -> None:
        if max_searches < 1:
            raise ValueError(f"max_searches must be >= 1, got {max_searches}")
        self._max_searches = max_searches

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the next search or the answer of each view."""
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        known = {query: [h.passage for h in hits] for query, hits in searched(view).items()}
        steps = _solve(make_plan(view.question))
        if len(known) < self._max_searches and may_search(view):
            try:
                query = expressible(view.protocol, next(steps))
                while query in known:
                    query = expressible(view.protocol, steps.send(known[query]))
            except StopIteration as end:
                return write_answer(view, end.value or _guess(view))
            return write_search(view, query)
        return write_answer(view, _conclude(view, steps))


def _conclude(view: EpisodeView, steps: Steps) -> str:
    """Returns the answer of a strategy that may search no more: what was found must do."""
    seen = [hit.passage for hit in passages_seen(view)]
    try:
        next(steps)
        while True:
            steps.send(seen)
    except StopIteration as end:
        return end.value or _guess(view)


def _guess(view: EpisodeView) -> str:
    titles = (bare(hit.passage.title) for hit in passages_seen(view) if hit.passage.title)
    anchors = make_plan(view.question).anchors
    return next((t for t in titles if not any(same_name(t, a) for a in anchors)), anchors[0])


def _solve(plan: Plan) -> Steps:
    if plan.form is Form.FOLLOW:
        return _follow(plan.anchors[0], plan.clues, plan.kind)
    return _compare(plan)


def _follow(name: str, clues: Sequence[Clue], kind: Kind) -> Steps:
    """Goes from ``name`` over the relations; None where one of them is not found."""
    for i, clue in enumerate(clues, start=1):
        wanted = kind if i == len(clues) else clue.kind
        passages = yield name
        page = find_page(name, passages)
        found = (page and read(page, clue, wanted)) or read_inverse(passages, clue, name)
        if found is None and not clue.optional:
            return None
        name = found or name
    return name


def _compare(plan: Plan) -> Steps:
    values: list[str | None] = []
    for anchor in plan.anchors:
        values.append((yield from _follow(anchor, plan.clues, plan.kind)))
    first, second = values
    if plan.form is Form.SAME:
        return "yes" if first and second and same_name(first, second) else "no"
    if not first or not second:
        return plan.anchors[0 if first else 1]
    pick = min if plan.form is Form.LEAST else max
    return pick(zip(map(sort_key, (first, second)), plan.anchors, strict=True))[1]
