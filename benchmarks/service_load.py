"""The clients of ``service.py``: connections that send one request after the other."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

K = 5


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
