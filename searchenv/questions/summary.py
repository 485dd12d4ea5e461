"""What a question file holds, at a glance: its layout, counts, types, hops, the first question."""

import os
from collections import Counter
from dataclasses import dataclass
from textwrap import shorten

from searchenv.questions.contrast import is_answerable
from searchenv.questions.reader import read_entries
from searchenv.types import Question

__all__ = ["QuestionSummary", "summarize_questions"]


@dataclass(frozen=True)
class QuestionSummary:
    """Counts over a question file; made by :func:`summarize_questions`."""

    layout: str
    """The name of its layout, one of ``LAYOUTS``."""
    num_questions: int
    num_unanswerable: int
    """Of them, those that MuSiQue-Full marks so."""
    num_aliases: int
    """Accepted answers beside the canonical ones."""
    num_with_gold: int
    """Questions whose supporting passages are named."""
    num_paragraphs: int
    """Passages beside the questions, repeated ones included."""
    types: dict[str, int]
    """Questions of each ``metadata["type"]``, those without one left out, in order of the name."""
    hops: dict[str, int]
    """Questions of each ``metadata["hops"]``, in the same way."""
    first: Question

    def text(self) -> str:
        """Returns the summary for people, one fact a line."""
        unanswerable = (
            f", {self.num_unanswerable:,} of them unanswerable" if self.num_unanswerable else ""
        )
        counts = [
            ("layout", self.layout),
            ("questions", f"{self.num_questions:,}{unanswerable}"),
            ("aliases", f"{self.num_aliases:,}"),
            ("with gold", f"{self.num_with_gold:,}"),
            ("passages", f"{self.num_paragraphs:,}"),
            ("types", _listed(self.types)),
            ("hops", _listed(self.hops)),
            ("first", f"{self.first.id}  {shorten(self.first.text, 200)}"),
            ("answers", shorten(" | ".join(self.first.answers), 200)),
            ("gold", shorten(" | ".join(gold.title for gold in self.first.gold), 200) or "none"),
        ]
        return "\n".join(f"{name:<10} {value}" for name, value in counts)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items()) or "not told"


def summarize_questions(
    source: str | os.PathLike[str], *, format: str | None = None
) -> QuestionSummary:
    """Returns what a question file holds; takes and raises what ``read_questions`` does."""
    entries = list(read_entries(source, format=format))
    questions = [entry.question for entry in entries]
    return QuestionSummary(
        layout=entries[0].layout.name,
        num_questions=len(questions),
        num_unanswerable=sum(not is_answerable(question) for question in questions),
        num_aliases=sum(len(question.answers) - 1 for question in questions),
        num_with_gold=sum(bool(question.gold) for question in questions),
        num_paragraphs=sum(len(entry.paragraphs) for entry in entries),
        types=_counts(questions, "type"),
        hops=_counts(questions, "hops"),
        first=questions[0],
    )


def _counts(questions: list[Question], name: str) -> dict[str, int]:
    values = (question.metadata.get(name) for question in questions)
    return dict(sorted(Counter(str(value) for value in values if value is not None).items()))
