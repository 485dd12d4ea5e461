"""MuSiQue-Full: questions that come a second time without a passage that their answer needs.

Trivedi et al. 2022 (MuSiQue, section 4.2). Both twins have one id and one answer in the file; the
second, whose ``answerable`` is false, is to be refused. That holds for a reader of its own passages
alone: a corpus in which the passages of the first twin stand as well does answer it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from searchenv.errors import QuestionError
from searchenv.types import Question

__all__ = ["UNANSWERABLE", "ContrastPair", "contrast_pairs", "is_answerable"]

UNANSWERABLE = "-unanswerable"
"""What stands behind the id of the second twin."""


class ContrastPair(NamedTuple):
    """The same question over passages with its answer, and over passages without."""

    answerable: Question
    unanswerable: Question


def is_answerable(question: Question) -> bool:
    """Returns False where the file of the question says ``answerable: false``."""
    return question.metadata.get("answerable") is not False


def contrast_pairs(questions: Iterable[Question]) -> tuple[ContrastPair, ...]:
    """Returns the pairs, in the order of their unanswerable questions; empty where there are none.

    Raises:
        QuestionError: an unanswerable question has no twin among ``questions``.
    """
    by_id = {question.id: question for question in questions}
    pairs = []
    for question in by_id.values():
        if not is_answerable(question):
            twin = by_id.get(question.id.removesuffix(UNANSWERABLE))
            if twin is None or not is_answerable(twin):
                raise QuestionError(
                    f"the unanswerable question {question.id!r} has no answerable twin: "
                    "give all questions of the file"
                )
            pairs.append(ContrastPair(twin, question))
    return tuple(pairs)
