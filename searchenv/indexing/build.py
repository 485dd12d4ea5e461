"""``build_index``: from a corpus to an index folder with a manifest."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

import searchenv
from searchenv.errors import CorpusError, did_you_mean
from searchenv.indexing.bm25_writer import bm25s_version, write_bm25s
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.lucene_writer import lucene_version, write_lucene
from searchenv.indexing.publish import new_folder, sole_builder
from searchenv.retrieval.lucene import Analyzer
from searchenv.retrieval.manifest import MANIFEST_FILE, PASSAGES_FILE, Engine, Manifest
from searchenv.retrieval.passages import PassageWriter
from searchenv.retrieval.words import WORDS_PORTER
from searchenv.types import Passage

__all__ = ["build_index"]

logger = logging.getLogger(__name__)


def build_index(
    corpus: str | Path | Sequence[str | Path] | Iterable[Passage],
    out: str | Path,
    *,
    engine: str,
    k1: float = 0.9,
    b: float = 0.4,
    name: str | None = None,
    skip_broken: bool = False,
    replace: bool = False,
    progress: bool = False,
) -> Manifest:
    """Builds an index folder and returns its manifest. Nothing is at ``out`` before it is whole.

    Args:
        corpus: corpus files in the layouts of :class:`searchenv.indexing.Corpus`, read as a stream;
            or passages.
        out: the folder to make. Another process that builds the same one is waited for.
        engine: ``"lucene"`` or ``"bm25s"``.
        k1: term frequency saturation, above or equal to 0. Pyserini's default.
        b: length normalisation, between 0 and 1. Pyserini's default.
        name: what the manifest calls the index; None takes the name of the folder.
        skip_broken: leave out broken and repeated records, and log how many, instead of stopping.
        replace: put the new index in the place of one that is there.
        progress: show bars on standard error.

    Raises:
        CorpusError: the corpus is empty, or has broken records (the first five are listed).
        FileExistsError: ``out`` is there and ``replace`` is False.
        ValueError: unknown engine, or parameters out of range.
        JavaUnavailableError: engine ``lucene`` without a usable Java.
    """
    chosen, out = _check(engine, k1, b), Path(out)
    with sole_builder(out), new_folder(out, replace=replace) as folder:
        passages = Corpus(corpus, skip_broken=skip_broken)
        count = _store(passages, folder / PASSAGES_FILE, progress)
        write, version_of = {
            Engine.LUCENE: (write_lucene, lucene_version),
            Engine.BM25S: (write_bm25s, bm25s_version),
        }[chosen]
        with _bar(progress, f"indexing with {chosen}", count) as bar:
            for done in write(folder / PASSAGES_FILE, folder / chosen, k1=k1, b=b):
                bar.update(done)
        manifest = Manifest(
            name=name or out.absolute().name,
            engine=chosen,
            engine_version=version_of(),
            corpus_sha256=passages.sha256,
            num_passages=count,
            analyzer=str(Analyzer.PORTER) if chosen is Engine.LUCENE else WORDS_PORTER,
            k1=float(k1),
            b=float(b),
            searchenv_version=searchenv.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _check(engine: str, k1: float, b: float) -> Engine:
    if engine not in list(Engine):
        raise ValueError(
            f"unknown engine {engine!r}. {did_you_mean(engine, [e.value for e in Engine])}"
        )
    if not (0 <= k1 < float("inf") and 0 <= b <= 1):
        raise ValueError(f"expected k1 >= 0 and 0 <= b <= 1, got k1={k1}, b={b}")
    return Engine(engine)


def _store(corpus: Corpus, path: Path, progress: bool) -> int:
    """Writes the passages and returns how many there are."""
    count = 0
    with _bar(progress, "reading the corpus", None) as bar, PassageWriter(path) as writer:
        for passage in corpus:
            writer.add(passage)
            count += 1
            bar.update()
    if corpus.num_skipped:
        logger.warning(
            "left out %d broken records, first: %s", corpus.num_skipped, corpus.problems[0]
        )
    if count == 0:
        raise CorpusError("the corpus holds no passages")
    return count


def _bar(progress: bool, label: str, total: int | None) -> "tqdm[None]":
    return tqdm(desc=label, total=total, unit=" passages", disable=not progress)
