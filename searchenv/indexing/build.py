"""``build_index``: from a corpus to an index folder with a manifest."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

import searchenv
from searchenv.errors import CorpusError, did_you_mean
from searchenv.indexing.bm25_writer import bm25s_version, write_bm25s
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.faiss_index import (
    as_encoder,
    dense_manifest,
    dense_settings,
    remove_scratches,
    scratch,
    write_dense,
)
from searchenv.indexing.faiss_writer import Hnsw, check_faiss
from searchenv.indexing.lucene_writer import lucene_version, write_lucene
from searchenv.indexing.publish import new_folder, sole_builder
from searchenv.retrieval.encoders import Encoder
from searchenv.retrieval.lucene import Analyzer
from searchenv.retrieval.manifest import MANIFEST_FILE, PASSAGES_FILE, Engine, Manifest
from searchenv.retrieval.passages import PassageWriter
from searchenv.retrieval.words import WORDS_PORTER
from searchenv.types import Passage

__all__ = ["build_index", "store_passages"]

logger = logging.getLogger(__name__)


def build_index(
    corpus: str | Path | Sequence[str | Path] | Iterable[Passage],
    out: str | Path,
    *,
    engine: str,
    k1: float = 0.9,
    b: float = 0.4,
    encoder: Encoder | str | None = None,
    faiss_type: str = "flat",
    hnsw: Hnsw | None = None,
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
        engine: ``"lucene"``, ``"bm25s"`` or ``"faiss"``.
        k1: term frequency saturation, above or equal to 0. Pyserini's default. Of BM25 only, as b.
        b: length normalisation, between 0 and 1. Pyserini's default.
        encoder: of engine ``faiss``, an object or what
            :class:`searchenv.retrieval.TransformersEncoder` takes. Vectors that an interrupted
            build made are used by the next one of the same corpus and encoder.
        faiss_type: ``"flat"``, exact, or ``"hnsw"``, faster on large corpora and approximate.
        hnsw: parameters of the latter.
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
    out, chosen = Path(out), _engine(engine)
    plan: _Bm25 | _Dense
    if chosen is Engine.FAISS:
        check_faiss(faiss_type)
        plan = _Dense(as_encoder(encoder), faiss_type, hnsw or Hnsw(), out)
    else:
        plan = _Bm25(chosen, float(k1), float(b))
    with sole_builder(out):
        with new_folder(out, replace=replace) as folder:
            passages = Corpus(corpus, skip_broken=skip_broken)
            count = store_passages(passages, folder / PASSAGES_FILE, progress=progress)
            with _bar(progress, f"indexing with {chosen}", count) as bar:
                for done in plan.write(folder, passages.sha256):
                    bar.update(done)
            manifest = plan.manifest(name or out.absolute().name, passages.sha256, count)
            (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        remove_scratches(out)
    return manifest


@dataclass(frozen=True, slots=True)
class _Bm25:
    """How an index of words is made."""

    engine: Engine
    k1: float
    b: float

    def __post_init__(self) -> None:
        if not (0 <= self.k1 < float("inf") and 0 <= self.b <= 1):
            raise ValueError(f"expected k1 >= 0 and 0 <= b <= 1, got k1={self.k1}, b={self.b}")

    def write(self, folder: Path, _: str) -> Iterator[int]:
        write = write_lucene if self.engine is Engine.LUCENE else write_bm25s
        return write(folder / PASSAGES_FILE, folder / self.engine, k1=self.k1, b=self.b)

    def manifest(self, name: str, corpus_sha256: str, count: int) -> Manifest:
        is_lucene = self.engine is Engine.LUCENE
        return Manifest(
            name=name,
            engine=self.engine,
            engine_version=lucene_version() if is_lucene else bm25s_version(),
            corpus_sha256=corpus_sha256,
            num_passages=count,
            analyzer=str(Analyzer.PORTER) if is_lucene else WORDS_PORTER,
            k1=self.k1,
            b=self.b,
            searchenv_version=searchenv.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


@dataclass(frozen=True, slots=True)
class _Dense:
    """How an index of vectors is made."""

    encoder: Encoder
    faiss_type: str
    hnsw: Hnsw
    out: Path

    def write(self, folder: Path, corpus_sha256: str) -> Iterator[int]:
        kept = scratch(self.out, corpus_sha256, self.encoder)
        return write_dense(
            folder / PASSAGES_FILE,
            folder / Engine.FAISS,
            kept,
            self.encoder,
            self.faiss_type,
            self.hnsw,
        )

    def manifest(self, name: str, corpus_sha256: str, count: int) -> Manifest:
        dense = dense_settings(self.encoder, self.faiss_type, self.hnsw)
        return dense_manifest(name, corpus_sha256, count, dense)


def _engine(engine: str) -> Engine:
    if engine not in list(Engine):
        raise ValueError(
            f"unknown engine {engine!r}. {did_you_mean(engine, [e.value for e in Engine])}"
        )
    return Engine(engine)


def store_passages(corpus: Corpus, path: Path, *, progress: bool = False) -> int:
    """Writes the passages and returns how many there are; CorpusError if there are none."""
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
