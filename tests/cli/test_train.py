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


def test_train_grpo_then_bench(world: Path, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "grpo.toml"
    config.write_text("steps = 2\nquestions = 2\nsamples = 2\nmax_tokens = 8\n[loss]\nkl = 0.1\n")
    data = ["--questions", str(world / "questions.jsonl"), "--index", str(world / "index")]
    command = ["train", "grpo", "--model", str(model), "--config", str(config), *data]
    command += ["--reward", "em+format", "--exam-split", "dev", "--exam-limit", "3"]
    assert cli.main([*command, "--out", str(tmp_path / "run")]) == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["exam", "train", "train", "exam"]
    bench = ["bench", "run", *data, "--split", "test", "--limit", "2", "--policy", "model"]
    bench += ["--model", str(tmp_path / "run" / "model"), "--max-tokens", "8"]
    assert cli.main([*bench, "--out", str(tmp_path / "bench")]) == 0


def test_train_sft_of_a_run(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--questions", str(world / "questions.jsonl"), "--index", str(world / "index")]
    bench = ["bench", "run", *data, "--split", "train", "--limit", "3", "--policy", "oracle"]
    assert cli.main([*bench, "--out", str(tmp_path / "run")]) == 0
    command = ["train", "sft", str(tmp_path / "run"), "--model", str(model)]
    assert cli.main([*command, "--out", str(tmp_path / "sft")]) == 0
    assert "3 episodes, loss" in capsys.readouterr().out
    assert (tmp_path / "sft" / "config.json").is_file()


def test_train_rejection_needs_a_right_episode(
    world: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "rejection.toml"
    config.write_text("questions = 1\nsamples = 1\nmax_tokens = 1\n")
    data = ["--questions", str(world / "questions.jsonl"), "--index", str(world / "index")]
    command = ["train", "rejection", "--model", str(model), "--config", str(config), *data]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "expected at least one episode to fine-tune on" in capsys.readouterr().err


def test_train_refuses_a_folder_that_holds_something(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "world", "--out", str(world)]) == 2
    assert "expected a new or an empty folder" in capsys.readouterr().err
