"""The client against everything a service can do wrong: no fault passes for "nothing found"."""

import asyncio
import contextlib
import json
import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from searchenv.env import SearchQAEnv
from searchenv.errors import RetrievalError
from searchenv.retrieval import RemoteRetriever, RetrieverTool, Wire
from searchenv.retrieval.remote import open_remote
from searchenv.types import Hit, Passage, Question, ToolCall, ToolFailure
from searchenv.vector import SearchQAVectorEnv

QUESTIONS = tuple(Question(f"q{i}", f"Who is {i}?", ("nobody",)) for i in range(4))
SEARCH = "<think> hm </think> <search> river </search>"
PLACES = (
    Passage("p1", "Dunmarrow", "Dunmarrow is a town on the river Issel."),
    Passage("p2", "Issel", "The Issel is a river.\nIt ends in the sea."),
)
GOOD = {
    "index": "x",
    "fingerprint": "f",
    "results": [[{"id": "p", "title": "t", "text": "x", "score": 1.0, "rank": 1}]],
}


@contextlib.contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that lets ``answer`` do what it likes with each connection that sent a request."""
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(0.1)
            request = b""
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    if not (received := connection.recv(1 << 20)):
                        return
                    request += received
                    if request.endswith(b"}"):  # of the body: headers end otherwise
                        request = b""
                        answer(connection)

    def accept() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(connection,))
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def reply(body: bytes, *, status: str = "200 OK", length: int | None = None, more: str = "") -> Any:
    """Answers each request with this; a ``length`` that is not the body's ends the connection."""
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body) if length is None else length}\r\n"

    def answer(connection: socket.socket) -> None:
        connection.sendall(f"{head}{more}\r\n".encode() + body)
        if length is not None:
            raise OSError("half a reply is all there is")

    return answer


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b" ")
        time.sleep(0.05)


def hang_up(connection: socket.socket) -> None:
    raise OSError("no reply at all")


def silence(connection: socket.socket) -> None:
    pass


def as_json(value: object) -> Any:
    return reply(json.dumps(value).encode())


def change(**fields: object) -> Any:
    return as_json({**GOOD, **fields})


HIT = {"id": "p", "title": "t", "text": "x", "score": 1.0, "rank": 1}
SLACK_S = 8  # what a busy machine may add to a deadline

FAULTS = {
    "nothing": (hang_up, "RemoteProtocolError"),
    "silence": (silence, "no answer within"),
    "drip": (drip, "no answer within"),
    "half": (reply(json.dumps(GOOD).encode()[:40], length=200), "RemoteProtocolError"),
    "cut_json": (reply(json.dumps(GOOD).encode()[:40]), "the reply is not JSON"),
    "empty": (reply(b""), "the reply is not JSON"),
    "not_http": (lambda c: c.sendall(b"hello\r\n\r\n"), "RemoteProtocolError"),
    "html": (reply(b"<html>"), "the reply is not JSON"),
    "status_500": (reply(b"out of memory", status="500 Oops"), "HTTP 500: out of memory"),
    "status_503": (reply(b"", status="503 Busy"), "HTTP 503"),
    "status_404": (reply(b"who?", status="404 No"), "HTTP 404: who\\?"),
    "redirect": (reply(b"", status="302 There", more="location: /x\r\n"), "HTTP 302"),
    "null": (as_json(None), "expected a list in 'results', got None"),
    "other_json": (as_json({"error": "x"}), "expected a list in 'results'"),
    "no_answer": (change(results=[]), "expected 1 answers in 'results', got 0"),
    "more_answers": (change(results=[[], []]), "expected 1 answers in 'results', got 2"),
    "null_answer": (change(results=[None]), "expected a list of at most 3 passages, got None"),
    "too_many_hits": (change(results=[[HIT] * 4]), "expected a list of at most 3 passages"),
    "no_text": (change(results=[[{**HIT, "text": None}]]), "expected a str in 'text'"),
    "no_score": (change(results=[[{**HIT, "score": "1"}]]), "expected a number in 'score'"),
    "no_fingerprint": (change(fingerprint=None), "expected a str in 'fingerprint'"),
    "half_degraded": (change(degraded=[]), "expected 1 reasons in 'degraded', got 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_ends_the_episode_as_truncated_in_time(fault: str) -> None:
    answer, message = FAULTS[fault]
    with listening(answer) as url:
        retriever = RemoteRetriever(url, timeout_s=0.3, deadline_s=1.0, retries=1)
        env = SearchQAEnv(index=retriever, questions=QUESTIONS)
        env.reset(seed=0)
        started = time.monotonic()
        _, reward, terminated, truncated, info = env.step(SEARCH)
        assert time.monotonic() - started < 1.0 + SLACK_S
    assert (terminated, truncated, reward) == (False, True, 0.0)
    assert "RetrievalError" in str(info["tool_error"])
    with pytest.raises(RetrievalError, match=message), listening(answer) as url:
        RemoteRetriever(url, timeout_s=0.3, deadline_s=1.0, retries=0).search(["river"], 3)


def test_good_reply_is_taken() -> None:
    with listening(as_json(GOOD)) as url:
        retriever = RemoteRetriever(url)
        assert retriever.search(["x"], 3) == [[Hit(Passage("p", "t", "x"), 1.0, 1)]]
        assert retriever.fingerprint == "f"


def test_refused_connection_is_retried_until_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(RetrievalError, match=r"attempts failed; .* ConnectError") as caught:
        RemoteRetriever("http://127.0.0.1:9", deadline_s=0.5, retries=100).search(["x"], 1)
    assert 0.2 < time.monotonic() - started < 0.5 + SLACK_S
    assert caught.value.retryable is False


def test_retry_after_is_honoured() -> None:
    asked: list[float] = []

    def busy_once(connection: socket.socket) -> None:
        asked.append(time.monotonic())
        busy = reply(b"", status="429 Busy", more="retry-after: 1\r\n")
        (busy if len(asked) == 1 else as_json(GOOD))(connection)

    with listening(busy_once) as url:
        RemoteRetriever(url).search(["x"], 3)
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


def test_retry_after_beyond_the_deadline_fails_at_once() -> None:
    started = time.monotonic()
    busy = reply(b"", status="429 Busy", more="retry-after: 600\r\n")
    with listening(busy) as url, pytest.raises(RetrievalError, match="1 attempts failed"):
        RemoteRetriever(url, deadline_s=60).search(["x"], 3)
    assert time.monotonic() - started < 1 + SLACK_S


def test_spent_retries_are_not_repeated_by_the_tool() -> None:
    tool = RetrieverTool(RemoteRetriever("http://127.0.0.1:9", retries=0))
    (failure,) = tool.run([ToolCall("search", "x")])
    assert isinstance(failure, ToolFailure)
    assert failure.retryable is False


# The rest talks to real services in processes of their own.

Serve = Callable[[], Any]


@pytest.fixture
def serve_places(serve: Callable[..., Any], build: Callable[..., Any]) -> Serve:
    return lambda: serve(build("bm25s", PLACES))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_service_that_dies_truncates_all_episodes_in_time(serve_places: Serve, number: int) -> None:
    served = serve_places()
    retriever = RemoteRetriever(served.url, timeout_s=0.5, deadline_s=2.0)
    env = SearchQAEnv(index=retriever, questions=QUESTIONS)
    envs = SearchQAVectorEnv(4, index=retriever, questions=QUESTIONS)
    env.reset(seed=0)
    envs.reset(seed=0)
    observation, _, _, truncated, _ = env.step(SEARCH)
    assert "Issel" in str(observation)
    assert not truncated
    assert not envs.step([SEARCH] * 4)[3].any()
    served.process.send_signal(number)
    started = time.monotonic()
    _, _, terminated, truncated, info = env.step(SEARCH)
    assert time.monotonic() - started < 2.0 + SLACK_S
    assert (terminated, truncated) == (False, True)
    assert "attempts failed" in str(info["tool_error"])
    started = time.monotonic()
    _, _, terminations, truncations, infos = envs.step([SEARCH] * 4)
    assert time.monotonic() - started < 2.0 + SLACK_S
    assert truncations.all()
    assert not terminations.any()
    assert str(infos["tool_error"]).count("RetrievalError") == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_of_two_replicas_dies_and_no_episode_is_lost(serve_places: Serve, number: int) -> None:
    first, second = serve_places(), serve_places()
    retriever = RemoteRetriever([first.url, second.url], timeout_s=0.5, deadline_s=5)
    envs = SearchQAVectorEnv(4, index=retriever, questions=QUESTIONS)
    envs.reset(seed=0)
    for turn in range(6):
        if turn == 2:
            first.process.send_signal(number)
        _, _, _, truncations, _ = envs.step([SEARCH] * 4)
        assert not truncations.any(), turn


def test_replica_that_comes_back_is_used_again(serve_places: Serve) -> None:
    first, second = serve_places(), serve_places()
    retriever = RemoteRetriever([first.url, second.url], timeout_s=0.5, deadline_s=5)
    first.process.send_signal(signal.SIGSTOP)
    for _ in range(4):
        retriever.search(["river"], 1)
    first.process.send_signal(signal.SIGCONT)
    second.stop(signal.SIGKILL)
    assert len(retriever.search(["river"], 2)[0]) == 2


def test_replica_with_another_index_is_not_listened_to(
    serve: Callable[..., Any], build: Callable[..., Any]
) -> None:
    replicas = {serve(build("bm25s", places)): places for places in (PLACES, PLACES[:1])}
    retriever = RemoteRetriever([served.url for served in replicas], deadline_s=2)
    found = [retriever.search(["river"], 2) for _ in range(6)]
    assert all(hits == found[0] for hits in found)
    for served in replicas:
        if RemoteRetriever(served.url).fingerprint == retriever.fingerprint:
            served.stop(signal.SIGKILL)
    with pytest.raises(RetrievalError, match="replicas must serve the same index"):
        retriever.search(["river"], 2)


@pytest.fixture
def url(url_of: Callable[[Sequence[Passage]], str]) -> str:
    return url_of(PLACES)


@pytest.mark.parametrize("wire", list(Wire))
def test_every_wire_finds_the_same(url: str, wire: Wire) -> None:
    ours = RemoteRetriever(url).search(["river", "sea", "qqq"], 2)
    theirs = RemoteRetriever(url, wire=wire).search(["river", "sea", "qqq"], 2)
    line = wire is Wire.R1_SEARCHER  # one line a passage, and no scores

    def essence(found: Sequence[Sequence[Hit]]) -> list[list[tuple[object, ...]]]:
        return [
            [
                (h.passage.id, h.passage.title, h.passage.text.replace("\n", " "), h.rank)
                if line
                else h
                for h in hits
            ]
            for hits in found
        ]

    assert essence(theirs) == essence(ours)
    assert [len(hits) for hits in ours] == [2, 1, 0]


def test_url_names_service_and_index(url: str, build: Callable[..., Any]) -> None:
    named = open_remote(f"{url}/{build('bm25s', PLACES).name}")
    assert named.index == "bm25s"
    assert named.search(["sea"], 1) == open_remote(url).search(["sea"], 1)
    env = SearchQAEnv(index=url, questions=QUESTIONS)
    env.reset(seed=0)
    assert "Issel" in str(env.step(SEARCH)[0])
    with pytest.raises(RetrievalError, match=r"HTTP 404: .*no index 'x'"):
        open_remote(f"{url}/x").search(["sea"], 1)
    assert RemoteRetriever(f"{url}/retrieve", wire="search_r1").urls == (url,)


def test_many_queries_are_sent_in_parts(url: str) -> None:
    found = RemoteRetriever(url).search(["sea", "qqq"] * 1000, 1)
    assert [len(hits) for hits in found] == [1, 0] * 1000


def test_asearch_in_the_loop_of_the_caller(url: str) -> None:
    retriever = RemoteRetriever(url)

    async def run() -> list[list[list[Hit]]]:
        found = await asyncio.gather(*(retriever.asearch(["sea"], 1) for _ in range(20)))
        await retriever.aclose()
        return list(found)

    assert asyncio.run(run()) == [retriever.search(["sea"], 1)] * 20


def search_in_child(retriever: RemoteRetriever, out: Any) -> None:
    out.put(retriever.search(["sea"], 1))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_retriever_works_in_a_fork(url: str) -> None:
    retriever = RemoteRetriever(url)
    expected = retriever.search(["sea"], 1)
    context = multiprocessing.get_context("fork")
    out = context.SimpleQueue()
    child = context.Process(target=search_in_child, args=(retriever, out))
    child.start()
    assert out.get() == expected
    child.join()


@pytest.mark.parametrize("given", ["", "127.0.0.1:8000", "ftp://x", "http://"])
def test_url_that_is_none(given: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as http://127"):
        RemoteRetriever(given)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="expected at least one URL, got none"):
        RemoteRetriever([])
    with pytest.raises(ValueError, match="expected timeout_s > 0, deadline_s > 0 and retries"):
        RemoteRetriever("http://x", timeout_s=0)
    with pytest.raises(ValueError, match="'v2' is not a valid Wire"):
        RemoteRetriever("http://x", wire="v2")
