"""The passages of an index: an Arrow file, mapped into memory, read by row, by id or by title.

A search engine returns rows and scores; the text comes from here. That costs a microsecond a
passage, not one Java call, and forked workers share the pages.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.compute as pc

from searchenv.errors import IndexMismatchError, IndexNotFoundError
from searchenv.types import Passage

__all__ = ["PassageStore", "PassageWriter", "Passages"]

_ROWS_PER_BATCH = 8192
_CACHED_PASSAGES = 65_536
_SCHEMA = pa.schema([(name, pa.large_string()) for name in Passage._fields])


class Passages(Protocol):
    """The passages of a corpus in a fixed order; ``row`` counts from 0."""

    def __len__(self) -> int:
        """Returns how many there are."""
        ...

    def passage(self, row: int) -> Passage:
        """Returns one passage by its place."""
        ...

    def batches(self) -> Iterator[list[Passage]]:
        """Yields all passages in order, some thousands at a time."""
        ...

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """Returns the passages with these ids, in that order; KeyError names an unknown one."""
        ...

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns for each known title the ids of the passages that have exactly it."""
        ...


class PassageStore:
    """The passages of an index folder.

    The file is opened at the first use, so a store can be pickled and is safe to hand to forked or
    spawned workers.

    Args:
        path: an Arrow file that :class:`PassageWriter` wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: list[pa.RecordBatch] | None = None
        self._rows_per_batch = _ROWS_PER_BATCH
        self.passage = lru_cache(_CACHED_PASSAGES)(self._read)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches())

    def _read(self, row: int) -> Passage:
        """Returns the passage of a row; ``self.passage`` is this, with a bounded cache."""
        batch = self._batches()[row // self._rows_per_batch]
        place = row % self._rows_per_batch
        return Passage(*(column[place].as_py() for column in batch.columns))

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[list[Passage]]:
        """Yields the passages of rows ``start`` to ``stop`` in order, some thousands at a time.

        Without arguments these are all passages. ``stop`` is not included.
        """
        first = 0
        for batch in self._batches():
            begin = max(start - first, 0)
            end = batch.num_rows if stop is None else min(stop - first, batch.num_rows)
            first += batch.num_rows
            if begin < end:
                columns = (c.slice(begin, end - begin).to_pylist() for c in batch.columns)
                yield list(map(Passage, *columns))

    def ids(self) -> pa.ChunkedArray:
        """Returns the column of ids."""
        return self._column("id")

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """Returns the passages with these ids, in that order. It scans the id column once.

        Raises:
            KeyError: an id is not in the corpus.
        """
        found = {self._read(row).id: row for row in self._rows("id", ids)}
        missing = [id_ for id_ in ids if id_ not in found]
        if missing:
            raise KeyError(
                f"no passage with id {missing[0]!r} ({len(missing)} of {len(ids)} ids are unknown)"
            )
        return [self.passage(found[id_]) for id_ in ids]

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns for each title the ids of the passages that have exactly it, in row order.

        Titles that no passage has are left out. It scans the title column once: ask for many at a
        time.
        """
        wanted = list(dict.fromkeys(titles))
        found: dict[str, list[str]] = {}
        for row in self._rows("title", wanted):
            passage = self._read(row)
            found.setdefault(passage.title, []).append(passage.id)
        return {title: tuple(found[title]) for title in wanted if title in found}

    def _rows(self, column: str, values: Sequence[str]) -> list[int]:
        wanted = pa.array(values, pa.large_string())
        mask = pc.is_in(self._column(column), value_set=wanted)
        rows: list[int] = pc.indices_nonzero(mask).to_pylist()
        return rows

    def _column(self, name: str) -> pa.ChunkedArray:
        return pa.chunked_array(
            [batch.column(name) for batch in self._batches()], pa.large_string()
        )

    def _batches(self) -> list[pa.RecordBatch]:
        if self._opened is None:
            if not self.path.is_file():
                raise IndexNotFoundError(f"no passages at {self.path}: build the index again")
            try:
                reader = pa.ipc.open_file(pa.memory_map(str(self.path)))
                batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            except pa.ArrowInvalid as error:
                raise IndexMismatchError(
                    f"{self.path} is damaged ({error}): build the index again"
                ) from error
            self._rows_per_batch = batches[0].num_rows if batches else _ROWS_PER_BATCH
            self._opened = batches
        return self._opened


class PassageWriter:
    """Writes the Arrow file of a corpus, a batch at a time; a context manager."""

    def __init__(self, path: Path) -> None:
        self._writer = pa.ipc.new_file(str(path), _SCHEMA)
        self._pending: list[Passage] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, passage: Passage) -> None:
        """Adds one passage as the next row."""
        self._pending.append(passage)
        if len(self._pending) == _ROWS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            columns = [
                pa.array(values, pa.large_string()) for values in zip(*self._pending, strict=True)
            ]
            self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
            self._pending = []
