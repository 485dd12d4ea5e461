"""What searching costs: our retrievers beside the leanest loop over the same engine.

    python benchmarks/throughput.py --out benchmarks/throughput.json

Everything runs in one process on the same passages and questions, one contender after the other in
each round, and the table gives medians over rounds: read the ratios, they hold better than the
single figures.

Contenders: the lean loops return docids only (Lucene: one IndexSearcher call a question through
pyjnius; bm25s: its own numba backend, tokenisation included). Ours return full hits with passages,
ties ordered by docid. The vector environment plays 256 episodes of three searches and an answer;
its own cost is the time of a step that is not spent in the retriever.
"""

import argparse
import gzip
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import bm25s
import Stemmer

from searchenv.evaluation import circumstances
from searchenv.indexing import build_index
from searchenv.retrieval import Retriever, open_index
from searchenv.retrieval.java import java
from searchenv.types import Hit, Question
from searchenv.vector import SearchQAVectorEnv

K = 5
NUM_ENVS = 256
PACKAGES = ("bm25s", "numba", "numpy", "pyarrow", "pyserini", "pyjnius")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    engine: str
    what: str
    batch: int
    questions_per_s: float
    ratio: float
    """To the lean loop of the same engine with the same batch."""


@dataclass(frozen=True)
class StepRow:
    """What a step of the vector environment costs."""

    engine: str
    num_envs: int
    steps_per_s: float
    own_us: float
    """Microseconds a step outside the retriever."""


class Timed:
    """A retriever that adds up the seconds spent in it."""

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
        self.fingerprint = retriever.fingerprint
        self.seconds = 0.0

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Searches, and takes the time."""
        start = time.perf_counter()
        found = self.retriever.search(queries, k)
        self.seconds += time.perf_counter() - start
        return found


def main() -> None:
    """Measures, prints the table, and writes it where asked."""
    arguments = parse_arguments()
    with gzip.open(arguments.questions, "rt", encoding="utf-8") as file:
        questions = [json.loads(line)["question"] for line in file]
    with tempfile.TemporaryDirectory() as folder:
        retrievers = build_indexes(Path(folder), arguments.corpus)
        rows = measure_engines(Path(folder), retrievers, questions, arguments.rounds)
        steps = [measure_steps(engine, retrievers[engine], questions) for engine in retrievers]
    print(f"{len(questions)} questions, k={K}, medians of {arguments.rounds} rounds\n")
    print(f"{'engine':8} {'what':38} {'batch':>5} {'questions/s':>11} {'ratio':>6}")
    for row in rows:
        print(
            f"{row.engine:8} {row.what:38} {row.batch:5d} {row.questions_per_s:11,.0f} "
            f"{row.ratio:6.2f}"
        )
    print(f"\n{'engine':8} {'num_envs':>8} {'env steps/s':>11} {'own cost, us a step':>20}")
    for step in steps:
        print(f"{step.engine:8} {step.num_envs:8d} {step.steps_per_s:11,.0f} {step.own_us:20.1f}")
    if arguments.out:
        result = {
            **circumstances(PACKAGES),
            "rows": [asdict(row) for row in rows],
            "steps": [asdict(step) for step in steps],
        }
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """Returns the command line."""
    if "SEARCHENV_DATA" not in os.environ:
        sys.exit("set SEARCHENV_DATA to the folder of real questions and passages")
    data = Path(os.environ["SEARCHENV_DATA"]) / "2wikimultihopqa"
    parser = argparse.ArgumentParser(description="Throughput of retrievers and environment.")
    parser.add_argument("--corpus", type=Path, default=data / "corpus.json.gz")
    parser.add_argument("--questions", type=Path, default=data / "dev_1000.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def build_indexes(folder: Path, corpus: Path) -> dict[str, Retriever]:
    """Returns a retriever of each engine over the corpus."""
    for engine in ("lucene", "bm25s"):
        build_index(corpus, folder / engine, engine=engine)
    return {engine: open_index(folder / engine) for engine in ("lucene", "bm25s")}


def measure_engines(
    folder: Path, retrievers: Mapping[str, Retriever], questions: Sequence[str], rounds: int
) -> list[Row]:
    """Times every contender in interleaved rounds."""
    lean = {
        ("lucene", 1): lean_lucene(folder / "lucene", questions),
        ("bm25s", 1): lean_bm25s(folder / "bm25s", questions, 1),
        ("bm25s", 64): lean_bm25s(folder / "bm25s", questions, 64),
    }
    lean["lucene", 64] = lean["lucene", 1]  # Lucene itself knows no batches
    ours = {key: search_all(retrievers[key[0]], questions, key[1]) for key in sorted(lean)}
    seconds = interleave([*lean.values(), *ours.values()], rounds)
    rows = []
    for key in sorted(lean):
        for what, run, base in (
            ("lean loop, docids only", lean[key], lean[key]),
            ("Retriever.search, full hits", ours[key], lean[key]),
        ):
            speed = len(questions) / statistics.median(seconds[run])
            ratio = statistics.median(
                b / a for a, b in zip(seconds[run], seconds[base], strict=True)
            )
            rows.append(Row(key[0], what, key[1], speed, ratio))
    return rows


def measure_steps(engine: str, retriever: Retriever, questions: Sequence[str]) -> StepRow:
    """Times the vector environment and what of it is spent in the retriever."""
    timed = Timed(retriever)
    asked = [Question(str(i), text, ("nobody",)) for i, text in enumerate(questions)]
    envs = SearchQAVectorEnv(NUM_ENVS, index=timed, questions=asked, k=K)
    envs.reset(seed=0)
    answers = ("<think>Enough.</think> <answer> somebody </answer>",) * NUM_ENVS
    totals, owns = [], []
    for repeat in range(-2, 10):
        start, timed.seconds = time.perf_counter(), 0.0
        for _ in range(3):
            envs.step(
                [
                    f"<think>I need facts.</think> <search> {episode.question.text} </search>"
                    for episode in envs.episodes
                ]
            )
        envs.step(answers)
        envs.step(answers)  # resets: its actions are ignored
        total = time.perf_counter() - start
        if repeat >= 0:
            totals.append(total)
            owns.append(total - timed.seconds)
    steps = 5 * NUM_ENVS
    own_us = statistics.median(owns) / steps * 1e6
    return StepRow(engine, NUM_ENVS, steps / statistics.median(totals), own_us)


def interleave(
    runs: Sequence[Callable[[], object]], rounds: int
) -> dict[Callable[[], object], list[float]]:
    """Returns the seconds of each run in each round, after five rounds that warm up Java.

    Each round has its own order, because who runs after whom decides what is still in the
    processor's caches.
    """
    seconds: dict[Callable[[], object], list[float]] = {run: [] for run in runs}
    order = random.Random(0)
    for number in range(-5, rounds):
        for run in order.sample(list(seconds), len(seconds)):
            start = time.perf_counter()
            run()
            if number >= 0:
                seconds[run].append(time.perf_counter() - start)
    return seconds


def search_all(retriever: Retriever, questions: Sequence[str], batch: int) -> Callable[[], object]:
    """Returns a run of our retriever over all questions."""
    batches = [questions[i : i + batch] for i in range(0, len(questions), batch)]
    return lambda: [retriever.search(part, K) for part in batches]


def lean_lucene(folder: Path, questions: Sequence[str]) -> Callable[[], object]:
    """Returns the leanest loop that gives docids: one searcher call a question."""
    with java() as autoclass:
        from jnius import cast

        utilities = autoclass("io.anserini.index.IndexReaderUtils")
        reader = utilities.getReader(str(folder / "lucene"))
        as_reader = cast("org.apache.lucene.index.IndexReader", reader)
        searcher = autoclass("org.apache.lucene.search.IndexSearcher")(as_reader)
        bm25 = autoclass("org.apache.lucene.search.similarities.BM25Similarity")
        searcher.setSimilarity(bm25(0.9, 0.4))
        analyzer = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
        generator = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        docids = [utilities.convertLuceneDocidToDocid(reader, i) for i in range(reader.maxDoc())]

    def run() -> object:
        found = []
        for question in questions:
            query = generator.buildQuery("contents", analyzer, question)
            hits = searcher.search(query, K).scoreDocs
            found.append([(docids[hit.doc], hit.score) for hit in hits])
        return found

    return run


def lean_bm25s(folder: Path, questions: Sequence[str], batch: int) -> Callable[[], object]:
    """Returns a run of bm25s' own numba backend, one thread, on the index that ours reads."""
    model = bm25s.BM25.load(folder / "bm25s", mmap=True, backend="numba")
    stemmer = Stemmer.Stemmer("porter")
    batches = [list(questions[i : i + batch]) for i in range(0, len(questions), batch)]

    def run() -> object:
        found = []
        for part in batches:
            terms = bm25s.tokenize(
                part, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
            )
            found.append(model.retrieve(terms, k=K, show_progress=False))
        return found

    return run


if __name__ == "__main__":
    main()
