"""Policies without a model on HotpotQA, 2WikiMultihopQA, MuSiQue and Bamboogle.

    SEARCHENV_DATA=... python benchmarks/suites.py --work build/suites --out benchmarks/suites.json

Every row is a run folder ``WORK/runs/SUITE/POLICY-RETRIEVER``, which ``searchenv bench table``,
``bench compare`` and ``bench check`` read too; what is whole is not played again. Indexes stay in
the work folder as well, with the seconds that each took: encoding the four corpora (54,782
passages) takes most of an hour on two cores; ``--retrievers BM25`` goes without.

``--expected benchmarks`` also writes the means as what others are expected to measure, into
``benchmarks/SUITE/expected.toml``.
"""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from searchenv.evaluation import Mean, Run, circumstances
from searchenv.evaluation.expected import expect
from searchenv.evaluation.statistics import summarize
from searchenv.evaluation.suites import RETRIEVERS, SUITES, Suite, SuiteData, play_suite

PACKAGES = ("pyserini", "faiss-cpu", "torch", "transformers", "numpy")
POLICIES = ("oracle", "one_shot", "iterative", "random")
MEASURES = {
    "EM": "em",
    "F1": "f1_hotpot",
    "cover-EM": "cover_em_r1",
    "evidence recall": "gold_recall",
    "searches": "searches",
}
INDEXES = {"BM25": "lucene", "dense": "faiss"}


def main() -> None:
    """Plays what is missing and writes the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="default: what SEARCHENV_DATA names")
    parser.add_argument("--work", type=Path, required=True, help="for indexes and runs; kept")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--expected", type=Path, help="the folder of the suites' cards")
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    names = list(RETRIEVERS)
    parser.add_argument("--retrievers", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    rows, indexes = [], []
    for suite in (SUITES[name] for name in arguments.suites):
        data = suite.read(arguments.data)
        needed = {engine for name in arguments.retrievers for engine in RETRIEVERS[name]}
        for name in (name for name, engine in INDEXES.items() if engine in needed):
            build_missing(suite, data, name, arguments.work)
            indexes.append(line(suite, data, name, arguments.work))
        runs = play(suite, data, arguments.retrievers, arguments.work)
        rows += [row(suite, *names, run) for names, run in runs.items()]
        if arguments.expected is not None:
            card = expect(suite, runs, tolerances(data), list(MEASURES.values()))
            path = arguments.expected / suite.name / "expected.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(card.to_toml(), encoding="utf-8")
    report = {**circumstances(PACKAGES), "rows": rows, "indexes": indexes}
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def build_missing(suite: Suite, data: SuiteData, name: str, work: Path) -> None:
    """Builds an index that is not there, and notes how long it took."""
    index = work / suite.index_spec(INDEXES[name], data.corpus).name
    started = time.perf_counter()
    if not index.exists():
        suite.open(data, name, home=work, progress=True)
        took = {"seconds": round(time.perf_counter() - started, 1)}
        note(index).write_text(json.dumps(took), encoding="utf-8")


def play(
    suite: Suite, data: SuiteData, retrievers: Sequence[str], work: Path
) -> dict[tuple[str, str], Run]:
    """Returns the runs of all policies over the retrievers, by the names of both."""
    runs = {}
    for name in retrievers:
        retriever = suite.open(data, name, home=work)
        for policy in POLICIES:
            out = work / "runs" / suite.name / f"{policy}-{name}"
            runs[policy, name] = play_suite(suite, policy, data, retriever, out)
            print(row(suite, policy, name, runs[policy, name]), flush=True)
    return runs


def tolerances(data: SuiteData) -> dict[str, float]:
    """Returns how far a mean may be off over each retriever.

    Vectors differ in their last digits from machine to machine, and so the order of near ties: a
    hundredth, or one question.
    """
    near = max(0.01, math.ceil(1000 / len(data.questions)) / 1000)
    return {"BM25": 0.001, "dense": near, "hybrid": near}


def row(suite: Suite, policy: str, retriever: str, run: Run) -> dict[str, object]:
    """Returns one row of the table."""
    summary = summarize(run.records)
    return {
        "questions": suite.name,
        "n": summary.questions,
        "retriever": retriever,
        "policy": policy,
        **cells(summary.means),
        "failed": summary.failed,
        "seconds": round(sum(session["seconds"] or 0 for session in run.sessions), 1),
    }


def cells(means: Mapping[str, Mean]) -> dict[str, str]:
    """Returns the means with their intervals by column."""
    return {
        column: f"{means[name].mean:.3f} [{means[name].low:.3f}, {means[name].high:.3f}]"
        if name in means
        else ""
        for column, name in MEASURES.items()
    }


def line(suite: Suite, data: SuiteData, name: str, work: Path) -> dict[str, object]:
    """Returns one row of the table of indexes."""
    took = note(work / suite.index_spec(INDEXES[name], data.corpus).name)
    seconds = json.loads(took.read_text(encoding="utf-8")) if took.exists() else {}
    return {"questions": suite.name, "passages": data.num_passages, "index": name, **seconds}


def note(index: Path) -> Path:
    """Returns where the seconds of an index stand."""
    return index.with_name(f"{index.name}.json")


if __name__ == "__main__":
    main()
