"""A model of some thousand random weights that reads the words of a small world."""

from pathlib import Path

import pytest
import torch

from searchenv.evaluation import Setup
from searchenv.protocols import SearchR1
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.rewards import Composite, Format, Outcome
from searchenv.training.models import ModelSize, make_model, save_model
from searchenv.training.tokenizer import world_tokenizer
from searchenv.types import Limits, OnInvalid
from searchenv.worlds import FactConfig, FactWorld

SMALL = FactConfig(entities=12, relations=3)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums of floating-point numbers must not depend on how many threads share them."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def world() -> FactWorld:
    return FactWorld(SMALL)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory, world: FactWorld) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    tokenizer = world_tokenizer(world, SearchR1())
    size = ModelSize(width=16, layers=1, heads=2, inner=16, context=512)
    save_model(folder, make_model(tokenizer, size, seed=0), tokenizer)
    return folder


@pytest.fixture
def setup(world: FactWorld) -> Setup:
    return Setup(
        tools={"search": RetrieverTool(MemoryRetriever(world.passages), 3)},
        protocol=SearchR1(),
        limits=Limits(max_turns=3, on_invalid=OnInvalid.END),
        scorers=("em",),
        reward=Composite(Outcome(), Format(0.5)),
    )
