"""Pages of the web, fetched with care.

An address in a search result is chosen by strangers. So a page comes over http or https only, from
public addresses only (checked after the name is resolved, and the connection goes to the very
address that was checked), within limits of size and time, and every redirect is checked again.
"""

import ipaddress
import os
import re
import socket
import threading
import time
import weakref
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

from searchenv.errors import RetrievalError
from searchenv.retrieval.web_text import html_parser, page_text

if TYPE_CHECKING:
    import httpx

__all__ = ["PageError", "PageFetcher", "read_within"]

_MAX_REDIRECTS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READABLE = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w-]{2,40})", re.IGNORECASE)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PageError(RetrievalError):
    """A page could not be had; the search result that it belongs to still has its snippet."""


class PageFetcher:
    """Fetches pages as plain text. It may be shared by threads, pickled, and made before a fork.

    Proxies that the environment names are not used: behind one, addresses cannot be checked.

    Args:
        max_bytes: of a page; what is longer is cut.
        timeout_s: for one page, redirects included.
        allow_private: also fetch from addresses of this machine and its networks. Never turn this
            on where the results come from the open web.

    Raises:
        MissingDependencyError: selectolax is not installed.
        ValueError: a limit is not above 0.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 2_000_000,
        timeout_s: float = 8.0,
        allow_private: bool = False,
    ) -> None:
        if max_bytes < 1 or timeout_s <= 0:
            raise ValueError(f"limits must be above 0, got {max_bytes} bytes and {timeout_s} s")
        html_parser()  # where it is missing, say so now
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.allow_private = allow_private
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._client_of = 0

    def __getstate__(self) -> dict[str, object]:
        names = ("max_bytes", "timeout_s", "allow_private")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    def fetch(self, url: str) -> str:
        """Returns the text of a page.

        Raises:
            PageError: the address is not allowed, or the page is not there, no text, or too slow.
            MissingDependencyError: httpx or selectolax is not installed.
        """
        import httpx

        deadline = time.monotonic() + self.timeout_s
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                content = self._get(httpx.URL(url), deadline)
                if isinstance(content, str):
                    return content
                url = str(content)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise PageError(f"cannot fetch {url:.200}: {type(error).__name__}: {error}") from error
        raise PageError(f"more than {_MAX_REDIRECTS} redirects, the last to {url:.200}")

    def close(self) -> None:
        """Closes the connections; the next page opens new ones."""
        with self._lock:
            if self._client is not None and self._client_of == os.getpid():
                self._client.close()
            self._client = None

    def _get(self, url: "httpx.URL", deadline: float) -> "str | httpx.URL":
        """Returns the text of the page, or where it redirects to."""
        client = self._open()
        request = client.build_request(
            "GET",
            url.copy_with(host=self._address(url), username=None, password=None),
            headers={"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
            timeout=max(deadline - time.monotonic(), 0.001),
        )
        response = client.send(request, stream=True)
        try:
            if response.status_code in _REDIRECTS and "location" in response.headers:
                return url.join(response.headers["location"])
            return self._text(response, deadline)
        finally:
            response.close()

    def _text(self, response: "httpx.Response", deadline: float) -> str:
        if response.status_code != 200:
            raise ValueError(f"its status is {response.status_code}, expected 200")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _READABLE:
            raise ValueError(f"its type is {kind!r}, expected a text")
        # a small compressed page may be a huge one
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ValueError("it is compressed though that was not asked for")
        text = _decoded(read_within(response, self.max_bytes, deadline), response.charset_encoding)
        return text if kind == "text/plain" else page_text(text)

    def _address(self, url: "httpx.URL") -> str:
        """Returns the address to connect to; PageError where it must not be used."""
        if url.scheme not in ("http", "https") or not url.host:
            raise PageError(f"only http and https addresses are fetched, got {str(url)!r:.200}")
        host = url.raw_host.decode("ascii").strip("[]")
        port = url.port or (443 if url.scheme == "https" else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        for address in addresses:
            if not self.allow_private and not _is_public(address):
                raise PageError(f"{url.host} is at {address}, which is not a public address")
        return addresses[0]

    def _open(self) -> "httpx.Client":
        with self._lock:
            if self._client is None or self._client_of != os.getpid():
                import httpx

                self._client = httpx.Client(
                    trust_env=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                    headers={"User-Agent": "searchenv", "Accept-Encoding": "identity"},
                )
                self._client_of = os.getpid()
                weakref.finalize(self, self._client.close)
            return self._client


def read_within(response: "httpx.Response", max_bytes: int, deadline: float) -> bytes:
    """Returns the first ``max_bytes`` of a streamed reply.

    Raises:
        TimeoutError: the deadline, on the monotonic clock, passed before that.
    """
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) >= max_bytes:
            break
        if time.monotonic() > deadline:
            raise TimeoutError("the reply came too slowly")
    return bytes(content[:max_bytes])


def _decoded(content: bytes, charset: str | None) -> str:
    """Returns the text, by the charset of the header, else of the page's own mark, else UTF-8."""
    marked = _META_CHARSET.search(content[:4096])
    for name in (charset, marked and marked[1].decode("ascii", "replace")):
        try:
            if name:
                return content.decode(name, "replace")
        except LookupError:
            continue
    return content.decode("utf-8", "replace")


def _is_public(address: str) -> bool:
    """Returns whether an address, and every IPv4 address inside it, is one of the open internet."""
    ip = ipaddress.ip_address(address)
    parts: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            parts = [ip.ipv4_mapped]
        if ip in _NAT64:
            parts.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        if ip.sixtofour is not None:
            parts.append(ip.sixtofour)
    return all(part.is_global and not part.is_multicast for part in parts)
