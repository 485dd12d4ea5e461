"""``searchenv train``: from nothing to a model that plays."""

import json
from pathlib import Path

import pytest

from searchenv import cli
from searchenv.evaluation import read_run

CONFIG = """\
[world]
entities = 12
relations = 3
[model]
width = 16
layers = 1
heads = 2
inner = 16
[[phases]]
updates = 2
batch_size = 4
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "small"
    options = ["--entities", "12", "--relations", "3", "--seed", "5"]
    assert cli.main(["train", "world", "--out", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny.toml").write_text(CONFIG)
    command = ["train", "tiny", "--config", str(folder / "tiny.toml")]
    assert cli.main([*command, "--out", str(folder / "model")]) == 0
    return folder / "model"


def test_train_world_writes_what_bench_plays(world: Path, model: Path, tmp_path: Path) -> None:
    assert sorted(p.name for p in world.glob("[a-z]*")) == [
        *("corpus.jsonl", "index", "questions.jsonl")
    ]
    command = ["bench", "run", "--questions", str(world / "questions.jsonl"), "--split", "test"]
    command += ["--index", str(world / "index"), "--policy", "model", "--model", str(model)]
    assert cli.main([*command, "--max-tokens", "8", "--out", str(tmp_path / "run")]) == 0
    run = read_run(tmp_path / "run")
    assert run.complete
    assert len(run.records) == 2 * 6
    assert run.header["policy"]["model"]["max_tokens"] == 8


def test_train_tiny_seed_is_written_down(model: Path, tmp_path: Path) -> None:
    settings = json.loads((model / "pretraining.json").read_text())["settings"]
    assert (settings["seed"], settings["model"]["width"]) == (0, 16)
    command = ["train", "tiny", "--config", str(model.parent / "tiny.toml"), "--seed", "9"]
    assert cli.main([*command, "--out", str(tmp_path / "other")]) == 0
    other = json.loads((tmp_path / "other" / "pretraining.json").read_text())["settings"]
    assert other == {**settings, "seed": 9}


def test_train_refuses_a_folder_that_holds_something(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "world", "--out", str(world)]) == 2
    assert "expected a new or an empty folder" in capsys.readouterr().err
