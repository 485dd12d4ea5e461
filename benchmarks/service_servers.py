"""The servers that ``service.py`` compares ours with; run by path, one a process.

    python benchmarks/service_servers.py NAME PORT FILE

Constant bodies: every request is read and parsed as JSON, then answered with the bytes of FILE.
``fastapi``, ``starlette`` and ``asgi`` run on uvicorn, ``granian`` is Granian's own interface,
``protocol`` a bare asyncio protocol over httptools: what is left when everything is left out.

Plain handlers, one query at a time under a lock, as published retrieval servers are: ``lucene`` is
``LuceneSearcher.search`` and ``doc().raw()`` over the folder FILE, ``dense`` our dense retriever.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httptools
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Route

from searchenv.retrieval import open_index

Message = MutableMapping[str, Any]
Search = Callable[[str, int], list[dict[str, object]]]


class Body(BaseModel):
    """Search-R1's request."""

    queries: list[str]
    topk: int = 3
    return_scores: bool = False


def fastapi_constant(body: bytes) -> FastAPI:
    """Returns the least that FastAPI does: a model in, a ready response out."""
    app = FastAPI()

    @app.post("/retrieve")
    async def retrieve(request: Body) -> Response:
        return Response(body, media_type="application/json")

    return app


def starlette_constant(body: bytes) -> Starlette:
    """Returns a Starlette application of one route."""

    async def retrieve(request: Request) -> Response:
        orjson.loads(await request.body())
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/retrieve", retrieve, methods=["POST"])])


def asgi_constant(body: bytes) -> Callable[..., Awaitable[None]]:
    """Returns a bare ASGI application: the stack of our service."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        data = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            data += message.get("body", b"")
        orjson.loads(data)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


class ConstantProtocol(asyncio.Protocol):
    """Parses requests with httptools and answers each."""

    response = b""

    def connection_made(self, transport: Any) -> None:
        """Starts a parser."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Feeds the parser."""
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Collects."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Answers."""
        orjson.loads(b"".join(self._body))
        self._body.clear()
        self._transport.write(self.response)


async def serve_protocol(body: bytes, port: int) -> None:
    """Serves the bare protocol."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    ConstantProtocol.response = f"{head}\r\n\r\n".encode() + body
    server = await asyncio.get_running_loop().create_server(ConstantProtocol, "127.0.0.1", port)
    await server.serve_forever()


def serve_granian(body: bytes, port: int) -> None:
    """Serves Granian's interface, one worker."""
    os.environ["CONSTANT_BODY"] = body.decode()
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    target = f"{Path(__file__).stem}:granian_constant"
    Granian(
        target,
        port=port,
        interface=Interfaces.RSGI,
        websockets=False,
        log_level=LogLevels.warning,
        log_access=False,
    ).serve()


async def granian_constant(scope: Any, protocol: Any) -> None:
    """Answers one request."""
    orjson.loads(await protocol())
    body = os.environ["CONSTANT_BODY"].encode()
    protocol.response_bytes(200, [("content-type", "application/json")], body)


def plain(search: Search) -> FastAPI:
    """Returns the usual service: a lock, and one search after the other."""
    app, lock = FastAPI(), threading.Lock()

    @app.post("/retrieve")
    def retrieve(request: Body) -> dict[str, object]:
        with lock:
            return {"result": [search(query, request.topk) for query in request.queries]}

    return app


def plain_lucene(folder: str) -> FastAPI:
    """Returns the plain service over Pyserini's searcher."""
    open_index(folder).search(["start Java before Pyserini is imported"], 1)
    os.environ.setdefault("OPENAI_API_KEY", "unused")  # Pyserini 1.6.0 cannot be imported without
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(folder)
    searcher.set_bm25(0.9, 0.4)

    def search(query: str, k: int) -> list[dict[str, object]]:
        return [
            {"document": json.loads(searcher.doc(hit.docid).raw()), "score": hit.score}
            for hit in searcher.search(query, k)
        ]

    return plain(search)


def plain_dense(folder: str) -> FastAPI:
    """Returns the plain service over a dense retriever: each query is encoded by itself."""
    retriever = open_index(folder)

    def search(query: str, k: int) -> list[dict[str, object]]:
        return [
            {
                "document": {"id": hit.passage.id, "contents": hit.passage.text},
                "score": hit.score,
            }
            for hit in retriever.search([query], k)[0]
        ]

    search("warm up", 1)
    return plain(search)


def main(name: str, port: int, file: str) -> None:
    """Serves until it is ended."""
    body = Path(file).read_bytes() if Path(file).is_file() else b""
    if name == "protocol":
        uvloop.run(serve_protocol(body, port))
    elif name == "granian":
        serve_granian(body, port)
    else:
        apps: dict[str, Callable[[], Any]] = {
            "fastapi": lambda: fastapi_constant(body),
            "starlette": lambda: starlette_constant(body),
            "asgi": lambda: asgi_constant(body),
            "lucene": lambda: plain_lucene(file),
            "dense": lambda: plain_dense(file),
        }
        uvicorn.run(apps[name](), port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
