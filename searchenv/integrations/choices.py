"""Discrete moves and numeric features of an episode, for policies that are small networks.

Everything is made of the view of an episode, so that no gold answer can reach a policy. A move
searches the question, answers yes or no, or searches or answers one of the candidates that
:mod:`searchenv.integrations.candidates` finds. All candidates have the same features, so that one
small network can judge each; among them is what the rules of
:class:`searchenv.policies.IterativePolicy` would do.
"""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt

from searchenv.episode import EpisodeView
from searchenv.integrations.candidates import Candidate, find_candidates
from searchenv.policies import IterativePolicy, OneShotPolicy
from searchenv.policies.clues import Clue, Form, Kind, Plan, make_plan, question_names
from searchenv.policies.moves import (
    may_search,
    searched,
    write_answer,
    write_search,
)
from searchenv.policies.reading import plain, read, states
from searchenv.types import Act, Answer, Passage

__all__ = [
    "ACTIONS",
    "ADVISED",
    "CANDIDATE_SIZE",
    "FIXED",
    "LAYOUT",
    "NUM_CANDIDATES",
    "NUM_FEATURES",
    "STATE_SIZE",
    "ChoiceReader",
    "Choices",
    "Features",
    "Layout",
    "Option",
    "Reader",
    "describe",
    "describe_state",
    "read_choices",
    "rules_option",
]

NUM_CANDIDATES = 24
"""How many names, dates and numbers may be searched or answered in one state."""

FIXED = ("search the question", "answer yes", "answer no")
"""The actions that do not depend on a candidate."""

ACTIONS = (
    *FIXED,
    *(f"search candidate {i}" for i in range(NUM_CANDIDATES)),
    *(f"answer candidate {i}" for i in range(NUM_CANDIDATES)),
)
"""What each number does."""

_NAMES = 4
_TURNS = 8
_DEPTHS = 4
_WORDS = 48  # buckets that words are hashed into
_FADE = 0.7
ADVISED = 6
"""Features of a candidate that depend on the searches so far and on the rules."""
_PLAIN = 25
CANDIDATE_SIZE = _PLAIN + _DEPTHS + len(Kind) + 2 * _WORDS
"""Length of the features of one candidate."""
STATE_SIZE = _TURNS + len(Form) + len(Kind) + 5 + 2 * _WORDS
"""Length of the features of the question and the turn."""
NUM_FEATURES = len(ACTIONS) + STATE_SIZE + NUM_CANDIDATES * CANDIDATE_SIZE
"""Length of the feature vector; each lies between 0 and 1."""


class Layout(NamedTuple):
    """How actions and features are put: the mask, the state, then the candidates."""

    fixed: int
    """Actions that do not depend on a candidate."""
    candidates: int
    moves: int
    """Actions for each candidate: all first ones, then all second ones."""
    state_size: int
    candidate_size: int

    @property
    def num_actions(self) -> int:
        """Length of the mask."""
        return self.fixed + self.candidates * self.moves

    @property
    def num_features(self) -> int:
        """Length of the features."""
        return self.num_actions + self.state_size + self.candidates * self.candidate_size


LAYOUT = Layout(len(FIXED), NUM_CANDIDATES, 2, STATE_SIZE, CANDIDATE_SIZE)
"""That of :func:`read_choices`."""

Features = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


class Option(NamedTuple):
    """A search or an answer."""

    answers: bool
    text: str


class Choices(NamedTuple):
    """What may be done in one state of an episode."""

    features: Features
    """(num_features,) of the layout: the mask, the state, then the candidates."""
    mask: Mask
    """(num_actions,): which actions are possible and not plainly useless."""
    moves: tuple[Option | None, ...]
    """What each action does; None where the mask is False."""

    def write(self, action: int, view: EpisodeView) -> str:
        """Returns the move of an action; one that the mask forbids follows the rules."""
        option = self.moves[action]
        if option is None:
            return IterativePolicy().act([view])[0]
        return (write_answer if option.answers else write_search)(view, option.text)


class Reader(Protocol):
    """Says what may be done in one state, always with the same layout."""

    @property
    def layout(self) -> Layout:
        """Of the choices."""
        ...

    def read(self, view: EpisodeView) -> Choices:
        """Returns what may be done."""
        ...


class ChoiceReader:
    """Reads views, and remembers the latest states that it has read.

    Args:
        size: how many states it remembers; one takes about 14 kB.
    """

    layout = LAYOUT

    def __init__(self, size: int = 8192) -> None:
        self._size = size
        self._known: dict[Hashable, Choices] = {}

    def read(self, view: EpisodeView) -> Choices:
        """Returns what :func:`read_choices` does."""
        searches = tuple(searched(view).items())
        key = (view.protocol, view.question, searches, len(view.moves), may_search(view))
        choices = self._known.pop(key, None) or read_choices(view)
        self._known[key] = choices
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]
        return choices


def read_choices(view: EpisodeView) -> Choices:
    """Returns the features, the mask and the moves of a view."""
    plan = make_plan(view.question)
    names = question_names(view.question)[:_NAMES] or plan.anchors
    known = searched(view)
    candidates = find_candidates(names, known, NUM_CANDIDATES)
    rules = rules_option(view, IterativePolicy().act([view])[0])
    answer = rules_option(view, OneShotPolicy().act([view])[0]) if view.observations else None
    done = {plain(query) for query in known}
    moves = _moves(view, candidates, done)
    mask = np.array([move is not None for move in moves])
    last = next(reversed(known), None)
    rows = np.zeros((NUM_CANDIDATES, CANDIDATE_SIZE), dtype=np.float32)
    for row, candidate in zip(rows, candidates, strict=False):
        row[:] = describe(candidate, view.question, plan)
        row[:ADVISED] = _compare(candidate, done, last, (rules, answer))
    state = describe_state(view, plan, rules)
    features = np.concatenate([mask, state, rows.ravel()], dtype=np.float32)
    return Choices(features, mask, moves)


def _moves(
    view: EpisodeView, candidates: Sequence[Candidate], done: set[str]
) -> tuple[Option | None, ...]:
    def search(text: str) -> Option | None:
        return Option(False, text) if may_search(view) and plain(text) not in done else None

    queries = [search(c.text) if c.kind is Kind.NAME else None for c in candidates]
    answers = [Option(True, c.text) for c in candidates]
    fixed = (search(view.question), Option(True, "yes"), Option(True, "no"))
    return (*fixed, *_padded(queries), *_padded(answers))


def rules_option(view: EpisodeView, text: str) -> Option | None:
    """Returns what a move of rules does; None where it is not valid."""
    move = view.protocol.parse(text)[0]
    if isinstance(move, Answer):
        return Option(True, move.text)
    return Option(False, move.calls[0].query) if isinstance(move, Act) else None


def _compare(
    candidate: Candidate, done: set[str], last: str | None, advice: Sequence[Option | None]
) -> list[float]:
    """Returns the features that depend on the searches so far and on the rules."""
    text = plain(candidate.text)
    rules, answer = (each and (each.answers, plain(each.text)) for each in advice)
    return [
        text in done,
        last is not None
        and candidate.source is not None
        and plain(candidate.source) == plain(last),
        rules == (False, text),
        rules == (True, text),
        answer == (True, text),
        min(candidate.sources, 2) == 2,
    ]


@lru_cache(maxsize=100_000)
def describe(candidate: Candidate, question: str, plan: Plan) -> npt.NDArray[np.float32]:
    """Returns the features of a candidate, (CANDIDATE_SIZE,); the first ADVISED are left 0."""
    text, passage = plain(candidate.text), candidate.passage
    here = plan.clues[min(max(candidate.depth - 1, 0), len(plan.clues) - 1)]
    goal = plan.clues[-1]
    stated = [states(clue, candidate.sentence) for clue in plan.clues]
    words = (*candidate.before, *candidate.after)
    asked = _stems(question)
    numbers = [
        *[0.0] * ADVISED,
        1.0,
        passage is None,
        candidate.inverse,
        candidate.source is None and passage is not None,
        candidate.kind is Kind.DATE and candidate.text.isdigit(),
        min(candidate.rank / 5, 1.0),
        states(here, candidate.sentence),
        stated[-1],
        sum(stated) / len(stated),
        any(stated),
        _reads(passage, here, here.kind, candidate),
        _reads(passage, goal, plan.kind, candidate),
        candidate.kind is plan.kind,
        candidate.depth >= len(plan.clues),
        text in plain(question),
        bool(asked & {_stem(w) for w in words}),
        bool(candidate.before) and _stem(candidate.before[0]) in asked,
        min(len(stated) / 4, 1.0),
        min(len(asked & _stems(candidate.sentence)) / 3, 1.0),
    ]
    depth = [float(min(candidate.depth, _DEPTHS - 1) == i) for i in range(_DEPTHS)]
    kind = [float(candidate.kind is each) for each in Kind]
    context = _bag([(w, _FADE**i) for i, w in enumerate(candidate.before)])
    context = np.maximum(context, _bag([(f"{w} ", 0.7) for w in candidate.after]))
    about = _opening(passage) if passage else np.zeros(_WORDS, dtype=np.float32)
    return np.concatenate([numbers, depth, kind, context, about], dtype=np.float32)


def describe_state(view: EpisodeView, plan: Plan, rules: Option | None) -> npt.NDArray[np.float32]:
    """Returns the features of question and turn, (STATE_SIZE,)."""
    turn = [float(min(len(view.moves), _TURNS - 1) == i) for i in range(_TURNS)]
    form = [float(plan.form is each) for each in Form]
    kind = [float(plan.kind is each) for each in Kind]
    numbers = [
        min(len(plan.clues) / 6, 1.0),
        rules is not None and rules.answers,
        rules == (True, "yes"),
        rules == (True, "no"),
        len(question_names(view.question)) > 1,
    ]
    words = [word for clue in plan.clues for word in clue.asked.split("|")[:1]]
    near = _bag([(w, _FADE**i) for i, w in enumerate(words)])
    far = _bag([(w, _FADE**i) for i, w in enumerate(reversed(words))])
    return np.concatenate([turn, form, kind, numbers, near, far], dtype=np.float32)


def _reads(passage: Passage | None, clue: Clue, kind: Kind, candidate: Candidate) -> bool:
    return bool(passage and not candidate.inverse and read(passage, clue, kind) == candidate.text)


@lru_cache(maxsize=20_000)
def _opening(passage: Passage) -> npt.NDArray[np.float32]:
    """Returns the words of the beginning, which say what the passage is about."""
    words = [word for word in passage.text[:120].split() if word.isalpha() and word.islower()]
    return _bag([(word, 1.0) for word in words[:6]])


def _bag(words: Sequence[tuple[str, float]]) -> npt.NDArray[np.float32]:
    bag = np.zeros(_WORDS, dtype=np.float32)
    for word, weight in words:
        bucket = _bucket(word)
        bag[bucket] = max(bag[bucket], weight)
    return bag


@lru_cache(maxsize=100_000)
def _bucket(word: str) -> int:
    return crc32(_stem(word).encode()) % _WORDS


def _stem(word: str) -> str:
    return word[:5]


@lru_cache(maxsize=20_000)
def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in text.split() if word.islower() and len(word) > 3)


def _padded(options: Sequence[Option | None]) -> list[Option | None]:
    return [*options, *[None] * (NUM_CANDIDATES - len(options))]
