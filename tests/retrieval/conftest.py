"""Small real indexes, built once for each engine."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from searchenv.indexing import build_index, build_shards
from searchenv.retrieval import Encoder
from searchenv.types import Passage

ENGINES = ("lucene", "bm25s")

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds an index of passages with an engine, once, and returns its folder."""
    built: dict[tuple[str, tuple[Passage, ...]], Path] = {}

    def build_once(
        engine: str, passages: Sequence[Passage], encoder: Encoder | None = None
    ) -> Path:
        key = (engine, tuple(passages))
        if key not in built:
            built[key] = tmp_path_factory.mktemp("index") / engine
            name, _, shards = engine.partition(" ")
            if shards:
                build_shards(passages, built[key], num_shards=2, engine=name)
            else:
                build_index(passages, built[key], engine=name, encoder=encoder)
        return built[key]

    return build_once


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def url_of(build: Build, serve: Callable[..., Any]) -> Callable[[Sequence[Passage]], str]:
    """Returns where passages are served; one server for each set of them."""

    @functools.cache
    def start(passages: tuple[Passage, ...]) -> str:
        url: str = serve(build("bm25s", passages)).url
        return url

    return lambda passages: start(tuple(passages))
