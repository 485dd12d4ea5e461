"""Whatever comes in, every request gets an answer of its kind, and none a 500."""

import asyncio
import json
import random
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchenv.indexing import build_index
from searchenv.retrieval import open_index
from searchenv.types import Passage

NUM_CLIENTS = 64
# too many queries are 413, which the fuzzer does not know for a refusal
FUZZER = """
[checks.negative_data_rejection]
expected-statuses = [400, 404, 405, 413, 422]
"""
WORDS = ("film", "born", "Dunmarrow", "Issel", "1962", "Orla", "nothing", "日本", "\x00", "{}")


@pytest.mark.parametrize("name", ["service", "larger"])
def test_schemathesis_finds_nothing(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue(name).url
    (tmp_path / "schemathesis.toml").write_text(FUZZER)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--checks", "all", "--max-examples", "30", "--seed", "3", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr
    assert "Tested: 7" in run.stdout


@pytest.fixture
def larger(serve: Any, tmp_path: Path) -> Any:
    """Holds more passages than anybody may ask for at a time."""
    passages = [Passage(str(i), "Film", f"The film number {i}.") for i in range(9)]
    build_index(passages, tmp_path / "larger", engine="bm25s")
    return serve(tmp_path / "larger", "--max-k", "5")


def mixed(number: int, rng: random.Random) -> tuple[bytes, tuple[int, ...], list[str]]:
    """Returns a request, the statuses it may get, and the queries that must be answered."""
    queries = [" ".join(rng.sample(WORDS, 3)) + f" {number}" for _ in range(rng.choice((1, 1, 9)))]
    body = json.dumps({"queries": queries, "k": 2, "topk": 2}).encode()
    path = rng.choice(("/v1/search", "/retrieve", "/queries"))
    kind = number % 10
    if kind == 0:
        return _http("POST", path, body[: len(body) // 2]), (400,), []
    if kind == 1:
        return _http("POST", path, rng.randbytes(40)), (400, 422), []
    if kind == 2:
        return _http("POST", path, json.dumps({"queries": [number]}).encode()), (422,), []
    if kind == 3:
        path = rng.choice(("/health", "/metrics", "/nowhere", path))
        return _http("GET", path, b""), (200, 404, 405), []
    if kind == 4:
        return _http("POST", path, json.dumps({"queries": ["x"] * 51}).encode()), (413,), []
    return _http("POST", path, body), (200,), queries


def _http(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ", 2)[1])
    length = next(line for line in head.split("\r\n") if line.startswith("content-length"))
    return status, await reader.readexactly(int(length.split(":")[1]))


def test_ten_thousand_mixed_requests_are_all_answered(service: Any, index: Path) -> None:
    rng = random.Random(0)
    requests = [mixed(number, rng) for number in range(10_000)]
    queries = sorted({query for _, _, asked in requests for query in asked})
    retriever = open_index(index)
    expected = dict(zip(queries, retriever.search(queries, 2), strict=True))
    host, port = service.url.removeprefix("http://").split(":")
    statuses: Counter[int] = Counter()

    def check(status: int, body: bytes, allowed: tuple[int, ...], asked: list[str]) -> None:
        assert status in allowed, body
        statuses[status] += 1
        if asked:
            reply = json.loads(body)
            found = next(reply[key] for key in ("results", "result", "answers") if key in reply)
            for query, hits in zip(asked, found, strict=True):
                ids = [h.split("\t")[0] if isinstance(h, str) else h["id"] for h in hits]
                assert ids == [hit.passage.id for hit in expected[query]]

    async def client(own: list[tuple[bytes, tuple[int, ...], list[str]]]) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for data, allowed, asked in own:
            writer.write(data)
            check(*await answer(reader), allowed, asked)
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        await asyncio.gather(*(client(requests[i::NUM_CLIENTS]) for i in range(NUM_CLIENTS)))

    asyncio.run(run())
    assert statuses.total() == 10_000
    assert statuses[200] >= 5000
    assert statuses[500] == 0
    assert httpx.get(f"{service.url}/ready").status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\x00",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"POST /retrieve HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /retrieve HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{",
    ],
)
def test_broken_http_does_not_harm_the_service(service: Any, data: bytes) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(data)
    assert httpx.get(f"{service.url}/health").status_code == 200
