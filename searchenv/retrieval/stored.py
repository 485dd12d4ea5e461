"""Passages of a Lucene folder that others built, read from the texts that Lucene stored.

Anserini keeps the source record in the field ``raw`` (``-storeRaw``) or the indexed text in
``contents`` (``-storeContents``). Each read is a call into Java: fine for the hits of a search,
slow for a whole corpus.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from searchenv.errors import IndexMismatchError
from searchenv.retrieval.java import java
from searchenv.types import Passage

__all__ = ["StoredPassages", "parse_raw", "split_contents"]

_CACHED_PASSAGES = 65_536
_ROWS_PER_BATCH = 4096


class StoredPassages:
    """The documents of an open Lucene index as passages; row ``n`` is Lucene document ``n``.

    Args:
        reader: an open ``IndexReader``.
        folder: where it was opened from, for messages.
    """

    def __init__(self, reader: Any, folder: Path) -> None:
        self._reader = reader
        self._folder = folder
        self.passage = lru_cache(_CACHED_PASSAGES)(self._read)

    def __len__(self) -> int:
        with java():
            count: int = self._reader.maxDoc()
        return count

    def _read(self, row: int) -> Passage:
        """Returns one document; IndexMismatchError when Lucene stored no text with it."""
        with java():
            document = self._reader.storedFields().document(row)
            docid, raw, contents = (document.get(name) for name in ("id", "raw", "contents"))
        if docid is None or (raw is None and contents is None):
            missing = "id" if docid is None else "text (neither raw nor contents)"
            raise IndexMismatchError(
                f"the Lucene index {self._folder} stores no {missing} with its documents, so hits "
                "would be empty. Build it again from its corpus with `searchenv index build`, or "
                "with Pyserini's -storeRaw"
            )
        return (
            parse_raw(docid, raw) if raw is not None else Passage(docid, *split_contents(contents))
        )

    def batches(self) -> Iterator[list[Passage]]:
        """Yields all documents in order, some thousands at a time."""
        count = len(self)
        for start in range(0, count, _ROWS_PER_BATCH):
            yield [self._read(row) for row in range(start, min(start + _ROWS_PER_BATCH, count))]

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """Returns the passages with these ids, in that order; KeyError names an unknown one."""
        with java() as autoclass:
            find = autoclass("io.anserini.index.IndexReaderUtils").convertDocidToLuceneDocid
            rows = [find(self._reader, id_) for id_ in ids]
        for id_, row in zip(ids, rows, strict=True):
            if row < 0:
                raise KeyError(f"no passage with id {id_!r}")
        return [self.passage(row) for row in rows]

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns for each title the ids of the passages that have exactly it; reads all."""
        found: dict[str, list[str]] = {title: [] for title in titles}
        for batch in self.batches():
            for passage in batch:
                if passage.title in found:
                    found[passage.title].append(passage.id)
        return {title: tuple(ids) for title, ids in found.items() if ids}


def split_contents(contents: str) -> tuple[str, str]:
    r"""Returns title and text of one string: the first of several lines is the title.

    Quotation marks round the title, as in the Wikipedia corpora of Search-R1 and DPR, are taken
    off.

    >>> split_contents('"Faust"\nFaust is a play by Goethe.')
    ('Faust', 'Faust is a play by Goethe.')
    >>> split_contents("Faust is a play by Goethe.")
    ('', 'Faust is a play by Goethe.')
    """
    title, newline, text = contents.partition("\n")
    if not newline:
        return "", contents
    quoted = len(title) > 1 and title.startswith('"') and title.endswith('"')
    return (title[1:-1] if quoted else title), text


def parse_raw(docid: str, raw: str) -> Passage:
    """Returns the passage of a stored record: JSON with ``contents`` or ``text``, or plain text."""
    try:
        record = json.loads(raw)
    except ValueError:
        return Passage(docid, *split_contents(raw))
    if isinstance(record, dict) and isinstance(record.get("contents"), str):
        return Passage(docid, *split_contents(record["contents"]))
    if isinstance(record, dict) and isinstance(record.get("text"), str):
        return Passage(docid, str(record.get("title") or ""), record["text"])
    return Passage(docid, *split_contents(raw))
