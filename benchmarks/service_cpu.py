"""Where a request's CPU time goes: in the client, the event loop and the search thread.

    SEARCHENV_DATA=... python benchmarks/service_cpu.py --out benchmarks/service_cpu.json

64 clients send single queries that all differ to ``searchenv serve``, and to the constant body of
``service.py``. The times of threads are those that Linux counts.
"""

import argparse
import gzip
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from benchmarks.service_indexes import build_indexes
from benchmarks.service_load import Load, requests_of, send_load
from benchmarks.service_rounds import running
from searchenv.evaluation import circumstances

CLIENTS = 64
PACKAGES = ("pyserini", "bm25s", "uvicorn", "uvloop", "orjson")
WARM_UP_S = 8.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """CPU time of a request, in microseconds."""

    server: str
    queries_per_s: float
    client_us: float
    event_loop_us: float
    search_us: float
    """The search thread, or 0."""
    other_us: float
    """Java's compiler and such."""
    busy_cores: float
    """All of it together."""


def main() -> None:
    """Measures and writes."""
    data = Path(os.environ.get("SEARCHENV_DATA", "."), "2wikimultihopqa")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with gzip.open(data / "dev_1000.jsonl.gz", "rt", encoding="utf-8") as file:
        questions = [json.loads(line)["question"] for line in file]
    requests = requests_of(questions, 1, 1)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        build_indexes(Path(name), data / "corpus.json.gz", questions, {"lucene", "bm25s"})
        for engine in ("constant body", "lucene", "bm25s"):
            rows.append(measure(Path(name), engine, requests, arguments.seconds))
            print(rows[-1])
    if arguments.out:
        result = {**circumstances(PACKAGES), "rows": [asdict(row) for row in rows]}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(folder: Path, engine: str, requests: list[bytes], seconds: float) -> Row:
    """Returns the row of one server."""
    with running() as servers:
        if engine == "constant body":
            servers.start("x", "asgi", str(folder / "body.json"))
        else:
            servers.start("x", "serve", f"x={folder / engine}", "--remember", "0")
        (process,) = servers.processes
        load(servers.ports["x"], requests, WARM_UP_S)
        before, client, started = threads(process.pid), time.process_time(), time.perf_counter()
        answered = len(load(servers.ports["x"], requests, seconds).latencies)
        passed = time.perf_counter() - started
        client = time.process_time() - client
        spent = {id_: t - before.get(id_, 0.0) for id_, t in threads(process.pid).items()}
    loop = spent.pop(process.pid)
    search = 0.0 if engine == "constant body" else max(spent.values())
    other = sum(spent.values()) - search
    return Row(
        engine,
        queries_per_s=round(answered / passed, 1),
        client_us=round(1e6 * client / answered, 1),
        event_loop_us=round(1e6 * loop / answered, 1),
        search_us=round(1e6 * search / answered, 1),
        other_us=round(1e6 * other / answered, 1),
        busy_cores=round((client + loop + search + other) / passed, 2),
    )


def load(port: int, requests: list[bytes], seconds: float) -> Load:
    """Sends requests for some seconds."""
    return uvloop.run(send_load(port, requests, CLIENTS, seconds))


def threads(pid: int) -> dict[int, float]:
    """Returns the CPU seconds of each thread of a process so far, by its id."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        times[int(task.name)] = (int(fields[11]) + int(fields[12])) * TICK_S
    return times


if __name__ == "__main__":
    main()
