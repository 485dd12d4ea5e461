"""What HTTP costs: our service beside the usual one, and beside answering a constant body.

    python benchmarks/service.py --out benchmarks/service.json

Client and servers share the machine; the client is one process over uvloop, the same for all. All
contenders of a table run in turns, several rounds of some seconds; figures are medians over rounds.
Each request asks for k = 5 of real passages. ``share`` compares with the row that it names.

Tables: ``stacks`` (constant bodies, 64 clients, single queries), ``lucene`` (the same folder,
built by Anserini with ``-storeRaw``, for every contender), ``bm25s``, ``batches`` (64 queries a
request, beside ``Retriever.search`` in a process of its own), ``dense``.

``all different`` switches the memory for answers off; in ``groups of 8`` every question is asked
eight times, as the rollouts of a group do at their first step.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import cast

import uvloop

from searchenv.indexing import build_index
from searchenv.retrieval import open_index
from searchenv.retrieval.java import anserini_jar, find_java

K = 5
BATCH = 64
WARM_UP_S = 3.0
SERVERS = Path(__file__).with_name("service_servers.py")


@dataclass(frozen=True)
class Contender:
    """A server under a certain load."""

    what: str
    server: str
    """Which running server; empty: ``Retriever.search`` over ``command``."""
    clients: int = 64
    batch: int = 1
    repeat: int = 1
    """How often each question is asked in a row."""
    base: str = ""
    """The contender that ``share`` refers to."""


@dataclass(frozen=True)
class Row:
    """One line of a table: medians over rounds."""

    table: str
    what: str
    clients: int
    batch: int
    queries_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    base: str
    share: float | None
    """Of the rate of ``base``: the median over rounds of the ratio in a round."""


@dataclass
class Load:
    """What clients saw."""

    requests: Sequence[bytes]
    until: float
    next: int = 0
    open: int = 0
    latencies: list[float] = field(default_factory=list)
    errors: int = 0


class Client(asyncio.Protocol):
    """Sends a request, reads its response, sends the next."""

    def __init__(self, load: Load, done: asyncio.Event) -> None:
        self._load = load
        self._done = done
        self._missing = -1
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._load.open += 1
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Counts what is still missing as an error."""
        self._load.errors += self._missing != -2
        self._load.open -= 1
        if not self._load.open:
            self._done.set()

    def _send(self) -> None:
        load = self._load
        self._started = time.perf_counter()
        if self._started > load.until:
            self._missing = -2
            self._transport.close()
            return
        self._transport.write(load.requests[load.next % len(load.requests)])
        load.next += 1

    def data_received(self, data: bytes) -> None:
        """Reads on until the response is whole."""
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            start = head.index(b"content-length:") + 15
            length = int(head[start:].split(b"\r", 1)[0])
            self._load.errors += not head.startswith(b"http/1.1 200")
            self._missing = length + end + 4 - len(self._head)
            self._head = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            self._load.latencies.append(time.perf_counter() - self._started)
            self._send()


async def send_load(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Keeps ``clients`` connections busy for some seconds."""
    load = Load(requests, time.perf_counter() + seconds)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for _ in range(clients):
        await loop.create_connection(lambda: Client(load, done), "127.0.0.1", port)
    await asyncio.wait_for(done.wait(), seconds + 60)
    return load


def requests_of(questions: Sequence[str], batch: int, repeat: int) -> list[bytes]:
    """Returns the bytes of requests for all questions."""
    repeated = [question for question in questions for _ in range(repeat)]
    found = []
    for i in range(0, len(repeated) - batch + 1, batch):
        body = {"queries": repeated[i : i + batch], "topk": K, "return_scores": True}
        data = json.dumps(body).encode()
        head = "POST /retrieve HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        found.append(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    return found


class Servers:
    """Starts servers, each in a process of its own, and ends them all."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *arguments: str) -> None:
        """Starts ours (``serve ...``) or one of ``service_servers.py``."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        if arguments[0] == "serve":
            command = ["-m", "searchenv.cli", *arguments, "--port", str(port)]
        else:
            command = [str(SERVERS), arguments[0], str(port), arguments[1]]
        process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
        self._processes.append(process)
        self.ports[name] = port
        for _ in range(1200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"{name} does not listen")

    def end(self) -> None:
        """Ends all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


def measure(
    table: str,
    servers: Servers,
    contenders: Sequence[Contender],
    questions: Sequence[str],
    rounds: int,
    seconds: float,
) -> list[Row]:
    """Runs all contenders in turns, and each round in an order of its own."""
    loads = {c.what: requests_of(questions, c.batch, c.repeat) for c in contenders}
    figures: dict[str, list[tuple[float, float, float]]] = {c.what: [] for c in contenders}
    order = random.Random(0)
    for number in range(-1, rounds):
        for c in order.sample(contenders, len(contenders)):
            port, length = servers.ports[c.server], seconds if number >= 0 else WARM_UP_S
            started = time.perf_counter()
            load = uvloop.run(send_load(port, loads[c.what], c.clients, length))
            took = time.perf_counter() - started
            if load.errors:
                raise RuntimeError(f"{c.what}: {load.errors} errors")
            if number >= 0:
                cuts = statistics.quantiles(load.latencies, n=100, method="inclusive")
                rate = len(load.latencies) * c.batch / took
                figures[c.what].append((rate, cuts[49] * 1e3, cuts[98] * 1e3))
    return [row_of(table, c, figures) for c in contenders]


def row_of(
    table: str, contender: Contender, figures: dict[str, list[tuple[float, float, float]]]
) -> Row:
    """Returns the medians of a contender."""
    own = figures[contender.what]
    share = None
    if contender.base:
        base = figures[contender.base]
        share = statistics.median(a[0] / b[0] for a, b in zip(own, base, strict=True))
    rate, p50, p99 = (statistics.median(values) for values in zip(*own, strict=True))
    return Row(
        table,
        contender.what,
        contender.clients,
        contender.batch,
        round(rate, 1),
        round(p50, 3),
        round(p99, 3),
        contender.base,
        None if share is None else round(share, 3),
    )


CONSTANT = "constant body, bare ASGI"
PLAIN = "plain handler"
STACKS = (
    Contender(CONSTANT, "asgi"),
    Contender("constant body, FastAPI", "fastapi", base=CONSTANT),
    Contender("constant body, Starlette", "starlette", base=CONSTANT),
    Contender("constant body, Granian", "granian", base=CONSTANT),
    Contender("constant body, bare protocol", "protocol", base=CONSTANT),
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
)
BM25S = (
    Contender(CONSTANT, "asgi"),
    Contender("ours, all different", "ours", base=CONSTANT),
    Contender("ours, groups of 8", "ours remembering", repeat=8, base=CONSTANT),
)
BATCHES = (Contender("ours, batches of 64", "ours", clients=2, batch=BATCH),)
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


def single_queries(setting: Setting, engine: str) -> list[Row]:
    """Compares services of one index under single queries."""
    index = str(setting.folder / engine)
    contenders = {"lucene": LUCENE, "bm25s": BM25S, "faiss": DENSE}[engine]
    with running() as servers:
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
        return measure(
            engine, servers, contenders, setting.questions, setting.rounds, setting.seconds
        )


def batches(setting: Setting, engine: str) -> list[Row]:
    """Compares requests of 64 queries with the engine itself, in turns."""
    index = str(setting.folder / engine)
    table = f"batches, {engine}"
    inside: list[float] = []
    outside: list[Row] = []
    with running() as servers:
        servers.start("ours", "serve", f"x={index}", "--remember", "0")
        for _ in range(setting.rounds):
            run = [sys.executable, __file__, "--inside", index, str(setting.seconds)]
            out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            inside.append(float(out.split()[-1]))
            outside += measure(table, servers, BATCHES, setting.questions, 1, setting.seconds)
    rates = [row.queries_per_s for row in outside]
    base = "Retriever.search in a process of its own"
    share = statistics.median(a / b for a, b in zip(rates, inside, strict=True))
    p50, p99 = (
        statistics.median(values)
        for values in zip(*((row.p50_ms or 0, row.p99_ms or 0) for row in outside), strict=True)
    )
    rate = statistics.median(inside)
    return [
        Row(table, base, 0, BATCH, round(rate, 1), None, None, "", None),
        Row(
            table,
            BATCHES[0].what,
            BATCHES[0].clients,
            BATCH,
            round(statistics.median(rates), 1),
            p50,
            p99,
            base,
            round(share, 3),
        ),
    ]


def rate_inside(index: str, questions: Sequence[str], seconds: float) -> float:
    """Returns the queries a second of ``Retriever.search`` in this process, warmed up."""
    retriever = open_index(index)
    parts = [questions[i : i + BATCH] for i in range(0, len(questions) - BATCH + 1, BATCH)]
    for length in (WARM_UP_S, seconds):
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < length:
            retriever.search(parts[count % len(parts)], K)
            count += 1
    return count * BATCH / (time.perf_counter() - started)


@contextlib.contextmanager
def running() -> Iterator[Servers]:
    """Gives servers that end with the block."""
    servers = Servers()
    try:
        yield servers
    finally:
        servers.end()


def build_indexes(folder: Path, corpus: Path, questions: Sequence[str], tables: set[str]) -> None:
    """Builds the indexes, and a typical response."""
    build_index(corpus, folder / "bm25s", engine="bm25s")
    source = folder / "json"
    source.mkdir()
    with (source / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for batch in open_index(folder / "bm25s").passages.batches():
            for passage in batch:
                contents = f'"{passage.title}"\n{passage.text}'
                file.write(json.dumps({"id": passage.id, "contents": contents}) + "\n")
    command = [str(find_java().path / "bin" / "java"), "-cp", str(anserini_jar())]
    command += ["io.anserini.index.IndexCollection", "-collection", "JsonCollection"]
    command += ["-generator", "DefaultLuceneDocumentGenerator", "-threads", "1", "-storeRaw"]
    command += ["-input", str(source), "-index", str(folder / "lucene"), "-optimize"]
    subprocess.run(command, check=True, capture_output=True)
    if "dense" in tables:
        build_index(corpus, folder / "faiss", engine="faiss", encoder="minilm")
    (hits,) = open_index(folder / "bm25s").search([questions[0]], K)
    result = [
        {"document": {"id": p.id, "contents": f'"{p.title}"\n{p.text}'}, "score": score}
        for p, score, _ in hits
    ]
    (folder / "body.json").write_text(json.dumps({"result": [result]}, ensure_ascii=False))


def main() -> None:
    """Measures, prints the tables, and writes them where asked."""
    arguments = parse_arguments()
    with gzip.open(arguments.questions, "rt", encoding="utf-8") as file:
        questions = [json.loads(line)["question"] for line in file]
    if arguments.inside:
        print(rate_inside(arguments.inside[0], questions, float(arguments.inside[1])))
        return
    tables = set(arguments.tables)
    with tempfile.TemporaryDirectory() as name:
        build_indexes(Path(name), arguments.corpus, questions, tables)
        setting = Setting(Path(name), questions, arguments.rounds, arguments.seconds)
        rows = stacks(setting) if "stacks" in tables else []
        for table in ("lucene", "bm25s"):
            rows += single_queries(setting, table) if table in tables else []
        for engine in ("lucene", "bm25s"):
            rows += batches(setting, engine) if "batches" in tables else []
        rows += single_queries(setting, "faiss") if "dense" in tables else []
    show(rows)
    if arguments.out:
        result = {**circumstances(), "rows": [asdict(row) for row in rows]}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """Returns the command line."""
    if "SEARCHENV_DATA" not in os.environ:
        sys.exit("set SEARCHENV_DATA to the folder of real questions and passages")
    data = Path(os.environ["SEARCHENV_DATA"]) / "2wikimultihopqa"
    tables = ("stacks", "lucene", "bm25s", "batches", "dense")
    parser = argparse.ArgumentParser(description="What HTTP costs.")
    parser.add_argument("--corpus", type=Path, default=data / "corpus.json.gz")
    parser.add_argument("--questions", type=Path, default=data / "dev_4000_no_context.jsonl.gz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
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


def circumstances() -> dict[str, object]:
    """Returns what a figure must be quoted with."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    packages = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "granian", "orjson")
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*packages, "pyserini", "bm25s", "numba")},
    }


if __name__ == "__main__":
    main()
