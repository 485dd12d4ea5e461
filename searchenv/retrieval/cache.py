"""Results on disk, so that a query is searched once however many workers and runs ask for it.

One SQLite file in its write-ahead mode: a killed process leaves it whole, readers and a writer do
not wait for each other. It must lie on a disk of this machine; network file systems do not keep
the locks that it needs.

A cache is a convenience. Whatever is wrong with its file, the search goes on without it.
"""

import contextlib
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import DegradedHits, search_aligned
from searchenv.retrieval.ranking import checked
from searchenv.types import Hit, Passage

__all__ = ["CachedRetriever"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_BUSY_S = 1.0
"""How long another process may hold the file before it counts as locked."""
_PAUSE_S = 1.0
"""How long a file that failed is left alone."""

_lock = threading.Lock()
"""Held during every use of SQLite, and during a fork: a child must not inherit an open file."""
_stores: "weakref.WeakSet[_Store]" = weakref.WeakSet()


class CachedRetriever:
    """Answers from disk what was searched before; the rest is one search of the inner retriever.

    The key of a result is the inner retriever's class and fingerprint (which stands for index,
    engine and parameters), k and the query. So one file serves many retrievers, and an index that
    was built anew finds nothing stale. Processes and threads may share the file; a retriever may be
    made before a fork or pickled.

    A file that is locked, damaged, read-only or on a full disk never fails a search and never
    empties a result: the inner retriever is asked, the trouble is logged and counted in ``errors``,
    and the file is tried again after a second. Results that are
    :class:`searchenv.retrieval.DegradedHits` are passed on and not kept.

    Args:
        inner: what to search. Its results must not change while its fingerprint stays the same.
        path: the file; it and its folder are made when they are not there.
        max_bytes: what the file may grow to; what was stored first goes first. At least 1 MB.

    Raises:
        ValueError: ``max_bytes`` is too small.
    """

    def __init__(
        self, inner: Retriever, path: str | os.PathLike[str], *, max_bytes: int = 2_000_000_000
    ) -> None:
        if max_bytes < 1_000_000:
            raise ValueError(f"max_bytes must be >= 1,000,000, got {max_bytes}")
        self.inner = inner
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self._reset()

    def _reset(self) -> None:
        self._store = _Store(self.path, self.max_bytes)
        self._counting = threading.Lock()
        self._hits = self._misses = self._errors = 0
        self._paused_until = {"read": 0.0, "write": 0.0}

    def __getstate__(self) -> dict[str, object]:
        return {"inner": self.inner, "path": self.path, "max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def fingerprint(self) -> str:
        """Returns the inner retriever's: a cache changes no result."""
        return self.inner.fingerprint

    @property
    def hits(self) -> int:
        """Returns how many queries were answered without a search, by this object."""
        return self._hits

    @property
    def misses(self) -> int:
        """Returns how many queries were searched, by this object; one repeated in a batch is one.

        ``hits + misses`` is the number of queries asked.
        """
        return self._misses

    @property
    def errors(self) -> int:
        """Returns how often the file could not be used."""
        return self._errors

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        if not texts:
            return []
        keys = self._keys(texts, k)
        found = self._load(keys)
        missing = [text for text in keys if text not in found]
        if missing:
            searched = dict(zip(missing, search_aligned(self.inner, missing, k), strict=True))
            self._save({keys[text]: hits for text, hits in searched.items()})
            found.update(searched)
        with self._counting:
            self._hits += len(texts) - len(missing)
            self._misses += len(missing)
        # no two queries may share a list that a caller could change
        return [
            hits if isinstance(hits, DegradedHits) else list(hits)
            for hits in (found[text] for text in texts)
        ]

    def close(self) -> None:
        """Lets go of the file; the next search opens it again."""
        with _lock:
            self._store.close()

    def _keys(self, texts: Sequence[str], k: int) -> dict[str, str]:
        """Returns the key of each different text, in the order of their first appearance."""
        kind = type(self.inner)
        engine = f"{kind.__module__}:{kind.__qualname__}"
        scope = [_FORMAT, engine, self.inner.fingerprint, k]
        return {
            text: hashlib.sha256(json.dumps([*scope, text]).encode()).hexdigest() for text in texts
        }

    def _load(self, keys: Mapping[str, str]) -> dict[str, list[Hit]]:
        if time.monotonic() < self._paused_until["read"]:
            return {}
        try:
            with _lock:
                values = self._store.load(list(keys.values()))
            return {text: _hits_of(values[key]) for text, key in keys.items() if key in values}
        except (sqlite3.Error, OSError, ValueError) as error:
            self._pause("read", error)
            return {}

    def _save(self, results: Mapping[str, list[Hit]]) -> None:
        whole = {k: _text_of(h) for k, h in results.items() if not isinstance(h, DegradedHits)}
        if not whole or time.monotonic() < self._paused_until["write"]:
            return
        try:
            with _lock:
                self._store.save(whole)
        except (sqlite3.Error, OSError) as error:
            self._pause("write", error)

    def _pause(self, what: str, error: Exception) -> None:
        self._paused_until[what] = time.monotonic() + _PAUSE_S
        with self._counting:
            self._errors += 1
        logger.warning(
            "cannot %s the cache %s (%s: %s): searching without it", what, self.path,
            type(error).__name__, error, exc_info=True,
        )  # fmt: skip


class _Store:
    """The file. Hold ``_lock`` round every call.

    A row keeps a checksum, because SQLite notices damage to its pages' structure but not to a text.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        with _lock:
            _stores.add(self)

    def __del__(self) -> None:
        self.close()

    def load(self, keys: Sequence[str]) -> dict[str, str]:
        """Returns the values of those keys that are there."""
        rows = self._execute(
            "SELECT key, value, checksum FROM results "
            "WHERE key IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        )
        return {key: value for key, value, checksum in rows if checksum == _checksum(key, value)}

    def save(self, values: Mapping[str, str]) -> None:
        """Stores all values or none."""
        rows = [(key, value, _checksum(key, value)) for key, value in values.items()]
        connection = self._open()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
            while self._used_bytes() > self._max_bytes and self._sweep():
                pass
            connection.execute("COMMIT")
        except BaseException:  # also a timeout's signal: an open transaction locks all others out
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _used_bytes(self) -> int:
        size = "(page_count - freelist_count) * page_size"
        tables = "pragma_page_count, pragma_freelist_count, pragma_page_size"
        used: int = self._open().execute(f"SELECT {size} FROM {tables}").fetchone()[0]
        return used

    def _sweep(self) -> int:
        """Deletes the oldest tenth of the rows and returns how many they were."""
        tenth = "(SELECT count(*) / 10 + 1 FROM results)"
        oldest = f"SELECT rowid FROM results ORDER BY rowid LIMIT {tenth}"
        return self._open().execute(f"DELETE FROM results WHERE rowid IN ({oldest})").rowcount

    def _execute(self, statement: str, values: Sequence[str] = ()) -> list[tuple[str, str, int]]:
        try:
            return self._open().execute(statement, values).fetchall()
        except sqlite3.Error:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection = connection
            for statement in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "PRAGMA journal_size_limit = 8000000",
                "CREATE TABLE IF NOT EXISTS results "
                "(key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL)",
            ):
                self._execute(statement)
        return self._connection


def _checksum(key: str, value: str) -> int:
    return zlib.crc32((key + value).encode())


def _text_of(hits: Sequence[Hit]) -> str:
    return json.dumps([[*hit.passage, float(hit.score)] for hit in hits])


def _hits_of(text: str) -> list[Hit]:
    ranks = count(1)
    return [Hit(Passage(*passage), score, next(ranks)) for *passage, score in json.loads(text)]


def _before_fork() -> None:
    _lock.acquire()
    for store in list(_stores):
        store.close()


# An SQLite file that is open across a fork, even if the child never touches it, breaks its locks.
os.register_at_fork(
    before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release
)
