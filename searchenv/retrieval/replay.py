"""A run's searches, written down while it happens and answered from the file ever after.

The file is jsonl. Its first line is ``{"searchenv_recording": 1, "fingerprint": ...}``, every other
one ``{"query", "k", "hits": [{"id", "title", "text", "score"}, ...]}``, best hit first, with
``"degraded": reason`` where the result was marked so.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import BinaryIO

from searchenv.errors import IndexMismatchError, IndexNotFoundError, RetrievalError
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import DegradedHits, search_aligned
from searchenv.retrieval.ranking import checked
from searchenv.types import Hit, Passage

__all__ = ["RecordingRetriever", "ReplayRetriever"]

_FORMAT = 1
_HEAD = b'{"searchenv_recording"'
_COMPARED_QUERIES = 10_000
_SHOWN_CHARS = 200

_Results = dict[tuple[str, int], list[Hit]]


class RecordingRetriever:
    """Searches the inner retriever and writes down each new query with its result.

    Several processes and threads may record into one file, and a later run adds to it. A last line
    that a killed process cut is taken off. What a search raised is not recorded. A retriever whose
    answers change with time should be cached below the recorder, so that a repeated query has one
    answer only.

    Args:
        inner: what to search.
        path: the recording; its folder must be there.

    Raises:
        IndexMismatchError: ``path`` holds a recording of another retriever, or no recording.
    """

    def __init__(self, inner: Retriever, path: str | os.PathLike[str]) -> None:
        self.inner = inner
        self.path = Path(path).absolute()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        with _open_for_writing(self.path) as stream:
            head, results = _read(stream, self.path)
            if head is None:
                _cut_to_whole_lines(stream)
                _append(stream, [{"searchenv_recording": _FORMAT, "fingerprint": self.fingerprint}])
            elif head != self.fingerprint:
                raise IndexMismatchError(
                    f"{self.path} is a recording of the retriever {head}, not of "
                    f"{self.fingerprint}: choose another file"
                )
        self._recorded = set(results)

    def __getstate__(self) -> dict[str, object]:
        return {"inner": self.inner, "path": self.path}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def fingerprint(self) -> str:
        """Returns the inner retriever's: a recorder changes no result."""
        return self.inner.fingerprint

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            RetrievalError: the results cannot be written, for example on a full disk.
        """
        texts, k = checked(queries, k)
        if not texts:
            return []
        found = search_aligned(self.inner, texts, k)
        with self._lock:
            new = {
                text: hits
                for text, hits in zip(texts, found, strict=True)
                if (text, k) not in self._recorded
            }
            if new:
                self._write([_record(text, k, hits) for text, hits in new.items()])
                self._recorded.update((text, k) for text in new)
        return found

    def _write(self, records: Sequence[Mapping[str, object]]) -> None:
        try:
            with _open_for_writing(self.path) as stream:
                _cut_to_whole_lines(stream)
                _append(stream, records)
        except OSError as error:
            raise RetrievalError(
                f"cannot record {len(records)} searches in {self.path} ({error}): free some space, "
                "or search without recording"
            ) from error


class ReplayRetriever:
    """Answers from a recording; there is no retriever and no index.

    Args:
        path: what :class:`RecordingRetriever` wrote. It is read once, whole, into memory.

    Raises:
        IndexNotFoundError: there is no such file.
        IndexMismatchError: it is no recording, or a line other than the last is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        if not self.path.is_file():
            raise IndexNotFoundError(
                f"no recording at {self.path}: make one with RecordingRetriever"
            )
        with self.path.open("rb") as stream:
            head, self._results = _read(stream, self.path)
        if head is None:
            raise IndexMismatchError(f"{self.path} is empty: not a recording")
        self.fingerprint = head

    def __reduce__(self) -> tuple[type["ReplayRetriever"], tuple[Path]]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return len(self._results)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns what was found for each query when it was recorded with this ``k``.

        Raises:
            RetrievalError: a query was not recorded with this ``k``; the message names the nearest
                one that was.
        """
        texts, k = checked(queries, k)
        for text in texts:
            if (text, k) not in self._results:
                raise RetrievalError(self._unseen(text, k), retryable=False)
        found = (self._results[text, k] for text in texts)
        # no two queries may share a list that a caller could change
        return [hits if isinstance(hits, DegradedHits) else list(hits) for hits in found]

    def _unseen(self, text: str, k: int) -> str:
        asked = f"query {text[:_SHOWN_CHARS]!r} with k={k} is not in the recording {self.path}"
        others = sorted(k for query, k in self._results if query == text)
        if others:
            return f"{asked}; it was recorded with k={', '.join(map(str, others))}"
        known = dict.fromkeys(query[:_SHOWN_CHARS] for query, _ in self._results)
        few = list(known)[:_COMPARED_QUERIES]
        nearest = get_close_matches(text[:_SHOWN_CHARS], few, n=1, cutoff=0.0)
        hint = f"the nearest recorded query is {nearest[0]!r}" if nearest else "which holds none"
        return f"{asked} of {len(self._results)} searches; {hint}. Record the run again"


@contextmanager
def _open_for_writing(path: Path) -> Iterator[BinaryIO]:
    """Gives the file, locked against other processes."""
    with path.open("a+b", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            yield stream
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)


def _append(stream: BinaryIO, records: Sequence[Mapping[str, object]]) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    size = stream.seek(0, os.SEEK_END)
    try:
        left = memoryview(lines)
        while left:
            left = left[stream.write(left) :]
    except OSError:
        stream.truncate(size)
        raise


def _cut_to_whole_lines(stream: BinaryIO) -> None:
    """Takes off what follows the last line end."""
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return
    stream.seek(size - 1)
    if stream.read(1) == b"\n":
        return
    stream.seek(0)
    stream.truncate(stream.read().rfind(b"\n") + 1)


def _read(stream: BinaryIO, path: Path) -> tuple[str | None, _Results]:
    """Returns the fingerprint, None in an empty file, and the results; a cut last line is left out.

    The first result of a query counts.
    """
    stream.seek(0)
    *lines, cut = stream.read().split(b"\n")
    if not lines and _HEAD.startswith(cut[: len(_HEAD)]):
        return None, {}
    results: _Results = {}
    try:
        head = json.loads([*lines, cut][0])
        if head["searchenv_recording"] != _FORMAT:
            raise ValueError(f"format {head['searchenv_recording']!r}, expected {_FORMAT}")
        fingerprint = str(head["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise IndexMismatchError(f"{path} is not a recording: {error!r} in line 1") from error
    for number, line in enumerate(lines[1:], start=2):
        try:
            record = json.loads(line)
            results.setdefault((record["query"], record["k"]), _hits(record))
        except (ValueError, KeyError, TypeError) as error:
            raise IndexMismatchError(
                f"{path}, line {number}, is damaged ({error!r}): remove it, or record again"
            ) from error
    return fingerprint, results


def _record(query: str, k: int, hits: Sequence[Hit]) -> Mapping[str, object]:
    found = [{**hit.passage._asdict(), "score": float(hit.score)} for hit in hits]
    mark = {"degraded": hits.reason} if isinstance(hits, DegradedHits) else {}
    return {"query": query, "k": k, "hits": found, **mark}


def _hits(record: Mapping[str, object]) -> list[Hit]:
    found = record["hits"]
    if not isinstance(found, list):
        raise TypeError(f"hits must be a list, got {found!r:.40}")
    ranks = count(1)
    hits = [
        Hit(Passage(hit["id"], hit["title"], hit["text"]), hit["score"], next(ranks))
        for hit in found
    ]
    return DegradedHits(hits, str(record["degraded"])) if "degraded" in record else hits
