"""A model of some thousand random weights, and a small world with its index."""

import warnings
from pathlib import Path

import pytest

from searchenv.indexing import build_index
from searchenv.protocols import SearchR1
from searchenv.retrieval import Engine
from searchenv.training.models import ModelSize, make_model, save_model
from searchenv.training.tokenizer import world_tokenizer
from searchenv.worlds import FactConfig, FactWorld

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import verl.experimental.agent_loop  # noqa: F401


@pytest.fixture(scope="session")
def world() -> FactWorld:
    return FactWorld(FactConfig(entities=12, relations=3))


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory, world: FactWorld) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    tokenizer = world_tokenizer(world, SearchR1())
    size = ModelSize(width=16, layers=1, heads=2, inner=16, context=512)
    save_model(folder, make_model(tokenizer, size, seed=0), tokenizer)
    return folder


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory, world: FactWorld) -> Path:
    folder = tmp_path_factory.mktemp("index") / "world"
    build_index(world.passages, folder, engine=Engine.BM25S)
    return folder
