"""Two models of some thousand weights, a small world with its index, and TRL's trainer."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from searchenv.indexing import build_index
from searchenv.integrations.trl import SearchRollout
from searchenv.protocols import SearchR1
from searchenv.retrieval import Engine
from searchenv.training.corpus import Mix
from searchenv.training.models import ModelSize, load_model, make_model, save_model
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


@pytest.fixture(scope="session")
def trl_trainer(
    searching_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Makes TRL's trainer of the searching model over a roll-out; takes more of its settings."""

    def make(rollout: SearchRollout, **config: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from trl.trainer.grpo_config import GRPOConfig
            from trl.trainer.grpo_trainer import GRPOTrainer

            model, tokenizer = load_model(searching_model)
            arguments = GRPOConfig(
                output_dir=str(tmp_path_factory.mktemp("trl")),
                use_cpu=True,
                bf16=False,
                report_to=[],
                disable_tqdm=True,
                save_strategy="no",
                per_device_train_batch_size=16,
                num_generations=4,
                **config,
            )
            return GRPOTrainer(
                model=model,
                args=arguments,
                train_dataset=rollout.dataset(),
                reward_funcs=rollout.reward,
                rollout_func=rollout,
                processing_class=tokenizer,
            )

    return make
