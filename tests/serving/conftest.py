"""A live service over the small world of passages, and one that does odd things."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from searchenv.indexing import build_index
from searchenv.types import Passage

Served = Any


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of three passages about one film."""
    folder = tmp_path_factory.mktemp("served") / "films"
    passages: Sequence[Passage] = (
        Passage("p1", "Velmara Nights", "A 1962 film directed by Orla Fenwick."),
        Passage("p2", "Orla Fenwick", "Orla Fenwick was born in Dunmarrow.\nShe died there."),
        Passage("p3", "", "Dunmarrow is a town on the Issel."),
    )
    build_index(passages, folder, engine="bm25s")
    return folder


@pytest.fixture(scope="session")
def service(serve: Callable[..., Served], index: Path) -> Served:
    """Serves the index under two names, with a small bound on everything."""
    bounds = ["--max-body", "100000", "--max-queries", "50", "--max-k", "10"]
    return serve(index, f"again={index}", *bounds)


@pytest.fixture
def client(service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def serve_odd(serve: Callable[..., Served]) -> Callable[..., Served]:
    """Starts the service of ``odd_service.py``."""
    script = Path(__file__).with_name("odd_service.py")

    def start(
        *,
        max_queue: int = 4096,
        deadline_s: float = 30,
        grace_s: float = 30,
        workers: int = 1,
        max_wait_ms: float = 0,
    ) -> Served:
        return serve(script, max_queue, deadline_s, grace_s, workers, max_wait_ms)

    return start
