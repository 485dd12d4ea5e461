"""Writes a Lucene index with Anserini's document generator, in a process of its own.

A process of its own, because Java in the caller would make every later fork of the caller unsafe,
and because a caller that already runs Java for searching has only the memory of a searcher.
Documents keep the order of the passages (one thread, merges of neighbours only, one segment at the
end): row ``n`` is Lucene document ``n``, and two builds of one corpus are alike.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import searchenv
from searchenv.errors import IndexMismatchError, RetrievalError
from searchenv.retrieval.java import anserini_jar, check_requirements, java
from searchenv.retrieval.lucene import Analyzer, make_analyzer
from searchenv.retrieval.passages import PassageStore

__all__ = ["check_order", "lucene_version", "write_lucene"]

_BUFFER_MB = 256.0
_REPORT_EVERY = 500


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
    with java() as autoclass:
        document_class = autoclass("io.anserini.collection.JsonCollection$Document")
        arguments = autoclass("io.anserini.index.IndexCollection$Args")()
        generator = autoclass("io.anserini.index.generator.DefaultLuceneDocumentGenerator")(
            arguments
        )
        writer = _open_writer(autoclass, folder, k1, b)
        for batch in store.batches():
            for number, passage in enumerate(batch, start=1):
                contents = f"{passage.title}\n{passage.text}" if passage.title else passage.text
                source = document_class.fromFields(passage.id, contents)
                writer.addDocument(generator.createDocument(source))
                if number % _REPORT_EVERY == 0:
                    report(_REPORT_EVERY)
            report(len(batch) % _REPORT_EVERY)
        writer.forceMerge(1)
        writer.close()
    check_order(folder, store)


def _open_writer(autoclass: Callable[[str], Any], folder: Path, k1: float, b: float) -> Any:
    lucene = "org.apache.lucene."
    config = autoclass(lucene + "index.IndexWriterConfig")(
        make_analyzer(autoclass, Analyzer.PORTER)
    )
    config.setSimilarity(autoclass(lucene + "search.similarities.BM25Similarity")(k1, b))
    config.setMergePolicy(
        autoclass(lucene + "index.LogDocMergePolicy")()
    )  # the default one reorders documents
    config.setMergeScheduler(autoclass(lucene + "index.SerialMergeScheduler")())
    config.setRAMBufferSizeMB(_BUFFER_MB)
    config.setUseCompoundFile(False)
    path = autoclass("java.nio.file.Paths").get(str(folder))
    return autoclass(lucene + "index.IndexWriter")(
        autoclass(lucene + "store.FSDirectory").open(path), config
    )


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

    _index(PassageStore(Path(passages)), Path(folder), float(k1), float(b), report)


if __name__ == "__main__":
    _main(*sys.argv[1:])
