"""What HTTP costs: our service beside the usual one, and beside answering a constant body.

    python benchmarks/service.py --out benchmarks/service.json

Client and servers share the machine; the client is one process over uvloop, the same for all. All
contenders of a table run in turns, several rounds of some seconds; figures are medians over rounds.
Each request asks for k = 5 of real passages. ``share`` compares with the row that it names.

Tables: ``stacks`` (constant bodies, 64 clients, single queries), ``lucene`` (the same folder,
built by Anserini with ``-storeRaw``, for every contender), ``bm25s``, ``dense``. Requests of 64
queries are compared with ``Retriever.search`` in a process of its own, which stays up and warm as
the service does. ``ceiling`` is computed, not measured: what is left for a search per request when
clients, HTTP and engine share the cores (:func:`ceiling`).

``all different`` switches the memory for answers off; in ``groups of 8`` every question is asked
eight times, as the rollouts of a group do at their first step.
"""

import argparse
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.service_indexes import build_indexes
from benchmarks.service_inside import BATCH, Inside
from benchmarks.service_rounds import Contender, Row, measure, running
from searchenv.evaluation import circumstances

PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "granian", "orjson")
ENGINES = ("pyserini", "bm25s", "numba", "faiss-cpu", "torch")

CONSTANT = "constant body, bare ASGI"
INSIDE = "Retriever.search in a process of its own"
PLAIN = "plain handler"
STACKS = (
    Contender(CONSTANT, "asgi"),
    Contender("constant body, FastAPI", "fastapi", base=CONSTANT),
    Contender("constant body, Starlette", "starlette", base=CONSTANT),
    Contender("constant body, Granian", "granian", base=CONSTANT),
    Contender("constant body, bare protocol", "protocol", base=CONSTANT),
)
BATCHES = (
    Contender(INSIDE, "", clients=0, batch=BATCH),
    Contender("ours, batches of 64", "ours", clients=2, batch=BATCH, base=INSIDE),
)
LUCENE = (
    Contender(CONSTANT, "asgi"),
    Contender("constant body, FastAPI", "fastapi", base=CONSTANT),
    Contender(PLAIN, "plain", base=CONSTANT),
    Contender("ours, all different", "ours", base=CONSTANT),
    Contender("ours, all different, beside the plain handler", "ours", base=PLAIN),
    Contender("ours, all different, 2 workers", "ours 2", base=CONSTANT),
    Contender("ours, groups of 8", "ours remembering", repeat=8, base=CONSTANT),
    Contender("ours, 1 client", "ours", clients=1),
    Contender("plain handler, 1 client", "plain", clients=1),
    Contender("ours, 8 clients", "ours", clients=8),
    Contender("ours, 256 clients", "ours", clients=256),
    *BATCHES,
)
BM25S = (
    Contender(CONSTANT, "asgi"),
    Contender("ours, all different", "ours", base=CONSTANT),
    Contender("ours, groups of 8", "ours remembering", repeat=8, base=CONSTANT),
    *BATCHES,
)
DENSE = (
    Contender(PLAIN, "plain"),
    Contender("ours, all different", "ours", base=PLAIN),
    Contender("ours, 1 client", "ours", clients=1),
    Contender("plain handler, 1 client", "plain", clients=1),
)


@dataclass(frozen=True)
class Setting:
    """What all tables share."""

    folder: Path
    questions: Sequence[str]
    rounds: int
    seconds: float

    @property
    def body(self) -> str:
        """A file with a typical response."""
        return str(self.folder / "body.json")


def stacks(setting: Setting) -> list[Row]:
    """Compares HTTP stacks."""
    with running() as servers:
        for name in ("asgi", "fastapi", "starlette", "granian", "protocol"):
            servers.start(name, name, setting.body)
        return measure(
            "stacks", servers, STACKS, setting.questions, setting.rounds, setting.seconds
        )


def services(setting: Setting, engine: str) -> list[Row]:
    """Compares services of one index, and the engine itself."""
    index = str(setting.folder / engine)
    contenders = {"lucene": LUCENE, "bm25s": BM25S, "faiss": DENSE}[engine]
    with running() as servers, Inside(index, setting.questions, setting.folder) as inside:
        different = ("--remember", "0")
        servers.start("ours", "serve", f"x={index}", *different)
        if engine != "faiss":
            servers.start("asgi", "asgi", setting.body)
            servers.start("fastapi", "fastapi", setting.body)
            servers.start("ours remembering", "serve", f"x={index}")
        if engine == "lucene":
            servers.start("ours 2", "serve", f"x={index}", *different, "--workers", "2")
            servers.start("plain", "lucene", index)
        if engine == "faiss":
            servers.start("plain", "dense", index)
        rounds, seconds = setting.rounds, setting.seconds
        rows = measure(engine, servers, contenders, setting.questions, rounds, seconds, inside)
    return rows if engine == "faiss" else [*rows, ceiling(engine, rows)]


def ceiling(table: str, rows: Sequence[Row]) -> Row:
    """Returns an estimate of the highest rate of a service of this engine on this machine.

    A constant body takes all cores for 1 / its rate, clients included. A search adds 1 / the
    engine's rate on one core, and one engine does not search faster than it does by itself.
    """
    rate = {row.what: row.queries_per_s for row in rows}
    cores = os.cpu_count() or 1
    shared = 1 / (1 / rate[CONSTANT] + 1 / (cores * rate[INSIDE]))
    most = min(shared, rate[INSIDE])
    what = "ceiling (computed)"
    share = round(most / rate[CONSTANT], 3)
    return Row(table, what, 64, 1, round(most, 1), None, None, CONSTANT, share)


def main() -> None:
    """Measures, prints the tables, and writes them where asked."""
    arguments = parse_arguments()
    with gzip.open(arguments.questions, "rt", encoding="utf-8") as file:
        questions = [json.loads(line)["question"] for line in file]
    tables = set(arguments.tables)
    with tempfile.TemporaryDirectory() as name:
        build_indexes(Path(name), arguments.corpus, questions, tables)
        setting = Setting(Path(name), questions, arguments.rounds, arguments.seconds)
        rows = stacks(setting) if "stacks" in tables else []
        for table, engine in (("lucene", "lucene"), ("bm25s", "bm25s"), ("dense", "faiss")):
            rows += services(setting, engine) if table in tables else []
    show(rows)
    if arguments.out:
        result = {**circumstances((*PACKAGES, *ENGINES)), "rows": [asdict(row) for row in rows]}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """Returns the command line."""
    if "SEARCHENV_DATA" not in os.environ:
        sys.exit("set SEARCHENV_DATA to the folder of real questions and passages")
    data = Path(os.environ["SEARCHENV_DATA"]) / "2wikimultihopqa"
    tables = ("stacks", "lucene", "bm25s", "dense")
    parser = argparse.ArgumentParser(description="What HTTP costs.")
    parser.add_argument("--corpus", type=Path, default=data / "corpus.json.gz")
    parser.add_argument("--questions", type=Path, default=data / "dev_4000_no_context.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def show(rows: Sequence[Row]) -> None:
    """Prints the tables."""
    for table in dict.fromkeys(row.table for row in rows):
        print(
            f"\n{table}\n{'':46} {'clients':>7} {'queries/s':>9} {'p50 ms':>7} {'p99 ms':>7} share"
        )
        for row in rows:
            if row.table == table:
                share = "" if row.share is None else f"{row.share:.2f} of {row.base}"
                print(
                    f"{row.what:46} {row.clients:7d} {row.queries_per_s:9,.0f} "
                    f"{row.p50_ms or 0:7.2f} {row.p99_ms or 0:7.2f} {share}"
                )


if __name__ == "__main__":
    main()
