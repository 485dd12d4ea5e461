"""Writes a Lucene index with Anserini's document generator, in a process of its own.

A process of its own, because Java in the caller would make every later fork of the caller unsafe,
and because a caller that already runs Java for searching has only the memory of a searcher.

Several threads of Java write, each the index of its own range of rows; these are then merged in
their order. Documents keep the order of the passages (merges of neighbours only, one segment at the
end): row ``n`` is Lucene document ``n``, and two builds of one corpus are alike.

Memory: the Java heap is limited to 1 GiB, of which buffers of postings take 256 MiB; the whole
process stays below 1.6 GiB whatever the size of the corpus (docs/scale.md has measurements). Disk:
twice the size of the finished index while it is merged.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import searchenv
from searchenv.errors import IndexMismatchError, RetrievalError
from searchenv.indexing.java_tasks import JavaThread, bound
from searchenv.retrieval.java import anserini_jar, check_requirements, java
from searchenv.retrieval.lucene import Analyzer, make_analyzer
from searchenv.retrieval.passages import PassageStore
from searchenv.types import Passage

__all__ = ["check_order", "lucene_version", "write_lucene"]

_BUFFER_MB = 256
_MERGE_FACTOR = 100  # segments merged at once: one pass, where Lucene's ten would need several
_MAX_WRITERS = 8
_ROWS_PER_WRITER = 20_000  # below that a thread of its own does not pay
_ROWS_PER_TASK = 500
_ROWS_FOR_COMPILER = 250_000
_WRITER = "org.apache.lucene.index.IndexWriter"
_GENERATOR = "io.anserini.index.generator.DefaultLuceneDocumentGenerator"


def write_lucene(passages: Path, folder: Path, *, k1: float, b: float) -> Iterator[int]:
    """Indexes an Arrow file of passages; yields how many are in, and ends when the index is whole.

    Raises:
        JavaUnavailableError: no usable Java.
        MissingDependencyError: Pyserini is not installed.
        RetrievalError: the indexing process failed; the message holds what it said last.
    """
    check_requirements()
    command = [sys.executable, "-m", __name__, str(passages), str(folder), str(k1), str(b)]
    searched = [
        str(Path(searchenv.__path__[0]).parent),
        *filter(None, [os.environ.get("PYTHONPATH")]),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(searched)}
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,  # a pipe would block when full
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closed when we end, however we end: the child then ends too
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=environment,
        ) as process,
    ):
        for line in process.stdout or ():
            yield int(line)
        if process.wait() != 0:
            said.seek(0)
            raise RetrievalError(
                f"the Lucene indexer ended with {process.returncode}:\n{said.read()[-2000:]}"
            )


def lucene_version() -> str:
    """Returns the name of the jar that indexes and searches, for example ``anserini-1.7.1``."""
    return anserini_jar().name.removesuffix("-fatjar.jar")


def _index(
    store: PassageStore, folder: Path, k1: float, b: float, report: Callable[[int], object]
) -> None:
    """Writes the index in this process; the work of the child."""
    count = len(store)
    num_writers = min(_num_cores(), _MAX_WRITERS, 1 + count // _ROWS_PER_WRITER)
    cuts = [count * i // num_writers for i in range(num_writers + 1)]
    with java() as autoclass, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        parts = [
            _Part(autoclass, Path(scratch, str(i)), k1, b, _BUFFER_MB / num_writers)
            for i in range(num_writers)
        ]
        # in turns, so that all writers have something to do
        ranges = [_tasks(store, start, stop) for start, stop in pairwise(cuts)]
        for tasks in zip_longest(*ranges):
            for part, passages in zip(parts, tasks, strict=True):
                if passages:
                    part.add(passages)
                    report(len(passages))
        for part in parts:
            part.commit()
        for part in parts:
            part.close()
        _merge(autoclass, parts, folder, k1, b)
    check_order(folder, store)


def _num_cores() -> int:
    """Returns how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tasks(store: PassageStore, start: int, stop: int) -> Iterator[list[Passage]]:
    for batch in store.batches(start, stop):
        for i in range(0, len(batch), _ROWS_PER_TASK):
            yield batch[i : i + _ROWS_PER_TASK]


class _Part:
    """The index of a range of rows, written by one thread of Java."""

    def __init__(
        self, autoclass: Callable[[str], Any], folder: Path, k1: float, b: float, buffer_mb: float
    ) -> None:
        self.folder = folder
        self._autoclass = autoclass
        self._writer = _open_writer(autoclass, folder, k1, b, buffer_mb)
        self._thread = JavaThread(autoclass, max_waiting=4)
        generator = autoclass(_GENERATOR)(autoclass("io.anserini.index.IndexCollection$Args")())
        self._to_document = bound(
            autoclass,
            "java.util.function.Function",
            (
                _GENERATOR,
                "createDocument",
                "io.anserini.collection.SourceDocument",
                "org.apache.lucene.document.Document",
            ),
            generator,
        )

    def add(self, passages: list[Passage]) -> None:
        """Lets Java parse and index passages: a few calls a batch, not a few a passage."""
        from jnius import cast

        autoclass, stream = self._autoclass, "java.util.stream.Stream"
        reader = autoclass("java.io.BufferedReader")(
            autoclass("java.io.StringReader")("\n".join(map(_as_json, passages)))
        )
        source = autoclass("io.anserini.collection.JsonCollection$Segment")(reader)
        records = cast("java.lang.Iterable", source).spliterator()
        documents = (
            autoclass("java.util.stream.StreamSupport")
            .stream(records, False)
            .map(self._to_document)
        )
        iterator = (stream, "iterator", None, "java.util.Iterator")
        iterable = bound(autoclass, "java.lang.Iterable", iterator, documents)
        self._submit("addDocuments", "java.lang.Iterable", iterable)

    def commit(self) -> None:
        """Lets Java write what it still holds in memory, without waiting for it."""
        self._submit("commit", None)

    def close(self) -> None:
        """Waits for all of it, and closes the writer."""
        self._thread.finish()
        self._writer.close()

    def _submit(self, name: str, argument: str | None, *values: Any) -> None:
        method = (_WRITER, name, argument, "long")
        callable_ = "java.util.concurrent.Callable"
        self._thread.submit(bound(self._autoclass, callable_, method, self._writer, *values))


def _as_json(passage: Passage) -> str:
    contents = f"{passage.title}\n{passage.text}" if passage.title else passage.text
    return json.dumps({"id": passage.id, "contents": contents})


def _merge(
    autoclass: Callable[[str], Any], parts: list[_Part], folder: Path, k1: float, b: float
) -> None:
    """Writes one segment of all parts in their order."""
    from jnius import cast

    writer = _open_writer(autoclass, folder, k1, b, _BUFFER_MB)
    directories = [_directory(autoclass, part.folder) for part in parts]
    writer.addIndexes(*(cast("org.apache.lucene.store.Directory", d) for d in directories))
    writer.forceMerge(1)
    writer.close()


def _directory(autoclass: Callable[[str], Any], folder: Path) -> Any:
    path = autoclass("java.nio.file.Paths").get(str(folder.absolute()))
    return autoclass("org.apache.lucene.store.FSDirectory").open(path)


def _open_writer(
    autoclass: Callable[[str], Any], folder: Path, k1: float, b: float, buffer_mb: float
) -> Any:
    lucene = "org.apache.lucene."
    config = autoclass(lucene + "index.IndexWriterConfig")(
        make_analyzer(autoclass, Analyzer.PORTER)
    )
    config.setSimilarity(autoclass(lucene + "search.similarities.BM25Similarity")(k1, b))
    merges = autoclass(lucene + "index.LogDocMergePolicy")()  # the default one reorders documents
    merges.setMergeFactor(_MERGE_FACTOR)
    config.setMergePolicy(merges)
    config.setMergeScheduler(autoclass(lucene + "index.SerialMergeScheduler")())
    config.setRAMBufferSizeMB(float(buffer_mb))
    config.setUseCompoundFile(False)
    return autoclass(_WRITER)(_directory(autoclass, folder), config)


def check_order(folder: Path, store: PassageStore) -> None:
    """Raises unless document n is the passage of row n; looks at about 1,000 of them.

    Raises:
        IndexMismatchError: the Lucene index and the passages do not belong together.
    """
    count = len(store)
    with java() as autoclass:
        utilities = autoclass("io.anserini.index.IndexReaderUtils")
        reader = utilities.getReader(str(folder.absolute()))  # Java keeps its first folder
        num_documents = reader.maxDoc()
        rows = range(0, min(count, num_documents), max(count // 1000, 1))
        docids = [utilities.convertLuceneDocidToDocid(reader, row) for row in rows]
        reader.close()
    if num_documents != count:
        raise IndexMismatchError(f"Lucene holds {num_documents} documents, expected {count}")
    for row, docid in zip(rows, docids, strict=True):
        if docid != store.passage(row).id:
            raise IndexMismatchError(
                f"Lucene document {row} is {docid!r}, expected {store.passage(row).id!r}"
            )


def _end_with_parent() -> None:
    """Ends this process as soon as its standard input is closed, as happens to a killed parent."""
    sys.stdin.read()
    os._exit(1)


def _main(passages: str, folder: str, k1: str, b: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def report(count: int) -> None:
        sys.stdout.write(f"{count}\n")
        sys.stdout.flush()

    store = PassageStore(Path(passages))
    if len(store) < _ROWS_FOR_COMPILER:
        import jnius_config

        # Java's optimising compiler takes more time than it saves in a short build
        jnius_config.add_options("-XX:TieredStopAtLevel=1")
    _index(store, Path(folder), float(k1), float(b), report)


if __name__ == "__main__":
    _main(*sys.argv[1:])
