"""Whether questions of an evaluation set are in a training set, equal, almost or by their passages.

Definitions, for an evaluation question e and a training question t:

- The words of a text are its longest runs of letters and digits after Unicode's NFKC form and case
  folding: "U.S. film" has the words ``u s film``.
- e and t are *equal* when they have the same words in the same order, and at least one.
- The n-grams of a question are the different windows of n words over its words with n - 1 marks put
  before the first and after the last. The marks make a changed word cost n windows wherever it
  stands, and give questions of fewer than n words windows, too.
- The *containment* of e in t is the share of e's n-grams that t has. e and t are *near* when it is
  at least ``threshold`` and they are not equal.
- e and t share their *gold* when e names gold passages and each of them is a gold passage of t. Two
  gold passages are the same when their titles are, as ``link_gold`` reads titles; without a title,
  when they have an id in common, which means something only if both files are linked to one corpus.

Answers are not compared: "yes" answers thousands of questions.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import NamedTuple

from searchenv.questions.link import plain_title
from searchenv.types import Gold, Question

__all__ = ["Overlap", "Shared", "Sharing", "find_overlap"]

_WORD = re.compile(r"[^\W_]+")
_Gram = tuple[str, ...]


class Sharing(StrEnum):
    """What two questions have in common."""

    EQUAL = "equal"
    NEAR = "near"
    GOLD = "gold"


class Shared(NamedTuple):
    """Two questions that have something in common."""

    kind: Sharing
    evaluation: Question
    training: Question
    containment: float
    """Of the evaluation question's n-grams in those of the training question, from 0 to 1."""


@dataclass(frozen=True)
class Overlap:
    """What an evaluation set has in common with a training set; made by :func:`find_overlap`."""

    num_evaluation: int
    num_training: int
    pairs: tuple[Shared, ...]
    """All of them, in the order of the evaluation questions, then of kinds, then of training."""

    def num_questions(self, kind: Sharing) -> int:
        """Returns how many evaluation questions are in a pair of this kind."""
        return len({pair.evaluation.id for pair in self.pairs if pair.kind is kind})


def find_overlap(
    training: Iterable[Question],
    evaluation: Iterable[Question],
    *,
    n: int = 3,
    threshold: float = 0.8,
) -> Overlap:
    """Returns all pairs of an evaluation and a training question that have something in common.

    :mod:`searchenv.questions.overlap` says exactly what counts. Near pairs are found
    without sampling. Questions made from one template are near when they differ in a short name
    alone: look at the pairs.

    Args:
        training: the questions that a policy learns from.
        evaluation: the questions that measure it; ids are unique.
        n: words in an n-gram, at least 1.
        threshold: the least containment of near questions, above 0 and at most 1.

    Raises:
        ValueError: ``n`` or ``threshold`` is out of its range.
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")
    known = _Training(training, n)
    evaluation = tuple(evaluation)
    pairs = (pair for question in evaluation for pair in known.pairs(question, threshold))
    return Overlap(len(evaluation), len(known.questions), tuple(pairs))


class _Training:
    """The training questions by their words, n-grams and gold passages."""

    def __init__(self, questions: Iterable[Question], n: int) -> None:
        self.questions = tuple(questions)
        self._n = n
        self._words = [_words(question.text) for question in self.questions]
        self._by_words: dict[_Gram, list[int]] = defaultdict(list)
        self._by_gram: dict[_Gram, list[int]] = defaultdict(list)
        self._by_gold: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, (question, words) in enumerate(zip(self.questions, self._words, strict=True)):
            self._by_words[words].append(number)
            for gram in _grams(words, n):
                self._by_gram[gram].append(number)
            for name in {name for gold in question.gold for name in _names(gold)}:
                self._by_gold[name].append(number)

    def pairs(self, question: Question, threshold: float) -> Iterator[Shared]:
        words = _words(question.text)
        grams = _grams(words, self._n)
        equal = self._by_words.get(words, []) if words else []
        near = [
            number
            for number in self._candidates(grams, threshold)
            if self._words[number] != words and self._containment(grams, number) >= threshold
        ]
        found = {
            Sharing.EQUAL: equal,
            Sharing.NEAR: near,
            Sharing.GOLD: self._with_gold(question.gold),
        }
        for kind, numbers in found.items():
            for number in numbers:
                share = self._containment(grams, number)
                yield Shared(kind, question, self.questions[number], share)

    def _candidates(self, grams: frozenset[_Gram], threshold: float) -> list[int]:
        """Returns every question with enough of the n-grams, among others.

        Such a question lacks so few of them that it has one of any (few + 1): the rarest are taken.
        """
        few = len(grams) - ceil(threshold * len(grams) - 1e-9)
        postings = sorted((self._by_gram.get(gram, []) for gram in grams), key=len)
        return sorted({number for posting in postings[: few + 1] for number in posting})

    def _containment(self, grams: frozenset[_Gram], number: int) -> float:
        shared = grams & _grams(self._words[number], self._n)
        return len(shared) / len(grams) if grams else 0.0

    def _with_gold(self, wanted: Sequence[Gold]) -> list[int]:
        """Returns the questions among whose gold passages all of these are."""
        holders = [
            {number for name in _names(gold) for number in self._by_gold.get(name, [])}
            for gold in wanted
        ]
        return sorted(set.intersection(*holders)) if holders else []


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _grams(words: tuple[str, ...], n: int) -> frozenset[_Gram]:
    if not words:
        return frozenset()
    marks = ("",) * (n - 1)
    marked = (*marks, *words, *marks)
    return frozenset(marked[start : start + n] for start in range(len(marked) - n + 1))


def _names(gold: Gold) -> list[tuple[str, str]]:
    """Returns what a gold passage is known by; titles and ids are kept apart."""
    title = plain_title(gold.title)
    return [("title", title)] if title else [("id", id_) for id_ in gold.ids]
