"""Web search against a local server that replays recorded exchanges (invented content)."""

import json
import logging
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import BudgetExceededError, RetrievalError
from searchenv.retrieval.base import RetrieverTool
from searchenv.retrieval.web import WebRetriever
from searchenv.retrieval.web_apis import GoogleCseApi, SearchApi, SearxngApi, SerperApi
from searchenv.retrieval.web_pages import PageFetcher
from searchenv.types import ToolCall, ToolFailure
from tests.retrieval.web_server import Reply, Server, as_json, page, running

EXCHANGES = Path(__file__).parent / "exchanges"
QUERY = "Where was Orla Fenwick born?"


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERPER_API_KEY", "the-key")
    monkeypatch.setenv("GOOGLE_API_KEY", "the-key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


APIS: dict[str, Callable[[str], SearchApi]] = {
    "searxng": lambda url: SearxngApi(url + "/"),
    "serper": lambda url: SerperApi(url + "/search"),
    "google_cse": lambda url: GoogleCseApi("0123456789abcdef", url + "/customsearch/v1"),
}


def results(*urls: str) -> Reply:
    records = [{"url": url, "title": f"Page {url[-1]}", "content": "a snippet"} for url in urls]
    return as_json({"results": records, "unresponsive_engines": []})


@pytest.fixture
def web(server: Server) -> Iterator[Callable[..., WebRetriever]]:
    made: list[WebRetriever] = []

    def make(**how: Any) -> WebRetriever:
        made.append(WebRetriever(SearxngApi(server.url), **{"max_requests": 20, **how}))
        return made[-1]

    yield make
    for retriever in made:
        retriever.close()


@pytest.mark.parametrize("name", APIS)
def test_recorded_exchange(server: Server, name: str) -> None:
    exchange = json.loads((EXCHANGES / f"{name}.json").read_text())
    expected = exchange["request"]
    server.replies[expected["path"]] = [as_json(exchange["reply"])]
    retriever = WebRetriever(APIS[name](server.url), max_requests=1)
    (hits,) = retriever.search([QUERY], 5)
    retriever.close()
    (asked,) = server.asked
    assert asked["headers"].items() >= expected.pop("headers", {}).items()
    assert {key: asked[key] for key in expected} == expected
    assert [list(hit.passage) for hit in hits] == exchange["hits"]
    assert [(hit.rank, hit.score) for hit in hits] == [(1, 1.0), (2, 0.5)][: len(hits)]


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"results": 1, "organic": 1, "kind": 1}', b"\xff"]
)
def test_reply_of_another_shape_is_a_failure(server: Server, name: str, body: bytes) -> None:
    for path in ("/search", "/customsearch/v1"):
        server.replies[path] = [Reply(body)]
    retriever = WebRetriever(APIS[name](server.url), max_requests=9, retries=0)
    with pytest.raises(RetrievalError, match=r"web search failed, 1 requests were sent: .* shape"):
        retriever.search(["a"], 3)
    retriever.close()


def test_google_without_items_is_an_empty_result(server: Server) -> None:
    server.replies["/customsearch/v1"] = [as_json({"kind": "customsearch#search"})]
    retriever = WebRetriever(APIS["google_cse"](server.url), max_requests=9)
    assert retriever.search(["zzz"], 3) == [[]]
    retriever.close()


def test_searxng_without_engines_is_a_failure(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [
        as_json({"results": [], "unresponsive_engines": [["google", "timeout"]]}),
        as_json({"results": [], "unresponsive_engines": []}),
    ]
    with pytest.raises(RetrievalError, match=r"its engines did not answer: .*google"):
        web(retries=0).search(["a"], 3)
    assert web().search(["a"], 3) == [[]]


def test_search_is_aligned_and_asks_each_query_once(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [results("http://a.example/1", "http://a.example/2", "ftp://x/3")]
    retriever = web()
    found = retriever.search(["x", "", "?!", "y", "x"], 1)
    assert [len(hits) for hits in found] == [1, 0, 0, 1, 1]
    assert sorted(asked["params"]["q"] for asked in server.asked) == ["x", "y"]
    assert retriever.requests == 2
    assert retriever.search([], 3) == []
    assert retriever.search([" "], 3) == [[]]


def test_budget_is_kept(server: Server, web: Callable[..., WebRetriever]) -> None:
    server.replies["/search"] = [results("http://a.example/1")]
    retriever = web(max_requests=3)
    retriever.search(["a", "b"], 1)
    with pytest.raises(BudgetExceededError, match=r"2 more web requests .* 1 of 3 are left"):
        retriever.search(["c", "d"], 1)
    retriever.search(["c"], 1)
    (failure,) = RetrieverTool(retriever).run([ToolCall("search", "d")])
    assert isinstance(failure, ToolFailure)
    assert not failure.retryable
    assert len(server.asked) == 3


def test_repetitions_are_paid_from_the_budget(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [Reply(b"", 503)]
    with pytest.raises(BudgetExceededError, match="0 of 2 are left"):
        web(max_requests=2, retries=5).search(["a"], 1)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(b"", 500),
        Reply(b"", 429, {"Retry-After": "0"}),
        Reply(b'{"results": []}', cut=4),
        Reply(b"{}"),
    ],
    ids=["500", "429", "half", "shape"],
)
def test_passing_trouble_is_repeated(
    server: Server, web: Callable[..., WebRetriever], trouble: Reply
) -> None:
    server.replies["/search"] = [trouble, trouble, results("http://a.example/1")]
    retriever = web()
    assert len(retriever.search(["a"], 1)[0]) == 1
    assert retriever.requests == 3


def test_lasting_trouble_is_an_error_with_a_hint(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [Reply(b"", 403)]
    with pytest.raises(RetrievalError, match=r"1 requests .*/search answered 403: let the inst"):
        web().search(["a"], 1)


def test_wait_that_is_longer_than_the_deadline_is_not_waited_for(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [Reply(b"", 429, {"Retry-After": "3600"})]
    start = time.monotonic()
    with pytest.raises(RetrievalError, match="answered 429"):
        web().search(["a"], 1)
    assert time.monotonic() - start < 30  # seconds of slack for a busy machine


@pytest.mark.parametrize(
    "slow", [Reply(b"{}", delay_s=20), Reply(b" " * 1000, drip_s=0.05)], ids=["late", "drip"]
)
def test_deadline_holds_whatever_the_service_does(
    server: Server, web: Callable[..., WebRetriever], slow: Reply
) -> None:
    server.replies["/search"] = [slow]
    start = time.monotonic()
    with pytest.raises(RetrievalError, match=r"did not answer within 0.5 s|web search failed"):
        web(deadline_s=0.5, retries=0).search(["a"], 1)
    assert time.monotonic() - start < 10


def test_nobody_listens_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        retriever = WebRetriever(SearxngApi(url), max_requests=9, retries=1)
        with pytest.raises(RetrievalError, match=r"web search failed, 2 requests .* ConnectError"):
            retriever.search(["a"], 1)
        retriever.close()


@pytest.mark.parametrize("name", ["serper", "google_cse"])
def test_key_is_never_shown(server: Server, name: str, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/search", "/customsearch/v1"):
        server.replies[path] = [Reply(b'{"error": "the-key is wrong"}', 403)]
    api = APIS[name](server.url)
    retriever = WebRetriever(api, max_requests=1)
    with caplog.at_level(logging.DEBUG):
        (failure,) = RetrieverTool(retriever).run([ToolCall("search", "a")])
    assert isinstance(failure, ToolFailure)
    assert "check the key in $" in failure.message
    shown = [failure.message, caplog.text, repr(api), repr(api.request("a", 1)), api.fingerprint]
    assert not any("the-key" in text for text in shown)
    assert b"the-key" not in pickle.dumps(retriever)
    retriever.close()


def test_key_that_is_missing_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERPER_API_KEY")
    with pytest.raises(RetrievalError, match="no API key: set the variable SERPER_API_KEY"):
        SerperApi()


def test_pickled_retriever_searches(server: Server, web: Callable[..., WebRetriever]) -> None:
    server.replies["/search"] = [results("http://a.example/1")]
    retriever = web(pages=PageFetcher())
    copy = pickle.loads(pickle.dumps(retriever))
    assert copy.search(["?"], 1) == [[]]
    assert copy.fingerprint == retriever.fingerprint != web().fingerprint


@pytest.mark.parametrize(
    "arguments", [{"max_requests": 0}, {"max_chars": 0}, {"deadline_s": 0}, {"retries": -1}]
)
def test_bad_numbers_are_errors(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected max_requests >= 1, max_chars >= 1"):
        WebRetriever(SearxngApi("http://x.example"), **{"max_requests": 1, **arguments})  # type: ignore[arg-type]


LONG = "<p>It rained in Velmara.</p>" * 60 + "<p>Orla Fenwick was born in Dunmarrow.</p>"


def test_pages_are_fetched_and_shortened(server: Server, web: Callable[..., WebRetriever]) -> None:
    good, missing, picture = (f"{server.url}/{name}" for name in ("good", "missing", "picture"))
    server.replies["/search"] = [results(good, missing, picture)]
    server.replies["/good"] = [page(f"<nav>Home</nav>{LONG}<script>bad()</script>")]
    server.replies["/picture"] = [page("GIF", "image/gif")]
    retriever = web(pages=PageFetcher(allow_private=True), max_chars=70)
    (hits,) = retriever.search([QUERY], 3)
    assert hits[0].passage == (
        good,
        "Page d",
        "It rained in Velmara. Orla Fenwick was born in Dunmarrow.",
    )
    assert [hit.passage.text for hit in hits[1:]] == ["a snippet"] * 2
    assert retriever.failed_pages == 2


def test_pages_of_private_addresses_are_not_fetched(
    server: Server, web: Callable[..., WebRetriever]
) -> None:
    server.replies["/search"] = [results(f"{server.url}/secret")]
    server.replies["/secret"] = [page("<p>secret</p>")]
    (hits,) = web(pages=PageFetcher()).search(["a"], 1)
    assert hits[0].passage.text == "a snippet"
    assert [asked["path"] for asked in server.asked] == ["/search"]
