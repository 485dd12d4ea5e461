"""Web search services: what to send for a query, and where the results stand in the reply.

Keys come from the environment, travel in headers, and are kept in no object: they can be neither
pickled nor logged.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from searchenv.errors import RetrievalError

__all__ = ["ApiRequest", "GoogleCseApi", "SearchApi", "SearxngApi", "SerperApi", "WebResult"]


class WebResult(NamedTuple):
    """One result of a web search."""

    url: str
    title: str
    snippet: str


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = None
    """Sent as JSON."""


class SearchApi(Protocol):
    """A search service that answers one query a request, in JSON."""

    @property
    def fingerprint(self) -> str:
        """Identifies the service and all settings that change a result."""
        ...

    @property
    def hints(self) -> Mapping[int, str]:
        """Returns what to do about a status, for the statuses that need words."""
        ...

    def request(self, query: str, k: int) -> ApiRequest:
        """Returns the request for ``k`` results, or for as many as the service gives at once."""
        ...

    def results(self, reply: Mapping[str, object]) -> list[WebResult]:
        """Returns the results of a reply with status 200, best first.

        Raises:
            ValueError: the reply has another shape, or says that the search failed.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearxngApi:
    """A SearXNG instance, which asks other engines; no key.

    Its ``settings.yml`` must list ``json`` under ``search: formats``.
    """

    url: str
    """Of the instance, such as ``http://localhost:8888``."""
    language: str = "en"

    @property
    def fingerprint(self) -> str:
        """Returns the service's name with its settings."""
        return f"searxng {self.url} {self.language}"

    @property
    def hints(self) -> Mapping[int, str]:
        """Returns what to do about a status."""
        return {403: "let the instance answer in JSON: add json to search.formats in settings.yml"}

    def request(self, query: str, k: int) -> ApiRequest:
        """Returns the request; an instance gives the number of results that it is set to."""
        params = {"q": query, "format": "json", "language": self.language}
        return ApiRequest("GET", self.url.rstrip("/") + "/search", params)

    def results(self, reply: Mapping[str, object]) -> list[WebResult]:
        """Returns the results; none at all while engines were down is a failure."""
        found = _read(reply.get("results"), "results", "url", "content")
        if not found and reply.get("unresponsive_engines"):
            raise ValueError(f"its engines did not answer: {reply['unresponsive_engines']!r:.200}")
        return found


@dataclass(frozen=True, slots=True)
class SerperApi:
    """Google's results through serper.dev; the key is in ``$SERPER_API_KEY``."""

    url: str = "https://google.serper.dev/search"
    country: str = "us"
    language: str = "en"
    key_variable: str = "SERPER_API_KEY"

    def __post_init__(self) -> None:
        """Checks that there is a key."""
        _secret(self.key_variable)

    @property
    def fingerprint(self) -> str:
        """Returns the service's name with its settings."""
        return f"serper {self.url} {self.country} {self.language}"

    @property
    def hints(self) -> Mapping[int, str]:
        """Returns what to do about a status."""
        wrong = f"check the key in ${self.key_variable} and the credits of its account"
        return {400: wrong, 401: wrong, 403: wrong}

    def request(self, query: str, k: int) -> ApiRequest:
        """Returns the request; more than 10 results cost another credit."""
        body = {"q": query, "num": min(k, 100), "gl": self.country, "hl": self.language}
        headers = {"X-API-KEY": _secret(self.key_variable)}
        return ApiRequest("POST", self.url, headers=headers, body=body)

    def results(self, reply: Mapping[str, object]) -> list[WebResult]:
        """Returns the organic results."""
        return _read(reply.get("organic"), "organic", "link", "snippet")


@dataclass(frozen=True, slots=True)
class GoogleCseApi:
    """Google's Custom Search JSON API: the key is in ``$GOOGLE_API_KEY``, the engine is ``cx``.

    Google has closed it to new customers and ends it in January 2027. It gives 10 results at most.
    """

    cx: str
    """The id of the programmable search engine."""
    url: str = "https://www.googleapis.com/customsearch/v1"
    key_variable: str = "GOOGLE_API_KEY"

    def __post_init__(self) -> None:
        """Checks that there is a key."""
        _secret(self.key_variable)

    @property
    def fingerprint(self) -> str:
        """Returns the service's name with its settings."""
        return f"google_cse {self.url} {self.cx}"

    @property
    def hints(self) -> Mapping[int, str]:
        """Returns what to do about a status."""
        wrong = f"check the key in ${self.key_variable}, its permissions and the engine id"
        return {400: wrong, 403: wrong, 429: "the quota of the day or minute is used up"}

    def request(self, query: str, k: int) -> ApiRequest:
        """Returns the request, with the key in a header: addresses end up in logs."""
        params = {"cx": self.cx, "q": query, "num": str(min(k, 10))}
        headers = {"X-Goog-Api-Key": _secret(self.key_variable)}
        return ApiRequest("GET", self.url, params, headers)

    def results(self, reply: Mapping[str, object]) -> list[WebResult]:
        """Returns the results; Google leaves ``items`` out where there are none."""
        if reply.get("kind") != "customsearch#search":
            raise ValueError(f"kind must be 'customsearch#search', got {reply.get('kind')!r:.60}")
        return _read(reply.get("items", []), "items", "link", "snippet")


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise RetrievalError(f"no API key: set the variable {variable}", retryable=False)
    return value


def _read(listed: object, name: str, url: str, snippet: str) -> list[WebResult]:
    """Returns the results with a web address, each address once."""
    if not isinstance(listed, list):
        raise ValueError(f"expected a list under {name!r}, got {listed!r:.60}")
    found: dict[str, WebResult] = {}
    for record in listed:
        if not isinstance(record, dict) or not isinstance(record.get(url), str):
            raise ValueError(f"expected objects with {url!r} under {name!r}, got {record!r:.60}")
        address = record[url]
        if address.startswith(("http://", "https://")):
            result = WebResult(address, _text(record.get("title")), _text(record.get(snippet)))
            found.setdefault(address, result)
    return list(found.values())


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
