"""Pre-training: what it writes, that a seed decides it, and that what it writes can play."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from searchenv.evaluation import Setup, evaluate
from searchenv.policies.generation import Sampling
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.models import ModelPolicy
from searchenv.protocols import SearchR1
from searchenv.training.corpus import Corpus, Mix
from searchenv.training.models import ModelSize
from searchenv.training.pretrain import Phase, Pretraining, pretrain
from searchenv.training.settings import read_settings, settings_of
from searchenv.training.teacher import Habits
from searchenv.training.tokenizer import world_tokenizer
from searchenv.worlds import FactConfig, FactWorld

SMALL = FactConfig(entities=12, relations=3)
SETTINGS = Pretraining(
    world=SMALL,
    model=ModelSize(width=16, layers=1, heads=2, inner=16),
    phases=(Phase(updates=11, batch_size=6), Phase(1, 6, 1e-3, Mix(habits=Habits(search=0.0)))),
)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_pretrain_is_decided_by_its_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(replace(SETTINGS, seed=seed), tmp_path / name)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")
    described = json.loads((tmp_path / "a" / "pretraining.json").read_text())
    assert [len(curve) for curve in described["loss"]] == [2, 1]
    assert described["settings"]["world"]["entities"] == 12


def test_pretrained_model_plays(tmp_path: Path, world: FactWorld, setup: Setup) -> None:
    pretrain(SETTINGS, tmp_path / "model")
    generator = TransformersGenerator(tmp_path / "model", sampling=Sampling(8, 1.0))
    report = evaluate(ModelPolicy(generator), world.split("test"), tools=setup.tools)
    assert len(report.results) == len(world.split("test"))
    assert report.num_failed == 0


def test_corpus_counts_what_can_be_predicted() -> None:
    protocol = SearchR1()
    tokenizer = world_tokenizer(FactWorld(SMALL), protocol)
    (copy,) = Corpus(SMALL, protocol, tokenizer, Mix(copies=1, readings=0), seed=0).batch(1)
    assert copy.ids[:14] == copy.ids[14:]
    assert copy.mask == (0.0,) * 14 + (1.0,) * 14
    (reading,) = Corpus(SMALL, protocol, tokenizer, Mix(copies=0, readings=1), seed=0).batch(1)
    # a frame of 2, thrice "Doc", its number and a fact of 6; then six facts, each after a name
    assert reading.mask == (0.1,) * (2 + 3 * 8) + ((0.1,) + (1.0,) * 5) * 6
    (episode,) = Corpus(SMALL, protocol, tokenizer, Mix(copies=0, readings=0), seed=0).batch(1)
    written = [id_ for id_, seen in zip(episode.ids, episode.mask, strict=True) if seen == 1.0]
    text = str(tokenizer.decode(written))
    assert text.startswith("<search> ")
    assert text.endswith(" </answer>")


def test_learning_rate_rises_and_falls() -> None:
    phase = Phase(updates=1000, learning_rate=1.0)
    assert phase.rate(0) == 0.01
    assert phase.rate(500) == pytest.approx(0.55)
    assert phase.rate(1000) == pytest.approx(0.1)


def test_settings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(
        "seed = 3\n[world]\nentities = 12\n[[phases]]\nupdates = 5\n"
        "mix = { copies = 0, habits = { search = 0.5 } }\n[[phases]]\nupdates = 2\n"
    )
    found = read_settings(Pretraining, file)
    mix = Mix(copies=0.0, habits=Habits(search=0.5))
    assert found == Pretraining(
        world=FactConfig(entities=12), phases=(Phase(5, mix=mix), Phase(2)), seed=3
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sed": 1}, "unknown key sed. Did you mean 'seed'"),
        ({"world": {"entites": 1}}, "unknown key world.entites. Did you mean 'entities'"),
        ({"seed": "x"}, "expected seed to be of type int, got 'x'"),
        ({"seed": True}, "expected seed to be of type int, got True"),
        ({"world": 3}, "expected a table world, got 3"),
        ({"phases": {}}, "expected a list phases, got {}"),
        ({"world": {"entities": 1}}, "world: entities must be from 12 to 1000, got 1"),
    ],
)
def test_settings_that_are_wrong(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_of(Pretraining, table)


def test_mix_out_of_range_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"sum to at most 1, got 0\.7 and 0\.5"):
        Mix(0.7, 0.5)
