"""Question files as records: json, jsonl, csv, tsv and parquet, gzipped or not, and ``datasets``.

Every record comes with the place where it stands, for messages.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from searchenv.errors import MissingDependencyError, QuestionError
from searchenv.json_stream import stream_list

__all__ = ["HUGGING_FACE", "read_records"]

Record = Mapping[str, object]
Place = tuple[str, Record]
"""Where a record stands ("line 3"), and the record."""

HUGGING_FACE = "hf:"
"""What a name begins with that is no file but a data set of the package ``datasets``."""

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_PEEKED_BYTES = 4096
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_records(source: str) -> Iterator[Place]:
    """Yields the records of a file, or of ``hf:NAME:SPLIT`` or ``hf:NAME:CONFIG:SPLIT``.

    Content decides between parquet, gzip and JSON; the ending only tells csv and tsv apart. These
    need a first line with the names of the columns, and cells that hold JSON lists or objects are
    decoded. Lines of JSON and tsv end at LF only.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file cannot be read to its end, or holds something other than records.
        MissingDependencyError: ``hf:`` without the package ``datasets``.
    """
    if source.startswith(HUGGING_FACE):
        yield from _hugging_face(source)
        return
    path = Path(source)
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic == _PARQUET_MAGIC:
        yield from _parquet(path, path)
        return
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    read = {".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}.get(ending, _json)
    with _opened(path, is_gzip=magic.startswith(_GZIP_MAGIC)) as stream:
        yield from read(stream, path)


@contextmanager
def _opened(path: Path, *, is_gzip: bool) -> Iterator[BinaryIO]:
    with cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb") as stream:
        try:
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise QuestionError(f"{path} is not a whole gzip file: {error}") from error


def _json(stream: BinaryIO, path: Path) -> Iterator[Place]:
    start = stream.read(_PEEKED_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    stream.seek(0)
    return _json_list(stream, path) if start.startswith(b"[") else _json_lines(stream, path)


def _json_list(stream: BinaryIO, path: Path) -> Iterator[Place]:
    try:
        for position, element in enumerate(stream_list(stream), start=1):
            yield _checked(path, f"record {position}", element.value)
    except QuestionError:
        raise
    except ValueError as error:
        raise QuestionError(f"{path}, {error}; expected one list, or one object a line") from error


def _json_lines(stream: BinaryIO, path: Path) -> Iterator[Place]:
    # A binary file is split at LF only; questions may hold U+2028 and its like.
    for number, line in enumerate(stream, start=1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if line.strip():
            where = f"line {number}"
            yield _checked(path, where, _load(line, f"{path}, {where}"))


def _load(content: bytes, where: str) -> object:
    try:
        return json.loads(content.decode())
    except ValueError as error:
        raise QuestionError(
            f"{where}: not JSON in UTF-8 ({error}); expected one object a line, or one list"
        ) from error


def _checked(path: Path, where: str, value: object) -> Place:
    if not isinstance(value, dict):
        raise QuestionError(f"{path}, {where}: expected a JSON object, got {value!r:.80}")
    return where, value


def _csv(stream: BinaryIO, path: Path) -> Iterator[Place]:
    line = 1
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        try:
            names: list[str] = []
            for cells in rows:
                where, line = f"line {line}", rows.line_num + 1
                if not names:
                    names = cells
                elif cells:
                    yield where, _row(names, cells, f"{path}, {where}")
        except (csv.Error, UnicodeDecodeError) as error:
            raise QuestionError(f"{path}, line {line}: not CSV in UTF-8 ({error})") from error


def _tsv(stream: BinaryIO, path: Path) -> Iterator[Place]:
    names: list[str] = []
    for number, line in enumerate(stream, start=1):
        where = f"line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise QuestionError(f"{path}, {where}: not UTF-8 ({error})") from error
        cells = [_unquoted(cell) for cell in text.split("\t")]
        if not names:
            names = cells
        elif text:
            yield where, _row(names, cells, f"{path}, {where}")


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell


def _row(names: list[str], cells: list[str], where: str) -> Record:
    if len(cells) != len(names):
        raise QuestionError(
            f"{where}: expected {len(names)} columns ({', '.join(names)}), got {len(cells)}"
        )
    return {name: _cell(cell) for name, cell in zip(names, cells, strict=True)}


def _cell(text: str) -> object:
    """Returns a cell, decoded where it is a list or an object in JSON."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _parquet(source: BinaryIO | Path, path: Path) -> Iterator[Place]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(source) as file:
            rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
            for position, each in enumerate(rows, start=1):
                yield f"record {position}", each
    except (ArrowException, OSError) as error:
        raise QuestionError(f"{path} is not a whole parquet file: {error}") from error


def _hugging_face(source: str) -> Iterator[Place]:
    parts = source.removeprefix(HUGGING_FACE).split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise QuestionError(f"expected hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT, got {source!r}")
    name, *config, split = parts
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingDependencyError(
            f'{source} needs the package datasets: pip install "searchenv[datasets]"'
        ) from error
    try:
        rows = load_dataset(name, *config, split=split)
    except Exception as error:  # the package lets through what its file systems raise
        raise QuestionError(f"{source} cannot be loaded: {error}") from error
    for position, each in enumerate(rows, start=1):
        yield f"record {position}", each
