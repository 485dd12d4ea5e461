"""Corpus files as records: jsonl, json, tsv and parquet, gzipped or not, read as a stream.

A record that cannot be read is a record too, with its problem, so that the reader of passages can
report it with its line.
"""

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from searchenv.errors import CorpusError

__all__ = ["Record", "read_records"]

_CHUNK_BYTES = 1 << 20
_MAX_ELEMENT_CHARS = (
    1 << 26
)  # a list element that is longer than this is a broken file, not a passage
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
    of objects or one object a line.

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
    return _json_list(stream, path) if start.startswith(b"[") else _json_lines(stream)


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
    """Yields the elements of one JSON list, decoding one at a time from a window on the file."""
    line = 1
    while (byte := stream.read(1)) != b"[":
        line += byte == b"\n"
    decoder, chunks, window = json.JSONDecoder(), _decoded(stream, path), ""
    while True:
        stripped = window.lstrip(" \t\r\n,")
        line += window.count("\n", 0, len(window) - len(stripped))
        window = stripped
        if window.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(window)
        except ValueError as error:
            more = next(chunks, "")
            if not more or len(window) > _MAX_ELEMENT_CHARS:
                raise CorpusError(
                    f"{path}, line {line}: the JSON list is broken here: {error}"
                ) from error
            window += more
            continue
        yield _record(line, value)
        line += window.count("\n", 0, end)
        window = window[end:]


def _decoded(stream: _Stream, path: Path) -> Iterator[str]:
    """Yields the rest of a file in pieces, none of them empty."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := stream.read(_CHUNK_BYTES):
            if text := decoder.decode(data):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is not UTF-8: {error}") from error


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
