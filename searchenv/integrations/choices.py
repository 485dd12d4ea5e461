"""Discrete moves and numeric features of an episode, for policies that are small networks.

Everything is made of the view of an episode, so that no gold answer can reach a policy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from searchenv.episode import EpisodeView
from searchenv.policies import OneShotPolicy
from searchenv.policies.clues import Form, Kind, Plan, make_plan
from searchenv.policies.moves import (
    expressible,
    may_search,
    passages_seen,
    searched,
    write_answer,
    write_search,
)
from searchenv.policies.reading import bare, read, same_name
from searchenv.types import Passage

__all__ = ["ACTIONS", "NUM_FEATURES", "Choices", "read_choices"]

_ANCHORS = 2
_TITLES = 5
_READ = 5
_TURNS = 8

ACTIONS = (
    "search the question",
    *(f"search name {i} of the question" for i in range(_ANCHORS)),
    *(f"search title {i} of the last passages" for i in range(_TITLES)),
    "search the question and the first last title",
    "answer what the rules read in all passages",
    *(f"answer what last passage {i} states" for i in range(_READ)),
    *(f"answer name {i} of the question" for i in range(_ANCHORS)),
    "answer yes",
    "answer no",
    "stop",
)
"""What each number does; "stop" ends the episode with the answer "unknown"."""

_FALLBACK = ACTIONS.index("answer what the rules read in all passages")
_PER_TITLE = 4
NUM_FEATURES = len(ACTIONS) + _PER_TITLE * _TITLES + _TURNS + len(Form) + len(Kind) + 2
"""Length of the feature vector; each lies between 0 and 1."""

Features = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Choices(NamedTuple):
    """What may be done in one state of an episode."""

    features: Features
    """(NUM_FEATURES,): the mask, the last titles, the turn, the question, the passages."""
    mask: Mask
    """(len(ACTIONS),): which actions are possible and not plainly useless."""
    moves: tuple[str | None, ...]
    """The text of each action in the episode's protocol; None where the mask is False."""

    def write(self, action: int) -> str:
        """Returns the move of an action.

        An action that the mask forbids searches the question, or answers by the rules once
        anything was found: learners without masks lose no turn to invalid moves.
        """
        return self.moves[action] or self.moves[_FALLBACK] or self.moves[0] or str(self.moves[-1])


def read_choices(view: EpisodeView) -> Choices:
    """Returns the features, the mask and the moves of a view."""
    plan = make_plan(view.question)
    last = [hit.passage for hit in view.observations[-1]] if view.observations else []
    known = searched(view)
    queries = _queries(view, plan, last)
    answers = _answers(plan, last)
    open_queries = [
        q if q and expressible(view.protocol, q) not in known else None for q in queries
    ]
    searches = [write_search(view, q) if q and may_search(view) else None for q in open_queries]
    rules = OneShotPolicy().act([view])[0] if view.observations else None
    moves = (*searches, rules, *(write_answer(view, a) if a else None for a in answers))
    mask = np.array([move is not None for move in moves])
    features = np.concatenate([mask, _state(view, plan, last)]).astype(np.float32)
    return Choices(features, mask, moves)


def _queries(view: EpisodeView, plan: Plan, last: Sequence[Passage]) -> list[str | None]:
    titles = _padded([bare(p.title) for p in last if p.title], _TITLES)
    both = f"{view.question} {titles[0]}" if titles[0] else None
    return [view.question, *_padded(plan.anchors, _ANCHORS), *titles, both]


def _answers(plan: Plan, last: Sequence[Passage]) -> list[str | None]:
    stated = [read(passage, plan.clues[-1], plan.kind) for passage in last]
    return [*_padded(stated, _READ), *_padded(plan.anchors, _ANCHORS), "yes", "no", "unknown"]


def _state(view: EpisodeView, plan: Plan, last: Sequence[Passage]) -> list[float]:
    titles: list[float] = []
    for passage in last[:_TITLES]:
        title = bare(passage.title)
        titles += [
            float(any(same_name(title, anchor) for anchor in plan.anchors)),
            float(title.casefold() in view.question.casefold()),
            float(read(passage, plan.clues[0], plan.clues[0].kind) is not None),
            float(read(passage, plan.clues[-1], plan.kind) is not None),
        ]
    titles += [0.0] * (_PER_TITLE * _TITLES - len(titles))
    turn = [float(min(len(view.moves), _TURNS - 1) == i) for i in range(_TURNS)]
    form = [float(plan.form is each) for each in Form]
    kind = [float(plan.kind is each) for each in Kind]
    found = min(len(passages_seen(view)) / 20, 1.0)
    return [*titles, *turn, *form, *kind, min(len(plan.clues) / 4, 1.0), found]


def _padded(texts: Sequence[str | None], size: int) -> list[str | None]:
    return [*texts[:size], *[None] * (size - len(texts))]
