"""Pooling, bounds and the end of a service, with a retriever that does what queries say."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchenv.retrieval import DegradedHits, RemoteRetriever
from searchenv.serving import BatchOptions, ServiceOptions


def ask_all(url: str, queries: Sequence[str]) -> list[httpx.Response]:
    """Sends single queries, the first one some time before the others."""

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:

            async def one(query: str, wait: float) -> httpx.Response:
                await asyncio.sleep(wait)
                return await client.post("/v1/search", json={"queries": [query], "k": 1})

            waits = [0.0] + [0.2] * (len(queries) - 1)
            return await asyncio.gather(*map(one, queries, waits))

    return asyncio.run(send())


def workers_of(pid: int) -> list[int]:
    """Returns the worker processes of a service."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    pids = map(int, children.read_text().split()) if children.exists() else ()
    return [p for p in pids if "spawn_main" in Path(f"/proc/{p}/cmdline").read_text()]


def found(response: httpx.Response) -> tuple[str, str]:
    ((hit,),) = response.json()["results"]
    return hit["id"], hit["text"]


@pytest.fixture(scope="module")
def odd(serve_odd: Callable[..., Any]) -> Any:
    return serve_odd(max_queue=5, deadline_s=1.5)


def test_what_waits_is_searched_in_one_batch(odd: Any) -> None:
    responses = ask_all(odd.url, ["sleep 0.6", "a", "b", "c", "b"])
    assert [found(response) for response in responses] == [
        ("sleep 0.6", "1"),
        ("a", "3"),
        ("b", "3"),  # asked twice, searched once
        ("c", "3"),
        ("b", "3"),
    ]


def test_full_queue_is_429_with_retry_after(odd: Any) -> None:
    responses = ask_all(odd.url, ["sleep 0.8", *(f"full {i}" for i in range(8))])
    codes = [response.status_code for response in responses]
    assert sorted(codes) == [200] * 5 + [429] * 4
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert "queries are unanswered" in refused.json()["detail"]


def test_deadline_is_504_and_the_service_goes_on(odd: Any) -> None:
    started = time.monotonic()
    late, behind = ask_all(odd.url, ["sleep 2.2", "behind"])
    assert (late.status_code, behind.status_code) == (504, 504)
    assert "no answer within 1.5 s" in late.json()["detail"]
    assert time.monotonic() - started < 2.1
    assert httpx.get(f"{odd.url}/ready").status_code == 503 or time.monotonic() - started < 1.6
    time.sleep(0.7)
    assert httpx.get(f"{odd.url}/ready").status_code == 200
    assert found(ask_all(odd.url, ["again"])[0]) == ("again", "1")


def test_failed_search_is_500_for_its_batch_only(odd: Any) -> None:
    responses = ask_all(odd.url, ["fail"])
    assert responses[0].status_code == 500
    assert "OSError: the disk is gone" in responses[0].json()["detail"]
    assert ask_all(odd.url, ["after"])[0].status_code == 200


def test_degraded_result_is_marked_and_not_remembered(odd: Any) -> None:
    retriever = RemoteRetriever(odd.url)
    for _ in range(2):
        whole, half = retriever.search(["whole", "degraded"], 1)
        assert not isinstance(whole, DegradedHits)
        assert isinstance(half, DegradedHits)
        assert half.reason == "half of it"
    assert "degraded" not in httpx.post(f"{odd.url}/v1/search", json={"queries": ["whole"]}).json()


def test_client_that_hangs_up_is_not_searched_for(odd: Any) -> None:
    host, port = odd.url.removeprefix("http://").split(":")
    body = b'{"queries": ["sleep 1.2"], "k": 1}'
    head = b"POST /v1/search HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection((host, int(port))) as busy:
        busy.sendall(head + body)
        time.sleep(0.2)
        with socket.create_connection((host, int(port))) as leaving:
            body = b'{"queries": ["sleep 1.3"], "k": 1}'
            leaving.sendall(head + body)
            time.sleep(0.3)
        started = time.monotonic()
        assert ask_all(odd.url, ["next"])[0].status_code == 200
        assert time.monotonic() - started < 1.2  # 1.2 - 0.5 s of the first, nothing of the second
    assert 'path="/v1/search",status="499"} 1.0' in httpx.get(f"{odd.url}/metrics").text


def test_max_wait_gathers_as_many_as_the_last_batch(serve_odd: Callable[..., Any]) -> None:
    url = serve_odd(max_wait_ms=2000).url
    started = time.monotonic()
    assert found(ask_all(url, ["alone"])[0]) == ("alone", "1")  # idle: no wait
    ask_all(url, ["sleep 0.5", "a", "b", "c"])  # the last batch is a, b, c
    responses = ask_all(url, ["d", "e", "f"])  # d comes first, and waits for two more
    assert [found(response)[1] for response in responses] == ["3", "3", "3"]
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_what_was_accepted(serve_odd: Callable[..., Any], number: int) -> None:
    odd = serve_odd()

    async def run() -> tuple[httpx.Response, int]:
        async with httpx.AsyncClient(timeout=30) as client:
            body = {"queries": ["sleep 1.0"], "k": 1}
            accepted = asyncio.create_task(client.post(f"{odd.url}/v1/search", json=body))
            await asyncio.sleep(0.4)
            odd.process.send_signal(number)
            await asyncio.sleep(0.3)
            with pytest.raises(httpx.ConnectError):
                await httpx.AsyncClient().post(f"{odd.url}/v1/search", json=body)
            return await accepted, await asyncio.to_thread(odd.process.wait, 10)

    response, code = asyncio.run(run())
    assert found(response) == ("sleep 1.0", "1")
    assert code == 0


def test_stop_is_bounded(serve_odd: Callable[..., Any]) -> None:
    odd = serve_odd(grace_s=1)

    async def run() -> int:
        async with httpx.AsyncClient(timeout=30) as client:
            body = {"queries": ["sleep 25"], "k": 1}
            accepted = asyncio.create_task(client.post(f"{odd.url}/v1/search", json=body))
            await asyncio.sleep(0.3)
            odd.process.terminate()
            with pytest.raises(httpx.HTTPError):
                (await accepted).raise_for_status()
            return await asyncio.to_thread(odd.process.wait, 15)

    started = time.monotonic()
    assert asyncio.run(run()) == 0
    assert time.monotonic() - started < 12


def test_workers_share_a_port_and_one_that_dies_is_replaced(
    serve_odd: Callable[..., Any],
) -> None:
    odd = serve_odd(workers=2)
    children = workers_of(odd.process.pid)
    assert len(children) == 2
    os.kill(children[0], signal.SIGKILL)
    retriever = RemoteRetriever(odd.url)
    assert retriever.search(["still there"], 1)[0][0].passage.id == "still there"
    until = time.monotonic() + 15
    while len(set(workers_of(odd.process.pid)) - {children[0]}) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert "searchenv_requests_total" in httpx.get(f"{odd.url}/metrics").text
    assert odd.stop() == 0
    assert workers_of(odd.process.pid) == []


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="max_k must be >= 5, got 4"):
        ServiceOptions(max_k=4)
    with pytest.raises(ValueError, match="deadline_s must be > 0, got 0"):
        BatchOptions(deadline_s=0)
    with pytest.raises(ValueError, match="max_wait_ms must be >= 0, got -1"):
        BatchOptions(max_wait_ms=-1)
    with pytest.raises(ValueError, match="max_queue must be >= 1, got 0"):
        BatchOptions(max_queue=0)
    with pytest.raises(ValueError, match="remember must be >= 0, got -1"):
        BatchOptions(remember=-1)
