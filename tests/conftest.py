"""Fixtures for all tests: the real data, a home for built indexes, a small world of passages."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from searchenv.types import Gold, Hit, Passage, Question


@pytest.fixture(scope="session", autouse=True)
def searchenv_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One place for generated worlds and indexes; all workers of a test run share it."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "searchenv-home"
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEARCHENV_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real questions and passages that SEARCHENV_DATA names."""
    folder = os.environ.get("SEARCHENV_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    message = f"SEARCHENV_DATA is {folder!r}: it must name the folder of real questions"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class KeywordRetriever:
    """A real, exact retriever over a few passages: a hit shares a word with the query.

    Scores are the number of shared words; ``batches`` keeps the size of every call.
    """

    fingerprint = "keyword"

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self.batches: list[int] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.batches.append(len(queries))
        return [self._one(query, k) for query in queries]

    def _one(self, query: str, k: int) -> list[Hit]:
        words = set(query.lower().split())
        scored = [
            (float(len(words & set(f"{p.title} {p.text}".lower().split()))), p)
            for p in self._passages
        ]
        best = sorted((pair for pair in scored if pair[0]), key=lambda pair: (-pair[0], pair[1].id))
        return [Hit(p, s, rank) for rank, (s, p) in enumerate(best[:k], start=1)]


PASSAGES = (
    Passage("p1", "Velmara Nights", "Velmara Nights is a 1962 film directed by Orla Fenwick ."),
    Passage("p2", "Orla Fenwick", "Orla Fenwick was born in Dunmarrow in 1921 ."),
    Passage("p3", "Dunmarrow", "Dunmarrow is a town on the river Issel ."),
)
QUESTIONS = (
    Question(
        "q1",
        "Where was the director of Velmara Nights born?",
        ("Dunmarrow",),
        gold=(Gold("Velmara Nights", ("p1",)), Gold("Orla Fenwick", ("p2",))),
        metadata={"split": "train"},
    ),
    Question("q2", "Who directed Velmara Nights?", ("Orla Fenwick",), metadata={"split": "train"}),
    Question("q3", "Which river is Dunmarrow on?", ("Issel",), metadata={"split": "test"}),
)


@pytest.fixture
def passages() -> tuple[Passage, ...]:
    return PASSAGES


@pytest.fixture
def questions() -> tuple[Question, ...]:
    return QUESTIONS


@pytest.fixture
def keyword_retriever() -> KeywordRetriever:
    return KeywordRetriever(PASSAGES)
