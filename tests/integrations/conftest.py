"""Two models of some thousand weights, and a small world with its index."""

from pathlib import Path

import pytest

from searchenv.indexing import build_index
from searchenv.protocols import SearchR1
from searchenv.retrieval import Engine
from searchenv.training.corpus import Mix
from searchenv.training.models import ModelSize, make_model, save_model
from searchenv.training.pretrain import Phase, Pretraining, pretrain
from searchenv.training.teacher import Habits
from searchenv.training.tokenizer import world_tokenizer
from searchenv.worlds import FactConfig, FactWorld


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


@pytest.fixture(scope="session")
def searching_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt the form of a search, and little else."""
    folder = tmp_path_factory.mktemp("models") / "searching"
    phase = Phase(120, 16, 1e-2, Mix(copies=0, readings=0, habits=Habits(search=0.8, right=1)))
    settings = Pretraining(
        world=FactConfig(entities=12, relations=3),
        model=ModelSize(width=32, layers=1, heads=2, inner=32, context=512),
        phases=(phase,),
    )
    pretrain(settings, folder)
    return folder
