"""Pages of the web: which may be fetched, what is read of them, and how they are shortened."""

import time
from collections.abc import Iterator

import pytest

from searchenv.retrieval.web_pages import PageError, PageFetcher, _is_public
from searchenv.retrieval.web_text import page_text, shorten
from tests.retrieval.web_server import Reply, Server, page, running


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/secret",
        "http://localhost:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://0x7f.1:{port}/secret",
        "http://0:{port}/secret",
        "http://user:word@127.0.0.1:{port}/secret",
        "http://[::1]:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_fetch_refuses_private_addresses_in_any_dress(server: Server, url: str) -> None:
    with pytest.raises(PageError, match=r"which is not a public address|cannot fetch"):
        PageFetcher().fetch(url.format(port=server.server_address[1]))
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/x", "gopher://a.example", "//x", "", "http://"]
)
def test_fetch_takes_http_only(url: str) -> None:
    with pytest.raises(PageError, match=r"only http and https|cannot fetch"):
        PageFetcher(allow_private=True).fetch(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::1", False),
        ("ff02::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert _is_public(address) is public


def test_fetch_checks_redirects_too(server: Server) -> None:
    fetcher = PageFetcher(allow_private=True)
    server.replies["/a"] = [Reply(b"", 302, {"Location": "/b"})]
    server.replies["/b"] = [Reply(b"", 301, {"Location": f"{server.url}/c"})]
    server.replies["/c"] = [page("<p>here</p>")]
    server.replies["/file"] = [Reply(b"", 302, {"Location": "file:///etc/passwd"})]
    server.replies["/loop"] = [Reply(b"", 302, {"Location": "/loop"})]
    assert fetcher.fetch(f"{server.url}/a") == "here"
    assert server.asked[0]["headers"]["host"] == f"127.0.0.1:{server.server_address[1]}"
    with pytest.raises(PageError, match="only http and https"):
        fetcher.fetch(f"{server.url}/file")
    with pytest.raises(PageError, match="more than 4 redirects"):
        fetcher.fetch(f"{server.url}/loop")
    fetcher.close()


def test_fetch_keeps_its_limits(server: Server) -> None:
    fetcher = PageFetcher(allow_private=True, max_bytes=1000, timeout_s=0.4)
    server.replies["/long"] = [page("word " * 10_000, "text/plain")]
    server.replies["/drip"] = [page("x" * 1000, drip_s=0.05)]
    compressed = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    server.replies["/gzip"] = [Reply(b"", headers=compressed)]
    server.replies["/deep"] = [page("<div>" * 150)]
    assert len(fetcher.fetch(f"{server.url}/long")) == 1000
    start = time.monotonic()
    with pytest.raises(PageError, match="the reply came too slowly"):
        fetcher.fetch(f"{server.url}/drip")
    assert time.monotonic() - start < 10
    with pytest.raises(PageError, match="compressed though that was not asked for"):
        fetcher.fetch(f"{server.url}/gzip")
    assert fetcher.fetch(f"{server.url}/deep") == ""
    fetcher.close()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html; charset=iso-8859-1", "<p>Café</p>".encode("latin-1")),
        ("text/html", '<meta charset="windows-1252"><p>Café</p>'.encode("cp1252")),
        ("text/html", "<p>Café</p>".encode()),
        ("text/html; charset=no-such", "<p>Café</p>".encode()),
        ("text/plain; charset=utf-16", "Café".encode("utf-16")),
    ],
)
def test_fetch_reads_charsets(server: Server, kind: str, content: bytes) -> None:
    server.replies["/page"] = [Reply(content, headers={"Content-Type": kind})]
    fetcher = PageFetcher(allow_private=True)
    assert fetcher.fetch(f"{server.url}/page") == "Café"
    fetcher.close()


def test_page_text_reads_what_a_reader_sees() -> None:
    html = (
        "<html><head><title>T</title><style>p{}</style></head><body><header>Top</header>"
        "<h1>The  Issel</h1><p>A <b>riv</b>er &amp; more.<br>Next</p><ul><li>one<li>two</ul>"
        "<table><tr><td>a</td><td>b</td></tr></table><form>Log in</form><footer>End</footer>"
    )
    assert page_text(html) == "The Issel\nA river & more.\nNext\none\ntwo\na b"


@pytest.mark.parametrize("html", ["", "no tags", "<", "<p", "</p>", "\x00", "<p>\ud800</p>"])
def test_page_text_takes_anything(html: str) -> None:
    page_text(html.encode("utf-8", "replace").decode())


def test_page_text_refuses_a_page_that_would_take_minutes() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="nested more than 2000 deep"):
        page_text("<div>" * 400_000)
    page_text("<p>" * 100_000)
    assert time.monotonic() - start < 30  # seconds of slack for a busy machine


def test_shorten_finds_the_words_of_the_query() -> None:
    text = "One two. Three four! Orla was born here.\nFive six."
    assert shorten(text, "ORLA born", 25) == "Orla was born here."
    assert shorten(text, "Orla three", 45) == "One two. Three four! Orla was born here."
    assert shorten(text, "nothing", 8) == "One two."
    assert shorten(text, "one", 100) == text
    assert shorten("x" * 50, "x", 10) == "x" * 10


def test_shorten_never_exceeds_its_bound() -> None:
    text = "".join(f"{'word' * (i % 9)}. Sentence {i}\n" for i in range(200))
    for bound in range(1, 60):
        assert len(shorten(text, "sentence 7 8 9", bound)) <= bound
