"""The service as its clients see it: recorded requests of three projects, refusals, probes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from searchenv.retrieval import RemoteRetriever, open_index

DOCUMENT = {"id": "p1", "contents": '"Velmara Nights"\nA 1962 film directed by Orla Fenwick.'}
FILM = {"id": "p1", "title": "Velmara Nights", "text": "A 1962 film directed by Orla Fenwick."}
PLACE = {"id": "p3", "contents": "Dunmarrow is a town on the Issel."}


def post(client: httpx.Client, path: str, body: str) -> Any:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return response.json()


# What the clients of these projects send, byte for byte but for the queries.
SEARCH_R1 = '{"queries": ["1962", "Issel"], "topk": 1, "return_scores": true}'
SEARCH_R1_README = '{"queries": ["1962"], "topk": 1, "return_scores": false}'
SKYRL = '{"queries": ["1962"], "topk": 3, "return_scores": true}'
SINGLE = '{"query": "1962", "topk": 3, "return_scores": true}'
R1_SEARCHER = '{"queries": ["1962", "nothing"], "k": 3}'


def test_retrieve_answers_search_r1(client: httpx.Client, index: Path) -> None:
    film, place = open_index(index).search(["1962", "Issel"], 1)
    assert post(client, "/retrieve", SEARCH_R1) == {
        "result": [
            [{"document": DOCUMENT, "score": film[0].score}],
            [{"document": PLACE, "score": place[0].score}],
        ]
    }


def test_retrieve_without_scores(client: httpx.Client) -> None:
    assert post(client, "/retrieve", SEARCH_R1_README) == {"result": [[DOCUMENT]]}
    assert post(client, "/retrieve", '{"queries": ["1962"]}') == {"result": [[DOCUMENT]]}


@pytest.mark.parametrize("body", [SKYRL, SINGLE])
def test_retrieve_answers_skyrl(client: httpx.Client, body: str) -> None:
    (hits,) = post(client, "/retrieve", body)["result"]
    assert [hit["document"] for hit in hits] == [DOCUMENT]


def test_retrieve_topk_zero_or_null_is_three(client: httpx.Client) -> None:
    for topk in ("0", "null", "3"):
        (hits,) = post(client, "/retrieve", f'{{"query": "film born town", "topk": {topk}}}')[
            "result"
        ]
        assert len(hits) == 3


def test_queries_answers_r1_searcher(client: httpx.Client) -> None:
    assert post(client, "/queries", R1_SEARCHER) == {
        "queries": ["1962", "nothing"],
        "answers": [
            ["p1\tTitle: Velmara Nights Text:  A 1962 film directed by Orla Fenwick."],
            [],
        ],
    }
    kilt = post(client, "/queries", '{"queries": ["born"], "k": 1, "format": "kilt"}')
    line = "p2\tOrla Fenwick   Orla Fenwick was born in Dunmarrow. She died there."
    assert kilt["answers"] == [[line]]


def test_v1_search_names_index_and_k(client: httpx.Client, index: Path) -> None:
    retriever = open_index(index)
    hits = retriever.search(["1962"], 2)[0]
    body = '{"queries": ["1962"], "k": 2, "index": "again"}'
    assert post(client, "/v1/search", body) == {
        "index": "again",
        "fingerprint": retriever.fingerprint,
        "results": [[{**FILM, "score": hits[0].score, "rank": 1}]],
    }


def test_no_queries_no_results(client: httpx.Client) -> None:
    assert post(client, "/v1/search", '{"queries": []}')["results"] == []
    assert post(client, "/retrieve", '{"queries": []}') == {"result": []}


REFUSED = [
    ("/retrieve", "{", 400, "got no JSON"),
    ("/retrieve", "", 400, "got no JSON"),
    ("/retrieve", "[]", 422, "the body: expected a JSON object, got []"),
    ("/retrieve", "{}", 422, 'queries: expected a list of strings, or "query" with one string'),
    ("/retrieve", '{"queries": "film"}', 422, "expected a list of strings, got 'film'"),
    ("/retrieve", '{"queries": [1]}', 422, "an element of queries: expected a list of strings"),
    ("/retrieve", '{"query": 3}', 422, "query: expected one string, got 3"),
    ("/retrieve", '{"query": "x", "topk": -1}', 422, "topk: expected a whole number >= 0, got -1"),
    ("/retrieve", '{"query": "x", "topk": true}', 422, "topk: expected a whole number"),
    ("/retrieve", '{"query": "x", "return_scores": 1}', 422, "return_scores: expected true or"),
    ("/queries", '{"queries": ["x"], "k": 0}', 422, "k: expected a whole number >= 1, got 0"),
    ("/queries", '{"queries": ["x"], "format": "csv"}', 422, '"abstracts" or "kilt", got \'csv\''),
    ("/v1/search", '{"queries": ["x"], "k": 1.5}', 422, "k: expected a whole number >= 1, got 1.5"),
    ("/v1/search", '{"queries": ["x"], "index": 1}', 422, "index: expected the name of an index"),
    ("/v1/search", '{"queries": ["x"], "index": "agian"}', 404, "Did you mean 'again'?"),
    ("/v1/search", json.dumps({"queries": ["x"] * 51}), 413, "expected at most 50 queries, got 51"),
    ("/v1/search", json.dumps({"queries": ["x" * 100_000]}), 413, "at most 100000 bytes"),
    ("/v2/search", "{}", 404, "no '/v2/search' here; there are: /retrieve, "),
    ("/health", "{}", 405, "/health takes GET, got POST"),
]


@pytest.mark.parametrize(("path", "body", "status", "message"), REFUSED)
def test_refusals_say_what_was_expected(
    client: httpx.Client, path: str, body: str, status: int, message: str
) -> None:
    response = client.post(path, content=body)
    assert response.status_code == status
    assert message in response.json()["detail"]


def test_k_above_the_index_is_its_size(client: httpx.Client) -> None:
    body = '{"queries": ["film born town"], "k": 2147483647}'
    assert len(post(client, "/v1/search", body)["results"][0]) == 3


def test_get_of_a_search_is_refused(client: httpx.Client) -> None:
    response = client.get("/retrieve")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_body_in_pieces_is_bounded_too(client: httpx.Client) -> None:
    response = client.post("/retrieve", content=(b" " * 1000 for _ in range(200)))
    assert response.status_code == 413


def test_probes_and_indexes(client: httpx.Client, index: Path) -> None:
    fingerprint = open_index(index).fingerprint
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    assert client.get("/v1/indexes").json() == {
        "indexes": [
            {"name": "films", "fingerprint": fingerprint},
            {"name": "again", "fingerprint": fingerprint},
        ]
    }


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics_count_requests_and_searches(client: httpx.Client) -> None:
    before = samples(client)
    post(client, "/retrieve", '{"queries": ["counted once", "counted twice"]}')
    post(client, "/retrieve", '{"queries": ["counted once"]}')
    after = samples(client)

    def more(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert more("searchenv_requests_total", "/retrieve", "200") == 2
    assert more("searchenv_request_seconds_count", "/retrieve") == 2
    assert more("searchenv_search_batch_queries_sum", "films") == 2
    assert more("searchenv_remembered_queries_total", "films") == 1


def test_token_is_asked_for(
    serve: Callable[..., Any], index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    url = serve(index, "--token-file", tmp_path / "token").url
    for given in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic open sesame"}):
        refused = httpx.post(f"{url}/retrieve", json={"query": "1962"}, headers=given)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{url}/health").status_code == 200
    assert httpx.get(f"{url}/metrics").status_code == 401
    hits = RemoteRetriever(url, token="open sesame").search(["1962"], 1)
    assert hits == open_index(index).search(["1962"], 1)


def test_token_from_the_environment(
    serve: Callable[..., Any], index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCHENV_TOKEN", "from outside")
    url = serve(index).url
    assert httpx.get(f"{url}/v1/indexes").status_code == 401
    token = {"authorization": "bearer from outside"}
    assert httpx.get(f"{url}/v1/indexes", headers=token).status_code == 200
