"""Links gold passages, which data sets name by title, to the passage ids of an index."""

import html
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from searchenv.types import Gold, Question

__all__ = ["TitleLookup", "link_gold", "plain_title"]


class TitleLookup(Protocol):
    """Finds passages by exact title; the passage store of an index is one."""

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns the ids of the passages with each title; titles without one may be absent."""
        ...


def link_gold(questions: Iterable[Question], passages: TitleLookup) -> tuple[Question, ...]:
    """Returns the questions with ``Gold.ids`` filled in from the titles.

    A title is looked up as it is. If no passage has it, it is looked up once more with HTML
    entities resolved (HotpotQA writes ``&quot;``), in Unicode's composed form NFC and without outer
    white space. Gold passages that have ids already are left alone; those that cannot be linked
    keep empty ids.

    Where several passages share a title (MuSiQue, or articles cut into windows), all of them are
    linked and each counts as the gold passage.
    """
    questions = tuple(questions)
    titles = {gold.title for question in questions for gold in question.gold if _unlinked(gold)}
    exact = passages.ids_by_title(sorted(titles))
    plain = {title: plain_title(title) for title in titles if not exact.get(title)}
    resolved = passages.ids_by_title(sorted(set(plain.values()))) if plain else {}
    ids = {title: exact.get(title) or resolved.get(plain[title], ()) for title in titles}
    return tuple(
        replace(question, gold=tuple(_linked(gold, ids) for gold in question.gold))
        for question in questions
    )


def _unlinked(gold: Gold) -> bool:
    return bool(gold.title) and not gold.ids


def _linked(gold: Gold, ids: dict[str, tuple[str, ...]]) -> Gold:
    return replace(gold, ids=ids[gold.title]) if _unlinked(gold) else gold


def plain_title(title: str) -> str:
    """Returns a title with HTML entities resolved, in form NFC and without outer white space."""
    return unicodedata.normalize("NFC", html.unescape(title)).strip()
