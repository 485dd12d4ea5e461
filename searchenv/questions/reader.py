"""Reads question files of every known layout and writes the common one.

A common line is ``{"id", "question", "golden_answers", "metadata"}``, as FlashRAG and Search-R1 use
it. Two fields of our own stand beside these: ``gold``, a list of ``{"title", "ids"}``, and
``images``.
"""

import gzip
import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from searchenv.errors import QuestionError
from searchenv.questions.contrast import is_answerable
from searchenv.questions.fields import Paragraph, paragraphs_of
from searchenv.questions.files import read_records
from searchenv.questions.layouts import (
    Layout,
    detect_layout,
    get_layout,
    parse_question,
    unfolded,
)
from searchenv.types import Question

__all__ = ["Entry", "read_entries", "read_questions", "write_questions"]

_logger = logging.getLogger(__name__)


def read_questions(
    source: str | os.PathLike[str],
    *,
    format: str | None = None,
    split: str | None = None,
    answerable_only: bool = False,
) -> tuple[Question, ...]:
    """Returns the questions of a file, in its order.

    Records without an id are numbered from 1. Gold passages come as titles;
    :func:`searchenv.questions.link_gold` finds their ids.

    Args:
        source: a file of jsonl, a JSON list, csv, tsv or parquet, gzipped or not; or
            ``hf:NAME:SPLIT`` or ``hf:NAME:CONFIG:SPLIT``, which the package ``datasets`` loads.
        format: a layout's name; by default the first of ``LAYOUTS`` that fits the first record.
        split: stored as ``metadata["split"]`` of every question.
        answerable_only: leaves out the unanswerable twins of MuSiQue-Full; by default they are
            kept, with a warning in the log that counts them.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file holds no questions, a record is broken or lacks a field, two records
            have the same id (the message names file and line), or ``format`` is unknown.
        MissingDependencyError: ``hf:`` without the package ``datasets``.
    """
    entries = read_entries(source, format=format, answerable_only=answerable_only)
    questions = tuple(entry.question for entry in entries)
    if split is None:
        return questions
    return tuple(replace(each, metadata={**each.metadata, "split": split}) for each in questions)


class Entry(NamedTuple):
    """A question with what stands beside it in its file."""

    question: Question
    paragraphs: tuple[Paragraph, ...]
    layout: Layout


def read_entries(
    source: str | os.PathLike[str], *, format: str | None = None, answerable_only: bool = False
) -> Iterator[Entry]:
    """Yields the questions of a file with their passages; see :func:`read_questions`."""
    unanswerable = 0
    layout = None if format is None else get_layout(format)
    seen: dict[str, str] = {}
    for where, record in read_records(os.fspath(source)):
        try:
            layout = layout or detect_layout(record)
            fields = unfolded(record, layout)
            question = parse_question(fields, layout, len(seen) + 1)
            paragraphs = tuple(paragraphs_of(fields))
        except QuestionError as error:
            raise QuestionError(f"{source}, {where}: {error}") from None
        if question.id in seen:
            raise QuestionError(
                f"{source}, {where}: id {question.id!r} is already that of {seen[question.id]}; "
                "ids must be unique in a file"
            )
        seen[question.id] = where
        answerable = is_answerable(question)
        unanswerable += not answerable
        if answerable or not answerable_only:
            yield Entry(question, paragraphs, layout)
    if len(seen) == (unanswerable if answerable_only else 0):
        raise QuestionError(f"{source} holds no {'answerable ' if seen else ''}questions")
    if unanswerable and not answerable_only:
        _logger.warning(
            "%s: %d of %d questions are unanswerable from their own passages, yet carry the answer "
            "of their twins. answerable_only=True (--answerable-only) leaves them out",
            source,
            unanswerable,
            len(seen),
        )


def write_questions(path: str | os.PathLike[str], questions: Iterable[Question]) -> None:
    """Writes questions as common jsonl, gzipped when the name ends in ``.gz``.

    The file appears under its name when it is whole. Reading it gives equal questions back, as long
    as ``metadata`` is what JSON can hold: string keys, and lists instead of tuples. The same
    questions give the same bytes.

    Raises:
        QuestionError: a question cannot be written as JSON in UTF-8.
    """
    path = Path(path)
    content = "".join(_line(question) for question in questions).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _line(question: Question) -> str:
    record: dict[str, object] = {
        "id": question.id,
        "question": question.text,
        "golden_answers": question.answers,
        "metadata": dict(question.metadata),
        "gold": [{"title": gold.title, "ids": gold.ids} for gold in question.gold],
    }
    if question.images:
        record["images"] = question.images
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        line.encode()
    except (TypeError, ValueError) as error:  # no JSON value, or a lone surrogate
        raise QuestionError(f"question {question.id!r} cannot be written: {error}") from error
    return line + "\n"
