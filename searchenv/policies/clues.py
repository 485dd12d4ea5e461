"""Reads a question: which entities it names, and which relations lead from them to the answer.

The rules know some thirty relations of encyclopaedic questions and no data set. A question about
other relations gets a clue made of its own words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CONNECTOR", "Clue", "Form", "Kind", "Plan", "make_plan"]


class Kind(StrEnum):
    """What an answer looks like in a passage."""

    NAME = "name"
    DATE = "date"
    NUMBER = "number"
    WORD = "word"
    NATION = "nation"
    """A country, or the adjective made of it."""


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
    SHARE = "share"
    """Find what has to do with both of two entities."""


@dataclass(frozen=True, slots=True)
class Clue:
    """One relation, as regular expressions: how questions ask for it, how passages state it."""

    asked: str
    stated: str
    """Stands shortly before the object, in a passage about the subject."""
    inverse: str = ""
    """Stands shortly before the subject, in a passage about the object; empty: not stated so."""
    dated: str = ""
    """Stands shortly before the date, where a question wants one; empty: as ``stated``."""
    kind: Kind = Kind.NAME


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


_FATHER = Clue(
    "father",
    r"father(?! of)(?: was| is)?|(?:son|daughter|child) of(?: king| emperor)?|parents were",
    inverse="father of",
)
_MOTHER = Clue(
    "mother",
    r"mother(?! of)(?: was| is)?"
    r"|(?:parents were|(?:son|daughter|child) of)[^.;]*? and(?: his \w*\s?wife)?",
    inverse="mother of",
)
_SPOUSE = Clue(
    "spouse|husband|wife|married|marry",
    r"married(?: to)?|(?:husband|wife|spouse)(?! of)|marriage (?:to|with)",
    inverse="married|spouse,|(?:wife|husband) of",
)
_KIN = {
    "paternal grandfather": (_FATHER, _FATHER),
    "paternal grandmother": (_FATHER, _MOTHER),
    "maternal grandfather": (_MOTHER, _FATHER),
    "maternal grandmother": (_MOTHER, _MOTHER),
    "father-in-law": (_SPOUSE, _FATHER),
    "mother-in-law": (_SPOUSE, _MOTHER),
    "stepmother": (_FATHER, _SPOUSE),
    "stepfather": (_MOTHER, _SPOUSE),
}
_CLUES = (
    _FATHER,
    _MOTHER,
    _SPOUSE,
    Clue("director|directed", r"direct(?:ed|or|ion)(?: was| is| by)*|film by", "direct(?:or|ed)"),
    Clue("composer|composed|music", r"(?:music|score|composed)[^.]*? (?:by|of)|composer", "music"),
    Clue("songwriter|lyricist", r"(?:written|words|lyrics|music)[^.]*? by", "words|wrote"),
    Clue(
        "performer|performed|recorded|by the band|singer",
        r"(?:recorded|performed|sung|recording is|song|single)(?: \w+)* by|song that|artists?",
        "recorded|singles|performed",
    ),
    Clue("author|wrote|written", "written by|author is|novel by|book by", "author of|books|wrote"),
    Clue("novel that|novel is|based on", "novel|based on|adaptation of", "adapted"),
    Clue("producer|produced", "produced by|in the hands of|producer", "produced"),
    Clue("record label|signed", "signed to|appear(?:ed)? on|label", "roster"),
    Clue(
        "publisher|published",
        "published by|appeared with",
        "catalogue",
        dated="published(?: in)?|came out in",
    ),
    Clue(
        "founder|founded|established",
        r"(?:founded|established)[^.]*? by|founders?(?: was| is)?",
        "founded",
        dated="founded|established|since",
    ),
    Clue("coach|coaches", "coached by|coach", "coaches"),
    Clue(
        "member|actor",
        "members|line-up|cast|stars|starring|leading roles",
        "plays in|line-up|acted|film roles",
    ),
    Clue("mayor", "mayor", "mayor of"),
    Clue("architect|designed", "designed by|architect", "plans of|designed"),
    Clue(
        "study|studied|institution|educated|attend|graduate",
        "(?:studied|degree|educated|graduated)[^.]*? (?:at|from)",
        "former students",
    ),
    Clue(
        "birthplace|birth|born", r"birthplace is|born[^.;)]{0,40}?(?: in| at|\d{4},)", dated="born"
    ),
    Clue("burial|buried", "buried (?:in|at)"),
    Clue("die|died|death", r"(?:died|death)[^.;)]{0,40}? (?:in|at)|years in", dated="died|death"),
    Clue("younger|older", "born|founded|established|since", kind=Kind.DATE),
    Clue("head office|based", r"(?:head office is|based|headquarter\w*) in"),
    Clue("campus", "campus is in|learning in|located in"),
    Clue("formed", "formed in|band from", dated="formed"),
    Clue(r"home city|play(?=\?)", "matches in|club from"),
    Clue("stand|stands", "stands in|building in|located in"),
    Clue("flows through", "lies on the|city on the", "flows through"),
    Clue("capital", "capital is|capital of", "capital of"),
    Clue("currency", "currency is the", kind=Kind.WORD),
    Clue("language", "language is"),
    Clue("inhabitants|population", "population of|city of|inhabitants|has", kind=Kind.NUMBER),
    Clue("kilometres|shorter|longer", "river of|is", kind=Kind.NUMBER),
    Clue(
        "released?|came out|issued|recent|recently",
        r"released|came out|cinemas|issued|recorded|song from|\bis an?",
        kind=Kind.DATE,
    ),
    Clue("open|opened", "opened", kind=Kind.DATE),
    Clue("award|prize", "(?:won|received|awarded)(?: the| an?)?"),
    Clue(
        "country|countries|nationality|nationalities",
        "belongs to|(?:rises|source is) in|passport of|country was|city(?: of [0-9,]+ \\w+)? in"
        r"|\b(?:is|was) an? [a-z ]*?\bfrom|\b(?:is|was|are|were) an?(?: [0-9]{4})?",
        kind=Kind.NATION,
    ),
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
_MOST = re.compile(r"\b(?:later|latest|last|younger|youngest|more|most|longer|larger|bigger)\b")
_DATED = re.compile(r"\b(?:when|year|date)\b")
_CLOSED = re.compile(r"(?:are|is|was|were|do|does|did|have|has)\b", re.IGNORECASE)
_CONTENT = re.compile(
    r"\b(?!(?:which|what|when|where|does|have|been|that|this|with|from)\b)[a-z]{4,}"
)


def make_plan(question: str) -> Plan:
    """Returns what to look up for a question; any text gets a plan.

    >>> plan = make_plan("Who is the spouse of the director of film West Of Shanghai?")
    >>> plan.anchors, [clue.asked for clue in plan.clues]
    (('West Of Shanghai',), ['director|directed', 'spouse|husband|wife|married|marry'])
    """
    closed = bool(_CLOSED.match(question)) and " or " not in question
    spans = _anchor_spans(question, split_and=closed or " out of " in question)
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
        words = "|".join(word[:6] for word in _CONTENT.findall(masked))
        clues = [Clue("", words or "is", words)]
    dated = _DATED.search(masked) or (
        form in (Form.LEAST, Form.MOST) and clues[-1].kind is Kind.NAME
    )
    kind = Kind.DATE if dated else clues[-1].kind
    return Plan(form, tuple(anchors[: 1 if form is Form.FOLLOW else 2]), tuple(clues), kind)


def _form(masked: str, closed: bool, num_anchors: int) -> Form:
    if num_anchors < 2:
        return Form.FOLLOW
    if closed:
        return Form.SAME
    if " or " in masked or " out of " in masked:
        return Form.MOST if _MOST.search(masked) or "recent" in masked else Form.LEAST
    return Form.SHARE


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
    return sorted(found, key=lambda mention: mention[0])


def _once(clues: list[Clue]) -> list[Clue]:
    """Drops what is said twice: "the institution where X studied" is one relation."""
    kin = (_FATHER, _MOTHER, _SPOUSE)
    return [clue for i, clue in enumerate(clues) if clue in kin or clue not in clues[:i]]
