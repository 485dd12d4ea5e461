"""Policies without a model on HotpotQA, 2WikiMultihopQA, MuSiQue and Bamboogle.

    SEARCHENV_DATA=... python benchmarks/suites.py --work build/suites --out benchmarks/suites.json

Every row is a run folder under ``WORK/runs``, which ``searchenv bench table`` and ``bench compare``
read too; what is whole is not played again. Indexes stay in the work folder as well, with the
seconds that each took: encoding the four corpora (54,782 passages) takes most of an hour on two
cores.

The corpora hold all passages that stand beside the questions, and the gold passages are linked to
their ids exactly. Bamboogle names no gold passages, so it has no evidence recall.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from searchenv.evaluation import Mean, Run, Setup, circumstances, run_header, run_questions
from searchenv.evaluation.statistics import summarize
from searchenv.indexing import build_index
from searchenv.indexing.corpus import Corpus
from searchenv.policies import get_policy
from searchenv.protocols import get_protocol
from searchenv.questions import QuestionCorpus, question_corpus
from searchenv.retrieval import HybridRetriever, Retriever, RetrieverTool, open_index
from searchenv.types import Limits, Question

PACKAGES = ("pyserini", "faiss-cpu", "torch", "transformers", "numpy")
POLICIES = ("oracle", "one_shot", "iterative", "random")
MEASURES = {
    "EM": "em",
    "F1": "f1_hotpot",
    "cover-EM": "cover_em_r1",
    "evidence recall": "gold_recall",
    "searches": "searches",
}
SCORERS = ("em", "f1_hotpot", "cover_em_r1")
ENGINES = {"BM25": "lucene", "dense": "faiss"}
K = 5
MAX_TURNS = 8


@dataclass(frozen=True)
class Suite:
    """A question set and its corpus, in a folder of this name."""

    name: str
    questions: tuple[str, ...]
    corpus: str


SUITES = (
    Suite(
        "hotpotqa", ("dev_distractor.jsonl.gz", "dev_official_format.jsonl.gz"), "corpus.jsonl.gz"
    ),
    Suite(
        "2wikimultihopqa",
        ("dev_1000.jsonl.gz", "dev_official_format.jsonl.gz"),
        "corpus_all.jsonl.gz",
    ),
    Suite("musique", ("dev.jsonl.gz",), "corpus.jsonl.gz"),
    Suite("bamboogle", ("questions_with_subquestions.jsonl",), "passages.jsonl.gz"),
)


def main() -> None:
    """Plays what is missing and writes the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SEARCHENV_DATA"))
    parser.add_argument("--work", type=Path, required=True, help="for indexes and runs; kept")
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    names = [suite.name for suite in SUITES]
    parser.add_argument("--suites", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("set SEARCHENV_DATA, or give --data")
    rows, indexes = [], []
    for suite in (suite for suite in SUITES if suite.name in arguments.suites):
        retrievers = retrievers_of(suite, Path(arguments.data), arguments.work)
        corpus = corpus_of(suite, Path(arguments.data))
        for name, retriever in retrievers.items():
            for policy in POLICIES:
                run = play(suite, corpus.questions, policy, name, retriever, arguments.work)
                rows.append(row(suite, policy, name, run))
                print(rows[-1], flush=True)
        indexes += [line(suite, len(corpus.passages), n, arguments.work) for n in ENGINES]
    report = {**circumstances(PACKAGES), "rows": rows, "indexes": indexes}
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def corpus_of(suite: Suite, data: Path) -> QuestionCorpus:
    """Returns the suite's passages and questions, gold passages linked."""
    folder = data / suite.name
    base = Corpus(folder / suite.corpus)
    corpus = question_corpus([folder / name for name in suite.questions], base=base)
    assert not corpus.unlinked, f"{suite.name}: {len(corpus.unlinked)} questions lack passages"
    return corpus


def retrievers_of(suite: Suite, data: Path, work: Path) -> dict[str, Retriever]:
    """Returns the retrievers by name; builds the indexes that are not there, and notes how long."""
    corpus = data / suite.name / suite.corpus
    opened = {}
    for name, engine in ENGINES.items():
        folder = work / f"{suite.name}.{engine}"
        started = time.perf_counter()
        if not folder.exists():
            encoder = "minilm" if engine == "faiss" else None
            build_index(corpus, folder, engine=engine, encoder=encoder, progress=True)
            took = {"seconds": round(time.perf_counter() - started, 1)}
            (work / f"{folder.name}.json").write_text(json.dumps(took), encoding="utf-8")
        opened[name] = open_index(folder)
    return {**opened, "hybrid": HybridRetriever(list(opened.values()))}


def play(
    suite: Suite,
    questions: Sequence[Question],
    policy: str,
    name: str,
    retriever: Retriever,
    work: Path,
) -> Run:
    """Returns the run of one policy over one retriever."""
    setup = Setup(
        tools={"search": RetrieverTool(retriever, K)},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=MAX_TURNS),
        scorers=SCORERS,
    )
    header = run_header(
        questions,
        setup,
        name=suite.name,
        policy={"name": policy},
        retriever={"fingerprint": retriever.fingerprint, "k": K},
    )
    out = work / "runs" / suite.name / f"{policy}-{name}"
    return run_questions(get_policy(policy, questions), questions, setup, out, header=header)


def row(suite: Suite, policy: str, retriever: str, run: Run) -> dict[str, object]:
    """Returns one row of the table."""
    summary = summarize(run.records)
    cells = {
        column: "" if (mean := summary.means.get(name)) is None else shown(mean)
        for column, name in MEASURES.items()
    }
    return {
        "questions": suite.name,
        "n": summary.questions,
        "retriever": retriever,
        "policy": policy,
        **cells,
        "failed": summary.failed,
        "seconds": round(sum(session["seconds"] for session in run.sessions), 1),
    }


def shown(mean: Mean) -> str:
    """Returns a mean with its interval."""
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def line(suite: Suite, passages: int, name: str, work: Path) -> dict[str, object]:
    """Returns one row of the table of indexes."""
    note = work / f"{suite.name}.{ENGINES[name]}.json"
    took = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    return {"questions": suite.name, "passages": passages, "index": name, **took}


if __name__ == "__main__":
    main()
