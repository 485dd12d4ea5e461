"""How many gold passages retrievers find: BM25, dense, hybrid and reranked, on real questions.

    SEARCHENV_DATA=... python benchmarks/recall.py --work build/recall --out benchmarks/recall

It writes ``recall.json`` and ``recall.md``. Indexes, vectors and results of searches stay in the
work folder, so an interrupted run goes on where it stopped: encoding the three corpora (51,064
passages) takes most of an hour on two cores.

Recall of a question is the share of its gold passages among the first k hits. The means are over
development questions with known gold passages, with 95 % bootstrap intervals. The weight of the
weighted hybrid is chosen once for each data set, on training questions alone.

The encoder is MiniLM (all-MiniLM-L6-v2). The reranker is a stand-in, since no cross-encoder comes
with a pip package: the same MiniLM orders BM25's first 100 by cosine. With ``--cross-encoder``, a
model's path or name, there is a row for that too.
"""

import argparse
import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from searchenv.evaluation import Mean, circumstances
from searchenv.indexing import build_index, ensure_index
from searchenv.questions import read_questions
from searchenv.retrieval import (
    CachedRetriever,
    CrossEncoder,
    DenseRetriever,
    HybridRetriever,
    RerankRetriever,
    Retriever,
    open_index,
)
from searchenv.retrieval.dense import read_faiss, stored_vectors
from searchenv.types import Passage, Question

DEPTH = 100
"""Hits that are taken from each part, and that are reranked."""
PACKAGES = ("pyserini", "faiss-cpu", "torch", "transformers", "numpy")
CUTS = (5, 20)
WEIGHTS = tuple(tenth / 10 for tenth in range(1, 10))
BATCH = 64


@dataclass(frozen=True)
class Suite:
    """A data set: its corpus and its questions with gold passages."""

    name: str
    corpus: str
    dev: tuple[str, ...]
    train: tuple[str, ...]


SUITES = (
    Suite(
        "2wikimultihopqa",
        "corpus_all.jsonl.gz",
        ("dev_1000.jsonl.gz", "dev_official_format.jsonl.gz"),
        ("train_official_format.jsonl.gz",),
    ),
    Suite("musique", "corpus.jsonl.gz", ("dev.jsonl.gz",), ("train.jsonl.gz",)),
    Suite(
        "hotpotqa",
        "corpus.jsonl.gz",
        ("dev_distractor.jsonl.gz", "dev_official_format.jsonl.gz"),
        ("train_official_format.jsonl.gz",),
    ),
)


@dataclass(frozen=True)
class Judged:
    """A question and the ids of its gold passages."""

    question: Question
    gold: frozenset[str]


class BiEncoderScorer:
    """Scores a pair by the cosine of its vectors, those of the passages taken from the index."""

    def __init__(self, dense: DenseRetriever) -> None:
        self.dense = dense
        self.fingerprint = f"cosine {dense.fingerprint}"

    @cached_property
    def _rows(self) -> dict[str, int]:
        passages = self.dense.passages
        ids = (passage.id for batch in passages.batches() for passage in batch)
        return {id_: row for row, id_ in enumerate(ids)}

    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        """Returns the cosines."""
        queries = list(dict.fromkeys(query for query, _ in pairs))
        asked = dict(zip(queries, self.dense.encoder.encode_queries(queries), strict=True))
        index = read_faiss(self.dense.folder / "index")
        vectors = stored_vectors(index)
        if vectors is None:
            raise TypeError("the index holds no plain vectors")
        return [float(asked[query] @ vectors[self._rows[p.id]]) for query, p in pairs]


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SEARCHENV_DATA"))
    parser.add_argument("--work", type=Path, required=True, help="for indexes; kept")
    parser.add_argument("--out", type=Path, required=True, help="without .json and .md")
    parser.add_argument("--cross-encoder", help="path or name of a model for one more row")
    parser.add_argument("--suites", nargs="+", choices=[s.name for s in SUITES], default=None)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("set SEARCHENV_DATA, or give --data")
    chosen = [s for s in SUITES if arguments.suites is None or s.name in arguments.suites]
    rows, weights = [], {}
    for suite in chosen:
        retrievers, weights[suite.name] = retrievers_of(suite, arguments)
        dev = judged(arguments.data / suite.name, suite.dev)
        rows += [row(suite, name, each, dev) for name, each in retrievers.items()]
        print(table(rows[-len(retrievers) :]), flush=True)
    run = {**circumstances(PACKAGES), "dense_weights": weights, "rows": rows}
    text = json.dumps(run, indent=1) + "\n"
    arguments.out.with_suffix(".json").write_text(text, encoding="utf-8")
    arguments.out.with_suffix(".md").write_text(page(run, rows, weights), encoding="utf-8")


def retrievers_of(
    suite: Suite, arguments: argparse.Namespace
) -> tuple[dict[str, Retriever], float]:
    """Returns the contenders by name, and the weight of dense that was chosen in training."""
    corpus, work = arguments.data / suite.name / suite.corpus, arguments.work
    bm25 = cached(open_built(corpus, work / f"{suite.name}.lucene", "lucene"), work)
    plain = open_built(corpus, work / f"{suite.name}.minilm", "faiss")
    if not isinstance(plain, DenseRetriever):
        raise TypeError(f"expected a dense index, got {type(plain).__name__}")
    dense = cached(plain, work)
    train = judged(arguments.data / suite.name, suite.train)
    weight = best_weight([bm25, dense], train)
    cosine = BiEncoderScorer(plain)
    contenders: dict[str, Retriever] = {
        "BM25": bm25,
        "dense": dense,
        "hybrid, RRF": HybridRetriever([bm25, dense], depth=DEPTH),
        "hybrid, weighted": weighted([bm25, dense], weight),
        "BM25, then cosine": cached(RerankRetriever(bm25, cosine, depth=DEPTH), work),
    }
    if arguments.cross_encoder:
        model = CrossEncoder(arguments.cross_encoder)
        contenders[f"BM25, then {arguments.cross_encoder}"] = cached(
            RerankRetriever(bm25, model, depth=DEPTH), work
        )
    return contenders, weight


def open_built(corpus: Path, folder: Path, engine: str) -> Retriever:
    """Returns the retriever of a folder, which is built first if it is not there."""
    encoder = "minilm" if engine == "faiss" else None
    ensure_index(
        folder,
        lambda: build_index(corpus, folder, engine=engine, encoder=encoder, progress=True),
    )
    return open_index(folder)


def cached(retriever: Retriever, work: Path) -> Retriever:
    """Returns the retriever with its results kept in the work folder."""
    return CachedRetriever(retriever, work / "searches.sqlite")


def weighted(parts: Sequence[Retriever], dense_weight: float) -> HybridRetriever:
    """Returns the weighted hybrid of BM25 and dense."""
    weights = [1 - dense_weight, dense_weight]
    return HybridRetriever(parts, "weighted", weights=weights, depth=DEPTH)


def best_weight(parts: Sequence[Retriever], train: Sequence[Judged]) -> float:
    """Returns the weight with the highest recall at 5 on training questions; of equals the least.

    Each part is searched once: the rest comes from the cache.
    """
    found = {w: Mean.of(recalls(weighted(parts, w), train)[CUTS[0]]).mean for w in WEIGHTS}
    return max(WEIGHTS, key=lambda weight: (found[weight], -weight))


def judged(folder: Path, files: Iterable[str]) -> list[Judged]:
    """Returns the questions of the files whose gold passages are known, each once."""
    gold: dict[str, set[str]] = {}
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as stream:
        for record in csv.DictReader(stream, delimiter="\t"):
            gold.setdefault(record["query-id"], set()).add(record["corpus-id"])
    questions = {q.id: q for name in files for q in read_questions(folder / name)}
    return [Judged(q, frozenset(gold[id_])) for id_, q in questions.items() if id_ in gold]


def recalls(retriever: Retriever, questions: Sequence[Judged]) -> dict[int, list[float]]:
    """Returns the recall of every question at each cut."""
    found: dict[int, list[float]] = {cut: [] for cut in CUTS}
    for start in range(0, len(questions), BATCH):
        batch = questions[start : start + BATCH]
        results = retriever.search([each.question.text for each in batch], max(CUTS))
        for each, hits in zip(batch, results, strict=True):
            for cut in CUTS:
                ids = {hit.passage.id for hit in hits[:cut]}
                found[cut].append(len(ids & each.gold) / len(each.gold))
    return found


def row(suite: Suite, name: str, retriever: Retriever, dev: Sequence[Judged]) -> dict[str, object]:
    """Returns one line of the table."""
    line: dict[str, object] = {"questions": suite.name, "n": len(dev), "retriever": name}
    for cut, values in recalls(retriever, dev).items():
        mean = Mean.of(values)
        line[f"recall@{cut}"] = round(mean.mean, 4)
        line[f"interval@{cut}"] = f"{mean.low:.3f} to {mean.high:.3f}"
    return line


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Returns the rows as Markdown."""
    columns = list(rows[0])
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for each in rows:
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in each.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(
    run: Mapping[str, object], rows: Sequence[Mapping[str, object]], weights: Mapping[str, float]
) -> str:
    """Returns the table with what must be said about it."""
    chosen = ", ".join(f"{name} {weight}" for name, weight in weights.items())
    return (
        "# Recall of gold passages\n\n"
        "The share of a question's gold passages among the first 5 and 20 hits: means over "
        "development questions with 95 % bootstrap intervals over questions. One search with the "
        "question itself; a second hop's passage often shares no word with it.\n\n"
        f"{table(rows)}\n\n"
        f"BM25: Lucene, k1 0.9, b 0.4. Dense: MiniLM, flat. Hybrids: both, {DEPTH} hits of each; "
        "RRF with constant 60; weighted with the weight of dense that was best for recall@5 on "
        f"training questions ({chosen}). `BM25, then cosine` is a stand-in for a cross-encoder, "
        "which no pip package brings: BM25's first "
        f"{DEPTH} in the order of MiniLM's cosine, so a bi-encoder, and no proof of what "
        "reranking can do.\n\n"
        f"Command: `{run['command']}`; commit {run['commit']}; {run['machine']}, Python "
        f"{run['python']}; {str(run['date'])[:10]}. The rows as data: [recall.json](recall.json).\n"
    )


if __name__ == "__main__":
    main()
