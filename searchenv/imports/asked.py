"""Which question each row of another project's outputs is about."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from searchenv.errors import RunError
from searchenv.evaluation.outputs import Output
from searchenv.imports.rows import Format
from searchenv.types import Question

__all__ = ["one_step", "questions_of"]


def questions_of(rows: Sequence[Output], kind: Format, known: Sequence[Question]) -> list[Question]:
    """Returns the question of each row."""
    told = [kind.question(row) for row in rows]
    if known:
        by_text: dict[str, list[Question]] = defaultdict(list)
        for question in known:
            by_text[_plain(question.text)].append(question)
        told = [_matching(question, by_text, row) for question, row in zip(told, rows, strict=True)]
    seen: dict[str, tuple[Question, str]] = {}
    for question, row in zip(told, rows, strict=True):
        first, where = seen.setdefault(question.id, (question, row.where))
        if (first.text, first.answers) != (question.text, question.answers):
            raise RunError(
                f"{row.where}: the id {question.id!r} is already that of another question, of "
                f"{where}: import files of different question sets apart"
            )
    return told


def _matching(told: Question, by_text: Mapping[str, Sequence[Question]], row: Output) -> Question:
    found = by_text.get(_plain(told.text), ())
    same = [question for question in found if question.id == told.id] or found
    if len(same) != 1:
        what = "none of the questions" if not same else "several of the questions"
        raise RunError(f"{row.where}: {what} has the text {told.text!r:.80}")
    return same[0]


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip("?").rstrip().casefold()


def one_step(rows: Iterable[Output]) -> object:
    """Returns the step of the training that all rows are of; None where they say none."""
    first: Output | None = None
    for row in rows:
        first = first or row
        if row.record.get("step") != first.record.get("step"):
            raise RunError(
                f"{first.where} is of step {first.record.get('step')} and {row.where} of step "
                f"{row.record.get('step')}: these are different models, import each on its own"
            )
    return None if first is None else first.record.get("step")
