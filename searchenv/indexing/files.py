"""Corpus files as records: jsonl, json, tsv and parquet, gzipped or not, read as a stream.

A record that cannot be read is a record too, with its problem, so that the reader of passages can
report it with its line.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from searchenv.errors import CorpusError
from searchenv.json_stream import Element, stream_list, stream_object

__all__ = ["Record", "read_records"]

_FIRST_IS_LIST = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"\s*:\s*\[')
_TEXT_FIELDS = (b"text", b"contents")
_Stream = io.BufferedReader | gzip.GzipFile
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".tsv", ".parquet")


class Record(NamedTuple):
    """One entry of a corpus file: its fields, or what is wrong with it."""

    line: int
    """From 1; in a parquet file the row."""
    fields: Mapping[str, object]
    problem: str = ""


def read_records(path: Path) -> Iterator[Record]:
    """Yields the records of a corpus file in order; memory is bounded by the largest record.

    Lines end at LF only: texts hold other Unicode line separators. A ``.json`` file may be one list
    of objects, one object a line, or one object that names the sentences of each title
    (``{"title": ["sentence", ...], ...}``, HippoRAG's corpus for HotpotQA).

    Raises:
        CorpusError: the file is not there, has an unknown ending, is no valid gzip or parquet, or
            is a JSON list that breaks off.
    """
    if not path.is_file():
        raise CorpusError(f"no corpus file at {path}")
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _SUFFIXES:
        raise CorpusError(
            f"{path}: expected a file ending in {', '.join(_SUFFIXES)} (or these with .gz)"
        )
    try:
        if suffix == ".parquet":
            yield from _parquet(path)
            return
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from _tsv(stream) if suffix == ".tsv" else _json(stream, path)
    except (EOFError, OSError, zlib.error) as error:
        raise CorpusError(f"{path} cannot be read to its end: {error}") from error


def _json(stream: _Stream, path: Path) -> Iterator[Record]:
    start = stream.peek(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return _json_list(stream, path)
    first = _FIRST_IS_LIST.match(start)
    if first and first[1] not in _TEXT_FIELDS:
        return _json_titles(stream, path)
    return _json_lines(stream)


def _json_lines(stream: _Stream) -> Iterator[Record]:
    for number, line in enumerate(stream, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        try:
            value = json.loads(text.decode("utf-8"))
        except ValueError as error:  # also UnicodeDecodeError
            yield Record(number, {}, f"no valid JSON: {error}")
        else:
            yield _record(number, value)


def _json_list(stream: _Stream, path: Path) -> Iterator[Record]:
    for element in _whole(stream_list(stream), path):
        yield _record(element.line, element.value)


def _json_titles(stream: _Stream, path: Path) -> Iterator[Record]:
    """Yields the passages of one object that names the sentences of each title."""
    for line, sentences, title in _whole(stream_object(stream), path):
        if isinstance(sentences, list) and all(isinstance(each, str) for each in sentences):
            text = " ".join(filter(None, (sentence.strip() for sentence in sentences)))
            yield Record(line, {"title": title, "text": text})
        else:
            yield Record(line, {}, f"expected the sentences of {title!r}, got {sentences!r:.40}")


def _whole(elements: Iterator[Element], path: Path) -> Iterator[Element]:
    try:
        yield from elements
    except ValueError as error:
        raise CorpusError(f"{path}, {error}") from error


def _record(line: int, value: object) -> Record:
    if isinstance(value, dict):
        return Record(line, value)
    return Record(line, {}, f"expected an object, got {type(value).__name__}")


def _tsv(stream: _Stream) -> Iterator[Record]:
    """Yields rows as ``id``, ``text``, ``title``, or under the names of a header with ``id``."""
    names = ["id", "text", "title"]
    for number, line in enumerate(stream, start=1):
        try:
            cells = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            yield Record(number, {}, f"not UTF-8: {error}")
            continue
        if number == 1 and "id" in cells:
            names = cells
        elif len(cells) < 2 or len(cells) > len(names):
            if cells != [""]:
                yield Record(
                    number,
                    {},
                    f"expected {len(names)} columns ({', '.join(names)}), got {len(cells)}",
                )
        else:
            fields = dict(zip(names, map(_unquote, cells), strict=False))
            yield Record(number, fields if "title" in fields else _split_kilt_text(fields))


def _unquote(cell: str) -> str:
    if len(cell) > 1 and cell.startswith('"') and cell.endswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell


def _split_kilt_text(fields: dict[str, str]) -> dict[str, str]:
    """Returns title and text of the two forms in which R1-Searcher keeps them in one column."""
    text = fields.get("text", "")
    if text.startswith("Title: ") and " Text: " in text:
        title, _, rest = text.removeprefix("Title: ").partition(" Text: ")
        return {**fields, "title": title.strip(), "text": rest.strip()}
    title, gap, rest = text.partition("   ")
    return {**fields, "title": title, "text": rest} if gap else fields


def _parquet(path: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(number, fields)
    except (ValueError, OSError) as error:  # Arrow's own errors are among these
        raise CorpusError(f"{path} is no readable parquet file: {error}") from error
