"""The rounds of ``service.py``: contenders take turns, and rows are medians over rounds."""

import contextlib
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.service_inside import Inside
from benchmarks.service_load import requests_of, send_load

WARM_UP_S = 6.0
"""Java compiles for some seconds before it is at its speed."""
SERVERS = Path(__file__).with_name("service_servers.py")


@dataclass(frozen=True)
class Contender:
    """A server under a certain load."""

    what: str
    server: str
    """Which running server; empty: the engine itself."""
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


class Servers:
    """Starts servers, each in a process of its own, and ends them all."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

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
        self.processes.append(process)
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
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


@contextlib.contextmanager
def running() -> Iterator[Servers]:
    """Gives servers that end with the block."""
    servers = Servers()
    try:
        yield servers
    finally:
        servers.end()


def measure(
    table: str,
    servers: Servers,
    contenders: Sequence[Contender],
    questions: Sequence[str],
    rounds: int,
    seconds: float,
    inside: Inside | None = None,
) -> list[Row]:
    """Runs all contenders in turns, and each round in an order of its own."""
    loads = {c.what: requests_of(questions, c.batch, c.repeat) for c in contenders}
    figures: dict[str, list[tuple[float, float, float]]] = {c.what: [] for c in contenders}
    order = random.Random(0)
    for number in range(-1, rounds):
        for c in order.sample(contenders, len(contenders)):
            length = seconds if number >= 0 else WARM_UP_S
            if inside is not None and not c.server:
                figure = inside.measure(length)
            else:
                figure = measure_service(servers.ports[c.server], loads[c.what], c, length)
            if number >= 0:
                figures[c.what].append(figure)
    return [row_of(table, c, figures) for c in contenders]


def measure_service(
    port: int, requests: Sequence[bytes], contender: Contender, seconds: float
) -> tuple[float, float, float]:
    """Returns queries a second, and the milliseconds of a request: p50 and p99."""
    started = time.perf_counter()
    load = uvloop.run(send_load(port, requests, contender.clients, seconds))
    took = time.perf_counter() - started
    if load.errors:
        raise RuntimeError(f"{contender.what}: {load.errors} errors")
    cuts = statistics.quantiles(load.latencies, n=100, method="inclusive")
    return len(load.latencies) * contender.batch / took, cuts[49] * 1e3, cuts[98] * 1e3


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
