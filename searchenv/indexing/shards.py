"""One corpus cut into shards: index folders that are built one by one and searched together.

``bm25s`` keeps finished scores, so its shards are built with the statistics of the whole corpus.
Lucene's are ordinary indexes: they exchange statistics when they are searched
(:mod:`searchenv.retrieval.sharded`). Vectors need none.
"""

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import searchenv
from searchenv.errors import CorpusError
from searchenv.indexing.bm25_writer import bm25s_version, docid_ranks
from searchenv.indexing.build import build_index, store_passages
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.publish import ensure_index, new_folder, sole_builder
from searchenv.retrieval.bm25 import DOCID_RANKS_FILE
from searchenv.retrieval.encoders import Encoder
from searchenv.retrieval.manifest import MANIFEST_FILE, PASSAGES_FILE, Engine, Manifest
from searchenv.retrieval.passages import PassageStore
from searchenv.retrieval.sharded import SHARDS_FILE, SHARDS_FORMAT
from searchenv.retrieval.words import WORDS_PORTER, WordAnalyzer
from searchenv.types import Passage

__all__ = ["WordCounts", "build_shards", "count_words"]


def build_shards(
    corpus: str | Path | Sequence[str | Path] | Iterable[Passage],
    out: str | Path,
    *,
    num_shards: int,
    engine: str,
    k1: float = 0.9,
    b: float = 0.4,
    encoder: Encoder | str | None = None,
    faiss_type: str = "flat",
    skip_broken: bool = False,
    progress: bool = False,
) -> list[Manifest]:
    """Builds a folder of shards and returns their manifests; ``open_index`` opens it.

    Every shard is an index of successive passages, as many as in the others. Nothing is at ``out``
    before all are whole. An interrupted build of the same corpus goes on where it was: finished
    shards are kept, beside ``out``.

    Args:
        corpus: files or passages, as for :func:`searchenv.indexing.build_index`.
        out: the folder to make, with the folders ``shard-0``, ``shard-1`` and so on.
        num_shards: at least 1 and at most one for each passage.
        engine: as for ``build_index``.
        k1: the same.
        b: the same.
        encoder: the same.
        faiss_type: the same.
        skip_broken: the same.
        progress: the same; bars for each shard, of engine ``bm25s`` none.

    Raises:
        CorpusError: the corpus is broken, or has fewer passages than there shall be shards.
        FileExistsError: ``out`` is there.
        ValueError: ``num_shards`` is below 1, or an argument of ``build_index`` is wrong.
    """
    out = Path(out)
    if num_shards < 1:
        raise ValueError(f"num_shards must be >= 1, got {num_shards}")
    if out.exists():
        raise FileExistsError(f"{out} is already there: choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with sole_builder(out), TemporaryDirectory(dir=out.parent) as scratch:
        passages = Corpus(corpus, skip_broken=skip_broken)
        path = Path(scratch, PASSAGES_FILE)
        store_passages(passages, path, progress=progress)
        store = PassageStore(path)
        if len(store) < num_shards:
            raise CorpusError(f"{len(store)} passages cannot make {num_shards} shards")
        encoded_by = getattr(encoder, "fingerprint", encoder)
        what = f"{passages.sha256} {num_shards} {engine} {k1} {b} {encoded_by} {faiss_type}"
        identity = sha256(what.encode())
        work = out.with_name(f".{out.name}.shards-{identity.hexdigest()[:16]}")
        statistics = count_words([store]) if engine == Engine.BM25S else None

        def build(folder: Path, start: int, stop: int) -> None:
            part = chain.from_iterable(store.batches(start, stop))
            if statistics is not None:
                _build_bm25s(part, folder, statistics, k1, b)
                return
            build_index(
                part,
                folder,
                engine=engine,
                k1=k1,
                b=b,
                encoder=encoder,
                faiss_type=faiss_type,
                progress=progress,
            )

        manifests = []
        cuts = [len(store) * i // num_shards for i in range(num_shards + 1)]
        for number, (start, stop) in enumerate(pairwise(cuts)):
            folder = work / f"shard-{number}"
            manifests.append(ensure_index(folder, partial(build, folder, start, stop)))
        content = {"format": SHARDS_FORMAT, "shards": [m.name for m in manifests]}
        (work / SHARDS_FILE).write_text(json.dumps(content) + "\n")
        work.rename(out)
    return manifests


@dataclass(frozen=True, slots=True)
class WordCounts:
    """What BM25 knows of a whole corpus."""

    num_documents: int
    mean_length: float
    doc_freqs: Mapping[str, int]
    mark: str
    """Ends the engine version of shards that were built with these counts."""


def count_words(stores: Sequence[PassageStore]) -> WordCounts:
    """Returns the counts over all passages of some stores; CorpusError if they hold no words."""
    analyzer, freqs, size, length = WordAnalyzer(), Counter[str](), 0, 0
    for batch in chain.from_iterable(store.batches() for store in stores):
        size += len(batch)
        for passage in batch:
            terms = _terms(analyzer, passage)
            freqs.update(set(terms))
            length += len(terms)
    if not freqs:
        raise CorpusError("no passage holds a word that can be searched")
    digest = sha256(json.dumps([size, length, sorted(freqs.items())]).encode())
    return WordCounts(size, length / size, freqs, f"statistics-{digest.hexdigest()[:16]}")


def _terms(analyzer: WordAnalyzer, passage: Passage) -> list[str]:
    return analyzer.terms(f"{passage.title}\n{passage.text}")


def _build_bm25s(
    passages: Iterable[Passage], out: Path, statistics: WordCounts, k1: float, b: float
) -> None:
    """Builds an index folder like ``build_index``, with the statistics of the whole corpus."""
    with sole_builder(out), new_folder(out) as folder:
        corpus = Corpus(passages)
        count = store_passages(corpus, folder / PASSAGES_FILE)
        store = PassageStore(folder / PASSAGES_FILE)
        (folder / Engine.BM25S).mkdir()
        _write_matrix(store, folder / Engine.BM25S, statistics, k1, b)
        manifest = Manifest(
            name=out.name,
            engine=Engine.BM25S,
            engine_version=f"{bm25s_version()} {statistics.mark}",
            corpus_sha256=corpus.sha256,
            num_passages=count,
            searchenv_version=searchenv.__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            analyzer=WORDS_PORTER,
            k1=float(k1),
            b=float(b),
        )
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")


def _write_matrix(
    store: PassageStore, folder: Path, statistics: WordCounts, k1: float, b: float
) -> None:
    """Writes the files of a bm25s index: one column of scores a term, documents in order."""
    analyzer, vocabulary = WordAnalyzer(), dict[str, int]()
    terms, rows, times, lengths = array("i"), array("i"), array("i"), array("i")
    for row, passage in enumerate(chain.from_iterable(store.batches())):
        found = _terms(analyzer, passage)
        counted = Counter(found)
        terms.extend(vocabulary.setdefault(term, len(vocabulary)) for term in counted)
        times.extend(counted.values())
        rows.extend([row] * len(counted))
        lengths.append(len(found))
    n, freqs = statistics.num_documents, statistics.doc_freqs
    idf = np.array(
        [math.log(1 + (n - freqs[term] + 0.5) / (freqs[term] + 0.5)) for term in vocabulary],
        np.float32,
    )
    columns, indices, tf = (np.asarray(values, np.int32) for values in (terms, rows, times))
    norms = k1 * ((1 - b) + b * np.asarray(lengths) / statistics.mean_length)
    order = np.argsort(columns, kind="stable")
    columns, indices, tf = columns[order], indices[order], tf[order]
    starts = np.zeros(len(vocabulary) + 1, np.int64)
    np.cumsum(np.bincount(columns, minlength=len(vocabulary)), out=starts[1:])
    scores = (idf[columns] * (tf / (norms[indices] + tf))).astype(np.float32)
    for name, values in (("data", scores), ("indices", indices), ("indptr", starts)):
        np.save(folder / f"{name}.csc.index.npy", values)
    (folder / "vocab.index.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    np.save(folder / DOCID_RANKS_FILE, docid_ranks(store))
