"""Reads a question: which entities it names, and which relations lead from them to the answer.

The rules know a dozen relations of encyclopaedic questions and no data set. Every other word of a
question is a clue by itself: passages may state the relation with the same word.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

__all__ = ["CONNECTOR", "Clue", "Form", "Kind", "Plan", "make_plan", "question_names"]


class Kind(StrEnum):
    """What an answer looks like in a passage."""

    NAME = "name"
    DATE = "date"
    NUMBER = "number"


class Form(StrEnum):
    """What a question wants done with the entities that it names."""

    FOLLOW = "follow"
    """Go from one entity over relations to the answer."""
    LEAST = "least"
    """Of two entities, give the one with the lower or earlier value."""
    MOST = "most"
    """Of two entities, give the one with the higher or later value."""
    SAME = "same"
    """Say yes if two entities have the same value, else no."""


@dataclass(frozen=True, slots=True)
class Clue:
    """One relation, as regular expressions."""

    asked: str
    """How questions ask for it."""
    stated: str
    """Stands near the object, in a passage about the subject."""
    kind: Kind = Kind.NAME
    optional: bool = False
    """Whether to go on without it where no passage states it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A question as the rules understand it."""

    form: Form
    anchors: tuple[str, ...]
    """The entities that the question names, as it writes them; at least one."""
    clues: tuple[Clue, ...]
    """The relations from an anchor to the answer, in the order to follow them; at least one."""
    kind: Kind
    """What the answer looks like; in a comparison, what is compared."""


_FATHER = Clue("father", "father|(?:son|daughter|child) of|parents were")
_MOTHER = Clue("mother", r"mother|(?:(?:son|daughter|child) of|parents were)[^.;]*? and")
_SPOUSE = Clue("spouse|husband|wife|married", "married(?: to)?|husband|wife|spouse")
_KIN = {
    "paternal grandfather": (_FATHER, _FATHER),
    "paternal grandmother": (_FATHER, _MOTHER),
    "maternal grandfather": (_MOTHER, _FATHER),
    "maternal grandmother": (_MOTHER, _MOTHER),
    "father-in-law": (_SPOUSE, _FATHER),
    "mother-in-law": (_SPOUSE, _MOTHER),
}
_CLUES = (
    _FATHER,
    _MOTHER,
    _SPOUSE,
    Clue("director|directed", "directed(?: by)?|direction of|director|film by"),
    Clue("composer|composed|music", r"(?:music|score|composed)[^.]*? (?:by|of)|composer"),
    Clue("performer|performed|recorded|singer", r"(?:recorded|performed|song|single)[^.]*? by"),
    Clue("author|wrote|written", "written by|author is|novel by|book by"),
    Clue("producer|produced", "produced by|producer"),
    Clue("publisher|published", "published by"),
    Clue("founder|founded", r"founded[^.]*? by|founders?"),
    Clue("birthplace|birth|born", "birthplace|born"),
    Clue("die|died|death", "died|death"),
    Clue("younger|older", "born|founded|formed|established", kind=Kind.DATE),
    Clue("released?|came out|recent", "released|came out|is an?", kind=Kind.DATE),
    Clue("inhabitants|population", "population", kind=Kind.NUMBER),
    Clue("country|nationality", r"belongs to|from|\b(?:is|was) an?(?: \d{4})?"),
)
"""Where two of them match the same words of a question, the earlier one counts."""

_STARTER = re.compile(
    "who|whom|whose|which|what|when|where|why|how|in|on|at|of|from|to|for|by|are|is|was|were|do|does"
    "|did|has|have|had|the|an?|both"
)
CONNECTOR = re.compile(
    "of|the|and|for|at|de|la|von|van|der|den|du|del|di|da|bin|ibn|le|&|y|et|e|dit"
)
"""What may stand between the capitalised words of a name."""
_OPENER = re.compile(r"\b(?:where|that|who|in which) (?=the\b|an?\b|\0)")
_NOUN = re.compile(r"^\w+(?:or|er|ect|ist|coach) $")  # "the architect Jane Doe" states no relation
_MOST = re.compile(r"\b(?:later|latest|last|younger|youngest|more|most|larger|recent)\b")
_DATED = re.compile(r"\b(?:when|year|date)\b")
_CLOSED = re.compile(r"(?:are|is|was|were|do|does|did|have|has)\b", re.IGNORECASE)
_CONTENT = re.compile(
    r"\b(?!(?:which|what|when|where|does|have|been|that|this|with|from|they|their|both|same|more|film"
    r"|song|novel|band|person|city|first|later|earlier|come|year|date|many|place|located)\b)[a-z]{4,}\b"
)


@lru_cache(maxsize=1 << 12)  # policies ask for it every turn
def make_plan(question: str) -> Plan:
    """Returns what to look up for a question; any text gets a plan.

    >>> plan = make_plan("Who is the spouse of the director of film West Of Shanghai?")
    >>> plan.anchors, [clue.asked for clue in plan.clues]
    (('West Of Shanghai',), ['director|directed', 'spouse|husband|wife|married'])
    """
    closed = bool(_CLOSED.match(question)) and " or " not in question
    spans = _anchor_spans(question, split_and=closed)
    masked = question
    for start, end in spans:
        masked = masked[:start] + "\0" * (end - start) + masked[end:]
    masked = masked.lower() if len(masked.lower()) == len(masked) else masked
    form = _form(masked, closed, len(spans))
    anchors = [question[start:end] for start, end in spans] or [question]
    if form is Form.FOLLOW:
        inner = spans[0] if spans else (len(question), len(question))
        clues = _ordered(masked, *inner)
    else:  # a comparison names the relations in reading order: "has the director who was born ..."
        clues = _once([clue for _, steps in _mentions(masked) for clue in steps])
    if not clues:
        clues = [Clue("", "is")]
    dated = _DATED.search(masked) or (
        form in (Form.LEAST, Form.MOST) and clues[-1].kind is Kind.NAME
    )
    kind = Kind.DATE if dated else clues[-1].kind
    return Plan(form, tuple(anchors[: 1 if form is Form.FOLLOW else 2]), tuple(clues), kind)


@lru_cache(maxsize=1 << 12)
def question_names(question: str) -> tuple[str, ...]:
    """Returns all entities that a question names, as it writes them; there may be none.

    >>> question_names("Which actor in Second Field was born in Port Ina?")
    ('Second Field', 'Port Ina')
    """
    closed = bool(_CLOSED.match(question)) and " or " not in question
    return tuple(question[start:end] for start, end in _anchor_spans(question, split_and=closed))


def _form(masked: str, closed: bool, num_anchors: int) -> Form:
    if num_anchors > 1 and closed:
        return Form.SAME
    if num_anchors > 1 and " or " in masked:
        return Form.MOST if _MOST.search(masked) else Form.LEAST
    return Form.FOLLOW


def _anchor_spans(question: str, *, split_and: bool) -> list[tuple[int, int]]:
    """Returns where the names in a question begin and end: its runs of capitalised words."""
    runs: list[list[int]] = []
    is_open = False
    for i, token in enumerate(re.finditer(r"\S+", question)):
        word = token[0]
        head = word.lstrip("\"'“‘(")[:1]
        if (head.isupper() or head.isdigit()) and (i > 0 or not _STARTER.fullmatch(word.lower())):
            if not is_open:
                runs.append([token.start(), token.end()])
            runs[-1][1] = token.end()
            following = question[token.end() :].lstrip()[:1]
            is_open = following.isupper() or not word.endswith(("'s", "’s"))
        elif not CONNECTOR.fullmatch(word) or (split_and and word == "and"):
            is_open = False
    names = [
        (start, re.sub(r"(?:['’]s)?[\s,;:?]*$", "", question[start:end])) for start, end in runs
    ]
    return [(start, start + len(name)) for start, name in names if name]


def _ordered(masked: str, start: int, end: int) -> list[Clue]:
    """Returns the clues around a name, the one that is to be followed first in front."""
    mentions = _mentions(masked)
    placed = [
        (at, steps) for at, steps in mentions if at < start and not _NOUN.search(masked[at:start])
    ]
    after = [(at, steps) for at, steps in mentions if at >= end]
    if after and masked.startswith(("'s", "’s", "' "), end):  # "X's father": nearer than all else
        placed.append((start, after.pop(0)[1]))
    openers = [opener.start() for opener in _OPENER.finditer(masked, 3, start + 1)]
    for _, steps in after:  # a verb after the name belongs to the nearest open "where" or "that"
        placed.append((openers.pop() if openers else -1, steps))
    placed.sort(key=lambda mention: -mention[0])
    return _once([clue for _, steps in placed for clue in steps])


def _mentions(masked: str) -> list[tuple[int, Sequence[Clue]]]:
    """Returns the clues that a question mentions, with their places, from left to right."""
    taken: list[tuple[int, int]] = []
    found: list[tuple[int, Sequence[Clue]]] = []
    for asked, steps in [*_KIN.items(), *((clue.asked, (clue,)) for clue in _CLUES)]:
        for match in re.finditer(rf"\b(?:{asked})s?(?!\w)", masked):
            if all(match.end() <= start or match.start() >= end for start, end in taken):
                taken.append(match.span())
                found.append((match.start(), steps))
    for match in _CONTENT.finditer(masked):  # a relation that the rules do not know: its own word
        if all(match.end() <= start or match.start() >= end for start, end in taken):
            word = match[0]
            found.append((match.start(), (Clue(word, rf"{word[:-2]}\w*", optional=True),)))
    return sorted(found, key=lambda mention: mention[0])


def _once(clues: list[Clue]) -> list[Clue]:
    """Drops what is said twice: "the institution where X studied" is one relation."""
    kin = (_FATHER, _MOTHER, _SPOUSE)
    return [clue for i, clue in enumerate(clues) if clue in kin or clue not in clues[:i]]
