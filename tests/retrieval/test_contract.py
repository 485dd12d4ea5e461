"""What every retriever must do; a new one joins ``make_retriever`` and inherits all of it."""

import pickle
import re
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchenv.retrieval import (
    CachedRetriever,
    HybridRetriever,
    MemoryRetriever,
    RecordingRetriever,
    RemoteRetriever,
    ReplayRetriever,
    RerankRetriever,
    Retriever,
    WebRetriever,
    Wire,
    open_index,
)
from searchenv.retrieval.encoders import Vectors
from searchenv.retrieval.remote_formats import read_reply
from searchenv.retrieval.web_apis import ApiRequest, WebResult
from searchenv.types import Hit, Passage

# Lengths 2, 3 and 1, mean 2; "alpha" is in two of three passages:
# idf = ln(1 + (3 - 2 + 0.5) / (2 + 0.5)) = ln 1.6
GREEK = (
    Passage("g2", "", "alpha beta"),
    Passage("g1", "", "alpha alpha gamma"),
    Passage("g3", "", "delta"),
)
# ids in an order that is neither that of the rows nor that of the numbers
TWINS = tuple(Passage(f"t{(7 * i) % 40}", "Twin", "the same words") for i in range(40))
PLACES = (
    Passage("p1", "Dunmarrow", "Dunmarrow is a town on the river Issel."),
    Passage("p2", "Issel", "The Issel is a river.\nIt ends in the sea."),
    Passage("p3", "", "Ünïcödé 😀 naïve café"),
)


class WordEncoder:
    """Counts words in 256 places: a real encoder, exact and quick, in which words are meaning."""

    name = "words"
    fingerprint = "words-256"
    dim = 256

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                vectors[row, zlib.crc32(word.encode()) % self.dim] += 1
        return vectors

    def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
        return self.encode_queries([f"{a} {b}" for a, b in zip(titles, texts, strict=True)])


Build = Callable[..., Path]
MakeRetriever = Callable[[Sequence[Passage]], Retriever]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class OverlapScorer:
    """Counts the query's words that a passage holds."""

    fingerprint = "overlap"

    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        return [float(len(words(query) & words(passage.text))) for query, passage in pairs]


class RecordThenReplay:
    """Records a search, then answers it from the recording alone."""

    def __init__(self, inner: Retriever, path: Path) -> None:
        self.inner = inner
        self.path = path
        self.fingerprint = inner.fingerprint

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        path = self.path.with_name(uuid.uuid4().hex)
        RecordingRetriever(self.inner, path).search(queries, k)
        return ReplayRetriever(path).search(queries, k)


@dataclass(frozen=True)
class OwnServiceApi:
    """Our own service as a search API; the address of a passage is its id."""

    url: str
    fingerprint: str

    @property
    def hints(self) -> dict[int, str]:
        return {}

    def request(self, query: str, k: int) -> ApiRequest:
        body = {"queries": [query], "k": min(k, 1000)}
        return ApiRequest("POST", f"{self.url}/v1/search", body=body)

    def results(self, reply: Mapping[str, object]) -> list[WebResult]:
        (hits,) = read_reply(Wire.V1, reply, 1, 1000).hits
        return [WebResult(*hit.passage) for hit in hits]


def compose(kind: str, passages: Sequence[Passage], build: Build, path: Path) -> Retriever:
    """Returns a retriever over other retrievers; ``path`` is for its file."""
    bm25 = open_index(build("bm25s", passages))
    if kind == "cache":
        return CachedRetriever(bm25, path)
    if kind == "recording":
        return RecordingRetriever(bm25, path)
    if kind == "replay":
        return RecordThenReplay(bm25, path)
    if kind == "rerank":
        return RerankRetriever(bm25, OverlapScorer(), depth=100)
    dense = open_index(build("faiss", passages, WordEncoder()), encoder=WordEncoder())
    if kind != "all":
        return HybridRetriever([bm25, dense], kind.removeprefix("hybrid "))
    hybrid = HybridRetriever([open_index(build("lucene", passages)), dense])
    return CachedRetriever(RerankRetriever(hybrid, OverlapScorer(), depth=100), path)


OF_WORDS = (
    "lucene",
    "bm25s",
    "memory",
    "remote",
    "lucene shards",
    "bm25s shards",
    "cache",
    "recording",
    "replay",
)
COMPOSED = ("cache", "recording", "replay", "rerank", "hybrid rrf", "hybrid weighted", "all")
# for retrievers that find a passage by the words it shares with the query, and by nothing else
of_words = pytest.mark.parametrize("make_retriever", OF_WORDS, indirect=True)


@pytest.fixture(params=[*OF_WORDS, "faiss", *COMPOSED[3:], "web"])
def make_retriever(
    request: pytest.FixtureRequest, build: Build, tmp_path_factory: pytest.TempPathFactory
) -> MakeRetriever:
    if request.param == "faiss":
        return lambda passages: open_index(
            build("faiss", passages, WordEncoder()), encoder=WordEncoder()
        )
    if request.param in COMPOSED:
        return lambda passages: compose(
            request.param, passages, build, tmp_path_factory.mktemp("composed") / "file"
        )
    if request.param == "web":
        url_of = request.getfixturevalue("url_of")
        return lambda passages: WebRetriever(
            OwnServiceApi(url_of(passages), open_index(build("bm25s", passages)).fingerprint),
            max_requests=1_000_000,
        )
    if request.param == "memory":
        return MemoryRetriever
    if request.param == "remote":
        url_of = request.getfixturevalue("url_of")
        return lambda passages: RemoteRetriever(url_of(passages))
    return lambda passages: open_index(build(request.param, passages))


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.id for hit in hits]


@of_words
def test_search_scores_by_hand(make_retriever: MakeRetriever) -> None:
    (hits,) = make_retriever(GREEK).search(["Alpha?"], 10)
    assert ids(hits) == ["g1", "g2"]
    # tf / (tf + k1 * (1 - b + b * length / mean)) * idf with k1 = 0.9, b = 0.4
    assert hits[0].score == pytest.approx(
        2 / (2 + 0.9 * (0.6 + 0.4 * 3 / 2)) * 0.470003629, abs=1e-6
    )
    assert hits[1].score == pytest.approx(
        1 / (1 + 0.9 * (0.6 + 0.4 * 2 / 2)) * 0.470003629, abs=1e-6
    )
    assert [hit.rank for hit in hits] == [1, 2]


@of_words
def test_search_repeated_word_counts_twice(make_retriever: MakeRetriever) -> None:
    once, twice = make_retriever(GREEK).search(["beta", "beta beta"], 1)
    assert twice[0].score == pytest.approx(2 * once[0].score, rel=1e-6)


def test_search_returns_whole_passages(make_retriever: MakeRetriever) -> None:
    (hits,) = make_retriever(PLACES).search(["sea"], 1)
    assert hits == [Hit(PLACES[1], hits[0].score, 1)]
    assert isinstance(hits[0].score, float)


@of_words
def test_search_matches_title_and_unicode(make_retriever: MakeRetriever) -> None:
    found = make_retriever(PLACES).search(["DUNMARROW", "ünïcödé", "CAFÉ"], 3)
    assert [ids(hits) for hits in found] == [["p1"], ["p3"], ["p3"]]


@pytest.mark.parametrize("k", [1, 2, 10, 11, 39, 40, 41, 1000])
def test_search_ties_are_ordered_by_id_also_at_the_cut(
    make_retriever: MakeRetriever, k: int
) -> None:
    (hits,) = make_retriever(TWINS).search(["same words"], k)
    assert ids(hits) == sorted(passage.id for passage in TWINS)[:k]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_search_smaller_k_gives_a_prefix(make_retriever: MakeRetriever) -> None:
    words = ("river", "sea", "town", "hill")
    passages = [
        Passage(f"{i * 37 % 101}", words[i % 4], " ".join(words[: i % 3] + words[i % 5 :]))
        for i in range(100)
    ]
    retriever = make_retriever(passages)
    queries = ["river", "sea town", "hill hill river", "town sea river hill"]
    everything = retriever.search(queries, 100)
    for k in range(1, 100):
        assert retriever.search(queries, k) == [hits[:k] for hits in everything]
    for hits in everything:
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage.id))


def test_search_is_aligned_with_queries(make_retriever: MakeRetriever) -> None:
    found = make_retriever(PLACES).search(["sea", "", "town", "sea"], 1)
    assert [ids(hits) for hits in found] == [["p2"], [], ["p1"], ["p2"]]


def test_search_no_queries_gives_no_results(make_retriever: MakeRetriever) -> None:
    assert make_retriever(PLACES).search([], 5) == []


EMPTY = ["", " \t\n", "\x00", "the of and", "?!...", "🦊", "\ud800", "\ufeff", "qqqq"]
WITH_TOWN = [
    "town AND (",
    'text: town^2 OR "',
    "+town -",
    "town\x00\x01\x1f\x7f",
    "\x00town\x00",
    "\ud800 town \udfff",
    "town 🦊",
    "\u202etown\u2028",
    "town\\",
    "/town/ [* TO *] {!x}",
    "town~2",
    np.str_("town"),
    " ".join(f"word{i}" for i in range(10_000)) + " town",
    "town " * 10_000,
]


@of_words
def test_search_odd_queries_are_words_or_nothing(make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(PLACES)
    found = retriever.search([*EMPTY, *WITH_TOWN], 3)
    assert [ids(hits) for hits in found] == [[]] * len(EMPTY) + [["p1"]] * len(WITH_TOWN)
    alone = [retriever.search([query], 3)[0] for query in [*EMPTY, *WITH_TOWN]]
    assert found == alone  # no query changes another one of its batch


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=4))
def test_search_takes_any_text(make_retriever: MakeRetriever, queries: list[str]) -> None:
    retriever = make_retriever(PLACES)
    found = retriever.search([*queries, "town"], 3)
    assert found[-1][0].passage.id == "p1"
    for query, hits in zip([*queries, "town"], found, strict=True):
        (alone,) = retriever.search([query], 3)
        assert ids(hits) == ids(alone)
        # a batch may change the last digits of what a model computes, nothing more
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-5)


@of_words
def test_search_reads_a_query_up_to_its_limit(make_retriever: MakeRetriever) -> None:
    inside, beyond = "x" * 99_994 + " town", "x" * 99_996 + " town"
    found = make_retriever(PLACES).search([inside, beyond], 1)
    assert [ids(hits) for hits in found] == [["p1"], []]


@pytest.mark.parametrize("k", [0, -1, np.int64(0)])
def test_search_k_below_one_is_an_error(make_retriever: MakeRetriever, k: int) -> None:
    with pytest.raises(ValueError, match="k must be >= 1, got"):
        make_retriever(PLACES).search(["town"], k)


def test_search_k_takes_any_integer(make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(PLACES)
    (expected,) = retriever.search(["river"], 2)
    assert sorted(ids(expected)) == ["p1", "p2"]
    for k in (np.int64(2), np.int32(2), 2**70):
        (hits,) = retriever.search(["river"], k)  # type: ignore[arg-type]
        assert hits[:2] == expected


@pytest.mark.parametrize("query", [None, 3, b"town", ["town"]])
def test_search_query_of_another_type_is_an_error(
    make_retriever: MakeRetriever, query: object
) -> None:
    with pytest.raises(TypeError, match="a query must be a str, got"):
        make_retriever(PLACES).search(["town", query], 1)  # type: ignore[list-item]


def test_search_one_string_is_an_error(make_retriever: MakeRetriever) -> None:
    with pytest.raises(TypeError, match="queries must be a sequence of strings"):
        make_retriever(PLACES).search("town", 1)


def test_retriever_fulfils_the_protocol(make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(PLACES)
    assert isinstance(retriever, Retriever)
    assert retriever.fingerprint == make_retriever(PLACES).fingerprint
    assert retriever.fingerprint != make_retriever(GREEK).fingerprint


def test_retriever_can_be_pickled_before_and_after_a_search(make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(PLACES)
    before = pickle.loads(pickle.dumps(retriever))
    hits = retriever.search(["town"], 1)
    after = pickle.loads(pickle.dumps(retriever))
    assert before.search(["town"], 1) == after.search(["town"], 1) == hits
    assert before.fingerprint == after.fingerprint == retriever.fingerprint


def test_search_from_many_threads_is_right(make_retriever: MakeRetriever) -> None:
    retriever = make_retriever(PLACES)
    queries = ["town", "sea", "café", "river"]
    expected = retriever.search(queries, 2)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            found = retriever.search(queries, 2)
            if found != expected:
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
