"""Reads question files of every known layout and writes the common one.

A common line is ``{"id", "question", "golden_answers", "metadata"}``, as FlashRAG and Search-R1 use
it. Two fields of our own stand beside these: ``gold``, a list of ``{"title", "ids"}``, and
``images``.
"""

import codecs
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from searchenv.errors import QuestionError
from searchenv.questions.layouts import detect_layout, get_layout, parse_question
from searchenv.types import Question

__all__ = ["read_questions", "write_questions"]

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"


def read_questions(
    path: str | os.PathLike[str], *, format: str | None = None, split: str | None = None
) -> tuple[Question, ...]:
    """Returns the questions of a file, in its order.

    Records without an id are numbered from 1. Gold passages come as titles;
    :func:`searchenv.questions.link_gold` finds their ids.

    Args:
        path: jsonl or a JSON list, either gzipped or not, or parquet; told by content, not by name.
        format: a layout's name; by default the first of ``LAYOUTS`` that fits the first record.
        split: stored as ``metadata["split"]`` of every question.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file holds no questions, a record is broken or lacks a field, two records
            have the same id (the message names file and line), or ``format`` is unknown.
    """
    path = Path(path)
    layout = None if format is None else get_layout(format)
    questions: list[Question] = []
    seen: dict[str, str] = {}
    for where, record in _records(path):
        try:
            layout = layout or detect_layout(record)
            question = parse_question(record, layout, len(questions) + 1)
        except QuestionError as error:
            raise QuestionError(f"{path}, {where}: {error}") from None
        if question.id in seen:
            raise QuestionError(
                f"{path}, {where}: id {question.id!r} is already that of {seen[question.id]}; "
                "ids must be unique in a file"
            )
        seen[question.id] = where
        if split is not None:
            question = replace(question, metadata={**question.metadata, "split": split})
        questions.append(question)
    if not questions:
        raise QuestionError(f"{path} holds no questions")
    return tuple(questions)


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


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yields where a record stands, and the record."""
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == _PARQUET_MAGIC:
        yield from _parquet_records(path)
        return
    is_gzip = magic.startswith(_GZIP_MAGIC)
    with cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb") as stream:
        try:
            yield from _json_records(stream, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise QuestionError(f"{path} is not a whole gzip file: {error}") from error


def _json_records(stream: BinaryIO, path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    # A binary file is split at LF only; questions may hold U+2028 and its like.
    first = True
    for number, line in enumerate(stream, start=1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        if first and line.lstrip().startswith(b"["):
            listed = cast(list[object], _load(line + stream.read(), f"{path}"))
            for position, each in enumerate(listed, start=1):
                yield _checked(path, f"record {position}", each)
            return
        first = False
        yield _checked(path, f"line {number}", _load(line, f"{path}, line {number}"))


def _parquet_records(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        rows = read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise QuestionError(f"{path} is not a whole parquet file: {error}") from error
    for position, each in enumerate(rows, start=1):
        yield f"record {position}", each


def _load(content: bytes, where: str) -> object:
    try:
        return json.loads(content.decode())
    except ValueError as error:
        raise QuestionError(
            f"{where}: not JSON in UTF-8 ({error}); expected one object a line, or one list"
        ) from error


def _checked(path: Path, where: str, value: object) -> tuple[str, Mapping[str, object]]:
    if not isinstance(value, dict):
        raise QuestionError(f"{path}, {where}: expected a JSON object, got {value!r:.80}")
    return where, value
