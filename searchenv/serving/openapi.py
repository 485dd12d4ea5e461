"""What ``/openapi.json`` says; the tests let schemathesis hold the service to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from searchenv.serving.wire import DEFAULT_K, V1_DEFAULT_K, LineFormat

__all__ = ["openapi"]

Schema = Mapping[str, object]
Paths = dict[str, dict[str, dict[str, Any]]]
"""Path, method, operation."""

_STRING: Schema = {"type": "string"}
_REFUSALS = {
    "400": "The body is not JSON.",
    "404": "No index has this name.",
    "413": "The body is too large, or holds too many queries.",
    "422": "The JSON is not what is expected, or asks for too many hits; the message says which.",
    "429": "Too many queries are waiting: come back after `Retry-After` seconds.",
    "500": "The search failed.",
    "504": "The deadline of the service passed.",
}


def openapi(
    *, indexes: Sequence[str], max_queries: int, max_k: int | None, secured: bool
) -> dict[str, object]:
    """Returns the OpenAPI 3.1 document of a service.

    Args:
        indexes: their names, the default one first.
        max_queries: of a request.
        max_k: hits a query; None: any number, for the indexes are small.
        secured: whether a token is asked for.
    """
    from searchenv import __version__

    paths = {**_search_paths(indexes, max_queries, max_k), **_other_paths()}
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": "searchenv retrieval service", "version": __version__},
        "paths": paths,
    }
    if secured:
        document["components"] = {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
        }
        for path, methods in paths.items():
            for operation in methods.values():
                if path not in ("/health", "/ready"):
                    operation["security"] = [{"token": []}]
                    operation["responses"]["401"] = _refusal("The token is missing or wrong.")
    return document


def _search_paths(indexes: Sequence[str], max_queries: int, max_k: int | None) -> Paths:
    queries: Schema = {"type": "array", "items": _STRING, "maxItems": max_queries}
    index: Schema = {"enum": [*indexes, None], "description": f"Missing or null: {indexes[0]}."}

    def count(least: int, default: int) -> Schema:
        bounds = {"minimum": least} if max_k is None else {"minimum": least, "maximum": max_k}
        return {"type": ["integer", "null"], "default": default, **bounds}

    def asked(**properties: Schema) -> Schema:
        single = {"required": ["query"], "properties": {"query": _STRING}}
        either = [{"required": ["queries"]}, {**single, "not": {"required": ["queries"]}}]
        common = {"queries": queries, "query": {"type": ["string", "null"]}, "index": index}
        return {"type": "object", "properties": {**common, **properties}, "anyOf": either}

    document = _object(id=_STRING, contents=_STRING)
    scored = _object(document=document, score={"type": "number"})
    hit = _object(
        id=_STRING,
        title=_STRING,
        text=_STRING,
        score={"type": "number"},
        rank={"type": "integer", "minimum": 1},
    )
    answer = _object(index={"enum": list(indexes)}, fingerprint=_STRING, results=_lists(hit))
    answer["properties"]["degraded"] = {
        "type": "array",
        "items": {"type": ["string", "null"]},
        "description": "Only where a part of the search failed: for each query, what did.",
    }
    return {
        "/retrieve": _search(
            "Search, in the format of Search-R1.",
            asked(
                topk=count(0, DEFAULT_K),
                return_scores={"type": ["boolean", "null"], "default": False},
            ),
            _object(result={"anyOf": [_lists(scored), _lists(document)]}),
        ),
        "/queries": _search(
            "Search, in the format of R1-Searcher.",
            asked(k=count(1, DEFAULT_K), format={"enum": list(LineFormat)}),
            _object(queries=queries, answers=_lists(_STRING)),
        ),
        "/v1/search": _search(
            "Search; a hit has its score, rank and all fields of its passage.",
            asked(k=count(1, V1_DEFAULT_K)),
            answer,
        ),
    }


def _other_paths() -> Paths:
    status = _object(status=_STRING)
    index = _object(name=_STRING, fingerprint=_STRING)
    ready = _get("Whether it can search now.", "application/json", status)
    ready["get"]["responses"]["503"] = _refusal("It is stopping, or stuck.")
    return {
        "/v1/indexes": _get(
            "The indexes; the first is the default.",
            "application/json",
            _object(indexes={"type": "array", "items": index}),
        ),
        "/health": _get("Whether the process lives.", "application/json", status),
        "/ready": ready,
        "/metrics": _get("Counts, for Prometheus.", "text/plain", _STRING),
        "/openapi.json": _get("This document.", "application/json", {"type": "object"}),
    }


def _search(summary: str, asked: Schema, answer: Schema) -> dict[str, dict[str, Any]]:
    responses = {"200": _response("What was found.", "application/json", answer)}
    responses |= {status: _refusal(text) for status, text in _REFUSALS.items()}
    body = {"required": True, "content": {"application/json": {"schema": asked}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": responses}}


def _get(summary: str, kind: str, schema: Schema) -> dict[str, dict[str, Any]]:
    return {"get": {"summary": summary, "responses": {"200": _response(summary, kind, schema)}}}


def _response(description: str, kind: str, schema: Schema) -> dict[str, object]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _refusal(description: str) -> dict[str, object]:
    return _response(description, "application/json", _object(detail=_STRING))


def _object(**properties: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _lists(items: Schema) -> Schema:
    return {"type": "array", "items": {"type": "array", "items": items}}
