"""Reads passages: finds the page about an entity, and in it the span that states a relation."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from searchenv.policies.clues import CONNECTOR, Clue, Kind
from searchenv.types import Passage

__all__ = [
    "Mention",
    "bare",
    "find_page",
    "mentions",
    "names",
    "plain",
    "read",
    "read_inverse",
    "same_name",
    "sort_key",
    "states",
]

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_MONTHS = _MONTH.split("|")
_DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{_MONTH}),? \d{{3,4}}|(?:{_MONTH}) (?:\d{{1,2}}, )?\d{{3,4}}|\d{{3,4}})"
    r"(?!\d|,\d)"
)
_PATTERNS = {
    Kind.DATE: _DATE,
    Kind.NUMBER: re.compile(r"\b\d+(?:[.,]\d+)*"),
}
_TOKEN = re.compile(r"[^\W_][\w'’&-]*")
_SENTENCE_END = re.compile(r"(?<=\w\w[.!?])(?<!\b(?:St|Dr|Mr|Jr)\.)\s+|(?<=[)\"”][.!?])\s+")
_ADJECTIVE = re.compile(r"(?:\w+-)?[^\W\d_]+(?:an|ish|ese|ch|eek|ic)")
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")
_FAR = 60  # characters between a clue and what it speaks of
_BACKWARD = 10  # how much nearer a span before the clue must be than one after it
_ARTICLE = re.compile("an?|the")
_NO_NAME = re.compile(
    "it|he|she|they|his|her|its|their|in|on|at|an?|the|this|that|these|those|after|before|during|as"
    "|and|but|when|while|there|for|from|by|to|with|of|born|early|most|several|one|i"
)


def names(text: str) -> list[str]:
    """Returns the runs of capitalised words in a text, dates apart.

    >>> names("In May 1937 she met John V. Farrow, the Duke of York and Orson.")
    ['John V. Farrow', 'Duke of York', 'Orson']
    """
    return [text[start:end] for start, end in _name_spans(text)]


class Mention(NamedTuple):
    """A name, a date or a number in a text."""

    text: str
    kind: Kind
    sentence: str
    start: int
    """Where the mention begins in the sentence."""


def mentions(text: str) -> list[Mention]:
    """Returns the names, dates and numbers in a text, sentence by sentence, from left to right.

    Of a date and a number that share a digit, the longer is one.

    >>> [(m.text, m.kind.value) for m in mentions("Ann Lee, born in 1901, has 21,500 books.")]
    [('Ann Lee', 'name'), ('1901', 'date'), ('21,500', 'number')]
    """
    found: list[Mention] = []
    for sentence in _SENTENCE_END.split(text):
        spans = [(span, Kind.NAME) for span in _spans(sentence, Kind.NAME)]
        figures = [(s, kind) for kind in (Kind.DATE, Kind.NUMBER) for s in _spans(sentence, kind)]
        end = -1
        for span, kind in sorted(figures, key=lambda figure: (figure[0][0], -figure[0][1])):
            if span[0] >= end:
                spans.append((span, kind))
                end = span[1]
        found += [Mention(sentence[s:e], kind, sentence, s) for (s, e), kind in sorted(spans)]
    return found


def bare(title: str) -> str:
    """Returns a title without the qualifier in brackets that tells it from others."""
    return _QUALIFIER.sub("", title) or title


def same_name(one: str, other: str) -> bool:
    """Whether two names are equal up to case, punctuation and white space."""
    return plain(one) == plain(other)


@lru_cache(maxsize=1 << 16)
def plain(text: str) -> str:
    """Returns a text in lower case, with single blanks for punctuation and white space."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def find_page(name: str, passages: Sequence[Passage]) -> Passage | None:
    """Returns the passage about ``name``: by title, else one that names it, else the first."""
    wanted = plain(bare(name))

    def mismatch(passage: Passage) -> int:
        title = plain(bare(passage.title))
        if same_name(passage.title, name):
            return 0
        if title == wanted:
            return 1
        if title and (f" {title} " in f" {wanted} " or f" {wanted} " in f" {title} "):
            return 2
        return 3 if wanted in plain(passage.text) else 4

    return min(passages, key=mismatch, default=None)


@lru_cache(maxsize=1 << 16)  # policies are replayed over the same passages every turn
def read(passage: Passage, clue: Clue, kind: Kind) -> str | None:
    """Returns the span of this kind that stands nearest to the clue, in the clue's sentence."""
    pattern = _stated(clue)
    title = set(plain(passage.title).split())
    best: tuple[int, str] | None = None
    for sentence in _SENTENCE_END.split(passage.text):
        spans = [
            (start, end)
            for start, end in _spans(sentence, kind)
            if not title.issuperset(plain(sentence[start:end]).split())
        ]
        for match in pattern.finditer(sentence):
            for start, end in spans:
                after, before = start - match.end(), match.start() - end
                gap = after if after >= 0 else before + _BACKWARD if before >= 0 else _FAR
                if gap < _FAR and (best is None or gap < best[0]):
                    best = (gap, sentence[start:end])
    if best is None and kind is Kind.DATE:  # "Ann Lee (2 May 1901 - 3 June 1970) was ..."
        dates = _DATE.findall(passage.text)
        late = "died" in clue.stated and len(dates) > 1
        return dates[1 if late else 0] if dates else None
    return best[1] if best else None


def read_inverse(passages: Iterable[Passage], clue: Clue, name: str) -> str | None:
    """Returns the title of another page with a sentence that holds the clue and ``name``."""
    pattern = _stated(clue)
    for passage in passages:
        if passage.title and not same_name(bare(passage.title), bare(name)):
            for sentence in _SENTENCE_END.split(passage.text):
                if bare(name) in sentence and pattern.search(sentence):
                    return bare(passage.title)
    return None


@lru_cache(maxsize=1 << 16)
def states(clue: Clue, sentence: str) -> bool:
    """Whether a sentence holds the clue."""
    return _stated(clue).search(sentence) is not None


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


@lru_cache(maxsize=1 << 10)
def _stated(clue: Clue) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{clue.stated})(?!\w)", re.IGNORECASE)


def _spans(text: str, kind: Kind) -> list[tuple[int, int]]:
    if kind is Kind.NAME:  # not the adjective in "by American singer Jane Doe"
        return [
            (start, end)
            for start, end in _name_spans(text)
            if not (_ADJECTIVE.fullmatch(text[start:end]) and text[end + 1 : end + 2].islower())
        ]
    return [match.span() for match in _PATTERNS[kind].finditer(text)]


def _name_spans(text: str) -> list[tuple[int, int]]:
    text = _DATE.sub(lambda date: "\0" * len(date[0]), text)
    runs: list[tuple[int, int]] = []
    is_open = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        last = runs[-1] if is_open else None
        gap = text[last[1] : token.start()] if last else ""
        joined = last is not None and _joins(gap, text[last[0] : last[1]], token)
        if word[0].isupper() or (joined and word[0].isdigit()):
            if last and joined:
                runs[-1] = (last[0], token.end())
            elif not _NO_NAME.fullmatch(word.lower()) or _ARTICLE.fullmatch(word.lower()):
                runs.append(token.span())
                is_open = True
            else:
                is_open = False
    cut = [(start, start + len(re.sub("['’]s$", "", text[start:end]))) for start, end in runs]
    return [(start, end) for start, end in cut if not _NO_NAME.fullmatch(text[start:end].lower())]


def _joins(gap: str, run: str, token: re.Match[str]) -> bool:
    """Whether ``gap`` between a run of capitalised words and a token makes one name of them."""
    words = gap.split()
    if not words:
        return True
    if words == ["."]:
        return bool(re.search(r"\b(?:[^\W\d_]|St|Dr|Jr)$", run))
    return len(words) <= 2 and words[-1] != "and" and all(map(CONNECTOR.fullmatch, words))
