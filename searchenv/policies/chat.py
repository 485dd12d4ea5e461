"""Models behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp and others.

A reply that is late, cut off, not of the format or an error that may pass (429, 5xx) is a failed
attempt; it is repeated after a wait, until the deadline or the number of retries is reached. Then
:class:`searchenv.errors.PolicyError` says what happened.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from searchenv.errors import PolicyError
from searchenv.policies.chat_wire import (
    OPTIONAL,
    BrokenReplyError,
    Reply,
    Request,
    StreamReader,
    Style,
    read_reply,
)
from searchenv.policies.generation import Completion, Prompt, Sampling, sample_seed
from searchenv.retrieval.background import in_background

if TYPE_CHECKING:
    import httpx

__all__ = ["ChatGenerator"]

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0

T = TypeVar("T")


class ChatGenerator:
    """Asks a server; threads may share it.

    The key is read from the environment when it is needed, and stands in no message. Proxies that
    the environment names are used for ``https`` addresses only.

    Args:
        url: of the API, such as ``http://127.0.0.1:8000/v1``.
        model: its name there; None: the one model that the server has.
        sampling: how it draws.
        style: chat or completion mode.
        stream: whether replies come piece by piece.
        concurrency: requests under way at once, at least 1.
        timeout_s: for one attempt.
        deadline_s: for one request, from when its turn has come: all attempts and waits.
        retries: attempts after the first, at least 0.
        extra: further fields of every request, such as ``{"top_k": 20}``; None removes one.
        api_key_env: the environment variable that holds the key, if there is one.

    Raises:
        ValueError: the URL is none, or a number is out of range.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        sampling: Sampling | None = None,
        style: Style | str = Style.CHAT,
        stream: bool = False,
        concurrency: int = 16,
        timeout_s: float = 120.0,
        deadline_s: float = 600.0,
        retries: int = 8,
        extra: Mapping[str, object] | None = None,
        api_key_env: str = "OPENAI_API_KEY",
    ) -> None:
        if not (timeout_s > 0 and deadline_s > 0 and retries >= 0 and concurrency >= 1):
            raise ValueError(
                "expected timeout_s > 0, deadline_s > 0, retries >= 0 and concurrency >= 1, "
                f"got {timeout_s}, {deadline_s}, {retries} and {concurrency}"
            )
        self.url = _base(url)
        self.sampling = sampling or Sampling()
        self.style = Style(style)
        self.stream = stream
        self.concurrency = concurrency
        self.timeout_s = timeout_s
        self.deadline_s = deadline_s
        self.retries = retries
        self.extra = dict(extra or {})
        self.api_key_env = api_key_env
        self._model = model
        self._refused: set[str] = set()
        self._usage: Counter[str] = Counter()
        self._random = random.Random()  # spreads retries; no result depends on it
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()

    @property
    def model(self) -> str:
        """The model's name, asked once where it was not given.

        Raises:
            PolicyError: the server does not answer, or has not exactly one model.
        """
        if self._model is None:
            in_background(self._find_model())
        return self._model or ""

    @property
    def usage(self) -> dict[str, int]:
        """Requests, attempts that failed, and tokens as the server counted them, so far."""
        names = ("requests", "failed_attempts", "failed_requests")
        tokens = ("prompt_tokens", "completion_tokens")
        return {name: self._usage[name] for name in (*names, *tokens)}

    def describe(self) -> dict[str, object]:
        """Returns what decides the texts, for the header of a run: no address and no key."""
        return {
            "model": self.model,
            "style": self.style.value,
            "max_tokens": self.sampling.max_tokens,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            **({"extra": self.extra} if self.extra else {}),
        }

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        """Returns ``n`` completions for each prompt; see :class:`Generator`.

        ``forbid`` needs a server that knows ``bad_words``, as vLLM does.

        Raises:
            PolicyError: a request failed for good.
        """
        requests = [
            Request(
                prompt,
                tuple(stop),
                include_stop,
                tuple(forbid),
                None if seeds is None else sample_seed(seeds[i], j),
            )
            for i, prompt in enumerate(prompts)
            for j in range(n)
        ]
        texts = iter(self._ask(requests))
        return [[next(texts) for _ in range(n)] for _ in prompts]

    def generate_calls(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[Mapping[str, object]],
        seeds: Sequence[int] | None = None,
    ) -> list[Completion]:
        """Returns an assistant message for each prompt; see :class:`ToolGenerator`.

        Raises:
            PolicyError: a request failed for good, or this is completion mode.
        """
        if self.style is not Style.CHAT:
            raise PolicyError("tool calls need chat mode, got completion mode")
        return self._ask(
            [
                Request(prompt, tools=tuple(tools), seed=None if seeds is None else seeds[i])
                for i, prompt in enumerate(prompts)
            ]
        )

    def _ask(self, requests: Sequence[Request]) -> list[Completion]:
        return in_background(self._ask_all(requests)) if requests else []

    async def _ask_all(self, requests: Sequence[Request]) -> list[Completion]:
        if self._model is None:
            await self._find_model()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._settled(request)) for request in requests]
        results = [task.result() for task in tasks]
        for result in results:
            if isinstance(result, PolicyError):
                raise result
        return [result for result in results if isinstance(result, Completion)]

    async def _settled(self, request: Request) -> Completion | PolicyError:
        """Returns an error instead of raising it, so that it does not cancel its siblings."""
        async with self._loop().slots:
            self._usage["requests"] += 1
            try:
                return await self._complete(request)
            except PolicyError as error:
                self._usage["failed_requests"] += 1
                return error

    async def _complete(self, request: Request) -> Completion:
        async def attempt() -> Completion:
            reply = await self._exchange(request)
            for name in ("prompt_tokens", "completion_tokens"):
                if isinstance(count := reply.usage.get(name), int):
                    self._usage[name] += count
            return reply.completion(request)

        return await self._tried(attempt)

    async def _find_model(self) -> None:
        async def attempt() -> object:
            return await self._send("GET", "/models", None)

        body = await self._tried(attempt)
        data = body.get("data") if isinstance(body, dict) else None
        found = [entry.get("id") for entry in data or () if isinstance(entry, dict)]
        if len(found) != 1:
            raise PolicyError(f"{self.url} serves {found}: name the model that is meant")
        self._model = str(found[0])

    async def _tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Returns what an attempt returns, tried again while that may help."""
        deadline = time.monotonic() + self.deadline_s
        failures: list[str] = []
        for number in range(self.retries + 1):
            try:
                async with asyncio.timeout(min(self.timeout_s, deadline - time.monotonic())):
                    return await attempt()
            except TimeoutError:
                failure, wait_s = f"no whole reply within {self.timeout_s:g} s", 0.0
            except BrokenReplyError as error:
                failure, wait_s = str(error), getattr(error, "wait_s", 0.0)
            self._usage["failed_attempts"] += 1
            failures.append(failure)
            backoff_s = min(_FIRST_WAIT_S * 2.0**number, _LONGEST_WAIT_S)
            wait_s = max(wait_s, backoff_s * self._random.uniform(0.5, 1.0))
            if time.monotonic() + wait_s >= deadline:
                break
            if number < self.retries:
                await asyncio.sleep(wait_s)
        last = "; ".join(dict.fromkeys(failures[-3:]))
        raise PolicyError(f"{self.url}: {len(failures)} attempts failed; the last: {last}")

    async def _exchange(self, request: Request) -> Reply:
        body = request.body(
            self.style, self._model or "", self.sampling, stream=self.stream, extra=self.extra
        )
        for name in self._refused:
            body.pop(name, None)
        path = "/chat/completions" if self.style is Style.CHAT else "/completions"
        try:
            reply = await self._send("POST", path, body)
        except _RefusedFieldError as error:
            self._refused.add(str(error))
            return await self._exchange(request)
        return reply if isinstance(reply, Reply) else read_reply(reply, self.style)

    async def _send(self, method: str, path: str, body: dict[str, object] | None) -> object:
        """Returns the JSON of a reply, or the :class:`Reply` that a stream made."""
        import httpx

        headers = {"content-type": "application/json"}
        if key := os.environ.get(self.api_key_env, "").strip():
            headers["authorization"] = f"Bearer {key}"
        content = None if body is None else json.dumps(body).encode()
        try:
            async with self._loop().client.stream(
                method, self.url + path, content=content, headers=headers
            ) as response:
                streamed = "text/event-stream" in response.headers.get("content-type", "")
                if response.status_code == 200 and streamed:
                    return await _read_stream(response, self.style)
                await response.aread()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BrokenReplyError(f"{type(error).__name__}: {error}") from error
        if response.status_code != 200:
            raise self._refusal(response, body or {}, key)
        try:
            return response.json()
        except ValueError as error:
            raise BrokenReplyError(f"the reply is not JSON: {error}") from error

    def _refusal(
        self, response: "httpx.Response", body: Mapping[str, object], key: str
    ) -> Exception:
        """Returns what an error response means; a key that the server repeats is left out."""
        text = " ".join(response.text.split())
        shown = f"HTTP {response.status_code}: {(text.replace(key, '***') if key else text)[:300]}"
        if response.status_code in _PASSING:
            return _BusyError(shown, _retry_after(response))
        for name in OPTIONAL:
            if response.status_code in (400, 422) and name in body and name in text:
                return _RefusedFieldError(name)
        return PolicyError(f"{self.url}: {shown}")

    def _loop(self) -> "_Loop":
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops[loop] = _Loop(self.concurrency, proxied=self.url.startswith("https:"))
        return self._loops[loop]


class _Loop:
    """What belongs to one event loop of one process."""

    def __init__(self, concurrency: int, *, proxied: bool) -> None:
        import httpx

        self.slots = asyncio.Semaphore(concurrency)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=concurrency)
        # attempts have a deadline of their own
        self.client = httpx.AsyncClient(timeout=None, trust_env=proxied, limits=limits)


class _BusyError(BrokenReplyError):
    """The server asks for patience."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class _RefusedFieldError(Exception):
    """The server does not know an optional field."""


async def _read_stream(response: "httpx.Response", style: Style) -> Reply:
    """Returns the reply of server-sent events; lines end at line feeds and nothing else."""
    reader = StreamReader(style)
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return reader.reply()
            try:
                reader.take(json.loads(data))
            except ValueError as error:
                raise BrokenReplyError(f"a piece of the stream is not JSON: {error}") from error
    return reader.reply()


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"expected a URL such as http://127.0.0.1:8000/v1, got {url!r}")
    base = url.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")
    return base if urlsplit(base).path else f"{base}/v1"


def _retry_after(response: "httpx.Response") -> float:
    """Returns the seconds that a server asks to wait, which it may also give as a date."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0
