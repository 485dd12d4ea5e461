"""What dense retrieval costs: encoding by batch size, and a flat index beside HNSW.

    SEARCHENV_DATA=... python benchmarks/dense.py --work build/dense --out benchmarks/dense.json

The corpus is 2WikiMultihopQA's (6,119 passages), the queries its questions, the encoder MiniLM. The
vectors stay in the work folder: a second run does not encode the corpus again. ``overlap`` is the
share of the flat index's first ten that HNSW finds. Search with ready vectors and search of texts
stand side by side: the difference is the encoder.
"""

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from searchenv.evaluation import circumstances
from searchenv.indexing import Corpus, encode_corpus, merge_shards
from searchenv.retrieval import (
    DenseRetriever,
    PassageStore,
    PassageWriter,
    TransformersEncoder,
    open_index,
)
from searchenv.types import Hit, Passage

K = 10
BATCHES = (1, 8, 32, 64, 256)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    batch: int
    per_s: float
    overlap: float | None = None
    """With the flat index's first ten."""


def measure_encoding(
    encoder: TransformersEncoder, passages: Sequence[Passage], queries: Sequence[str]
) -> list[Row]:
    """Returns how many passages and queries a second are encoded, by the size of a batch."""
    encoder.encode_queries(queries[:1])
    rows = []
    for batch in BATCHES:
        encoder.batch_size = batch
        some = passages[: min(256, 32 * batch)]
        titles, texts = [p.title for p in some], [p.text for p in some]
        rate = _rate(len(some), lambda: encoder.encode_passages(titles, texts))  # noqa: B023
        rows.append(Row("encode passages", batch, rate))
    for batch in BATCHES:
        encoder.batch_size = batch
        rate = _rate(len(queries), lambda: _in_batches(encoder.encode_queries, queries, batch))  # noqa: B023
        rows.append(Row("encode queries", batch, rate))
    return rows


def measure_search(retrievers: dict[str, DenseRetriever], queries: Sequence[str]) -> list[Row]:
    """Returns queries a second of each index, with ready vectors and from texts."""
    flat = retrievers["flat"]
    vectors = flat.encoder.encode_queries(queries)
    expected = [_ids(hits) for hits in flat.search_vectors(vectors, K)]
    rows = []
    for name, retriever in retrievers.items():
        found = [_ids(hits) for hits in retriever.search_vectors(vectors, K)]
        pairs = list(zip(found, expected, strict=True))
        overlap = sum(len(a & b) for a, b in pairs) / sum(len(b) for _, b in pairs)
        for batch in BATCHES:

            def search_vectors(retriever: DenseRetriever = retriever, batch: int = batch) -> None:
                for start in range(0, len(vectors), batch):
                    retriever.search_vectors(vectors[start : start + batch], K)

            rows.append(
                Row(f"{name}, ready vectors", batch, _rate(len(queries), search_vectors), overlap)
            )
        for batch in BATCHES:

            def search(retriever: DenseRetriever = retriever, batch: int = batch) -> None:
                for start in range(0, len(queries), batch):
                    retriever.search(queries[start : start + batch], K)

            rows.append(Row(f"{name}, texts", batch, _rate(len(queries), search), overlap))
    return rows


def build(work: Path, corpus: Path, encoder: TransformersEncoder) -> dict[str, DenseRetriever]:
    """Returns a flat and a HNSW index of the same vectors."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "passages.arrow"
    if not path.is_file():
        with PassageWriter(path) as writer:
            for passage in Corpus(corpus):
                writer.add(passage)
    store = PassageStore(path)
    shard = encode_corpus(store, encoder, work / "vectors")
    found = {}
    for kind in ("flat", "hnsw"):
        merge_shards([shard], store, work / kind, encoder=encoder, faiss_type=kind, replace=True)
        retriever = open_index(work / kind, encoder=encoder)
        assert isinstance(retriever, DenseRetriever)
        found[kind] = retriever
    return found


def _in_batches(
    encode: Callable[[Sequence[str]], object], queries: Sequence[str], batch: int
) -> None:
    for start in range(0, len(queries), batch):
        encode(queries[start : start + batch])


def _rate(count: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - start), 1)


def _ids(hits: Sequence[Hit]) -> set[str]:
    return {hit.passage.id for hit in hits}


def main() -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/dense"), help="keeps the indexes")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--queries", type=int, default=256)
    arguments = parser.parse_args()
    data = Path(os.environ["SEARCHENV_DATA"]) / "2wikimultihopqa"
    with gzip.open(data / "dev_1000.jsonl.gz", "rt", encoding="utf-8") as file:
        queries = [json.loads(line)["question"] for line in file][: arguments.queries]
    encoder = TransformersEncoder("minilm", device="cpu")
    retrievers = build(arguments.work, data / "corpus.json.gz", encoder)
    store = retrievers["flat"].passages
    passages = [store.passage(row) for row in range(0, len(store), max(len(store) // 256, 1))]
    rows = measure_encoding(encoder, passages, queries)
    encoder.batch_size = 64
    rows += measure_search(retrievers, queries)
    for row in rows:
        overlap = "" if row.overlap is None else f"  overlap {row.overlap:.4f}"
        print(f"{row.what:24} {row.batch:4} {row.per_s:10,.1f}/s{overlap}")
    if arguments.out:
        report = {
            **circumstances(("faiss-cpu", "torch", "transformers")),
            "rows": [asdict(row) for row in rows],
        }
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
