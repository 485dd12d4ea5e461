"""Reads passages: finds the page about an entity, and in it the span that states a relation."""

import re
from collections.abc import Iterable, Sequence

from searchenv.policies.clues import CONNECTORS, Clue, Kind
from searchenv.types import Passage

__all__ = ["bare", "find_page", "names", "read", "read_inverse", "same_name", "sort_key"]

_MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
).split("|")
_MONTH = f"(?:{'|'.join(_MONTHS)})"
_DATE = re.compile(
    rf"\b(?:\d{{1,2}} {_MONTH},? \d{{3,4}}|{_MONTH} (?:\d{{1,2}}, )?\d{{3,4}}|\d{{3,4}})(?!\d|,\d)"
)
_PATTERNS = {
    Kind.DATE: _DATE,
    Kind.NUMBER: re.compile(r"\b\d+(?:[.,]\d+)*"),
    Kind.WORD: re.compile(r"\b[^\W\d_]+\b"),
}
_TOKEN = re.compile(r"[^\W_][\w'’&-]*")
_SENTENCE_END = re.compile(r"(?<=\w\w[.!?])\s+|(?<=[)\"”][.!?])\s+")
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")
_FAR = 60  # characters between a clue and what it speaks of
_BACKWARD = 10  # how much nearer a span before the clue must be than one after it
_NO_NAMES = frozenset(
    "it he she they his her its their in on at a an the this that these those after before during "
    "as and but when while there for from by to with of born early most several one i".split()
)
_ARTICLES = frozenset(("a", "an", "the"))


def names(text: str) -> list[str]:
    """Returns the runs of capitalised words in a text, dates apart.

    >>> names("In May 1937 she met John V. Farrow, the Duke of York and Orson.")
    ['John V. Farrow', 'Duke of York', 'Orson']
    """
    return [text[start:end] for start, end in _name_spans(text)]


def bare(title: str) -> str:
    """Returns a title without the qualifier in brackets that tells it from others."""
    return _QUALIFIER.sub("", title) or title


def same_name(one: str, other: str) -> bool:
    """Whether two names are equal up to case, punctuation and white space."""
    return _plain(one) == _plain(other)


def find_page(name: str, passages: Sequence[Passage]) -> Passage | None:
    """Returns the passage about ``name``: by title, else the first that names it, else the first."""
    tests = (
        lambda p: same_name(p.title, name),
        lambda p: same_name(bare(p.title), bare(name)),
        lambda p: _plain(bare(name)) in _plain(p.text),
    )
    for test in tests:
        for passage in passages:
            if test(passage):
                return passage
    return passages[0] if passages else None


def read(passage: Passage, clue: Clue, kind: Kind) -> str | None:
    """Returns the span of this kind that stands nearest to the clue, in the clue's sentence."""
    wording = clue.dated if kind is Kind.DATE and clue.dated else clue.stated
    pattern = re.compile(rf"(?<!\w)(?:{wording})(?!\w)", re.IGNORECASE)
    title = set(_plain(passage.title).split())
    best: tuple[int, str] | None = None
    for sentence in _SENTENCE_END.split(passage.text):
        spans = [
            (start, end)
            for start, end in _spans(sentence, kind)
            if not title.issuperset(_plain(sentence[start:end]).split())
        ]
        for match in pattern.finditer(sentence):
            for start, end in spans:
                after, before = start - match.end(), match.start() - end
                gap = after if after >= 0 else before + _BACKWARD if before >= 0 else _FAR
                if gap < _FAR and (best is None or gap < best[0]):
                    best = (gap, sentence[start:end])
    if best is None and kind is Kind.DATE:  # "Ann Lee (2 May 1901 - 3 June 1970) was ..."
        dates = _DATE.findall(passage.text)
        late = "died" in wording and len(dates) > 1
        return dates[1 if late else 0] if dates else None
    return best[1] if best else None


def read_inverse(passages: Iterable[Passage], clue: Clue, name: str) -> str | None:
    """Returns whose passage says that it stands in the clue's relation to ``name``."""
    if not clue.inverse:
        return None
    pattern = re.compile(
        rf"(?<!\w)(?:{clue.inverse})(?!\w).{{0,100}}?{re.escape(bare(name))}(?!\w)", re.IGNORECASE
    )
    for passage in passages:
        if passage.title and not same_name(bare(passage.title), bare(name)):
            sentences = _SENTENCE_END.split(passage.text)
            if any(pattern.search(sentence) for sentence in sentences):
                return bare(passage.title)
    return None


def sort_key(value: str) -> tuple[float, ...]:
    """Returns what dates and numbers are compared by.

    >>> sort_key("3 May 1901") < sort_key("June 1, 1901") < sort_key("12,000")
    True
    """
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", value.replace(",", ""))]
    month = next((i for i, name in enumerate(_MONTHS, 1) if name in value), 0)
    if month and numbers:
        year = max(numbers)
        return (year, month, min(numbers) if len(numbers) > 1 else 0)
    return tuple(numbers[:1])


def _spans(text: str, kind: Kind) -> list[tuple[int, int]]:
    if kind is Kind.NAME:
        return _name_spans(text)
    return [match.span() for match in _PATTERNS[kind].finditer(text)]


def _name_spans(text: str) -> list[tuple[int, int]]:
    text = _DATE.sub(lambda date: "\0" * len(date[0]), text)
    runs: list[tuple[int, int]] = []
    is_open = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        last = runs[-1] if is_open else None
        gap = text[last[1] : token.start()] if last else ""
        joined = last is not None and _joins(gap, text[last[0] : last[1]])
        if word[0].isupper() or (joined and word[0].isdigit()):
            if last and joined:
                runs[-1] = (last[0], token.end())
            elif word.lower() not in _NO_NAMES or word.lower() in _ARTICLES:
                runs.append(token.span())
                is_open = True
            else:
                is_open = False
    cut = [(start, start + len(re.sub("['’]s$", "", text[start:end]))) for start, end in runs]
    return [(start, end) for start, end in cut if text[start:end].lower() not in _NO_NAMES]


def _joins(gap: str, run: str) -> bool:
    """Whether what stands between two capitalised words makes one name of them."""
    words = gap.split()
    if not words:
        return True
    if words == ["."]:
        return bool(re.search(r"\b[^\W\d_]$", run))
    return len(words) <= 2 and "and" != words[-1] and all(word in CONNECTORS for word in words)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
