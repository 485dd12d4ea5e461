"""``searchenv bench``: runs, tables and comparisons as the command line gives them."""

import json
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.evaluation import read_run


def play(out: Path, *more: str) -> int:
    words = ["--engine", "bm25s", "--split", "dev", "--policy", "iterative", *more]
    return main(["bench", "run", *words, "--out", str(out)])


def ids(out: Path) -> list[str]:
    return [record.result.question.id for record in read_run(out).records]


def test_run_prints_means_over_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(tmp_path / "run", "--limit", "4", "--scorer", "em", "sub_em") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == [
        "em",
        "sub_em",
        "gold_recall",
        "searches",
        "turns",
    ]
    assert lines[0].endswith("n=4")
    assert lines[5:] == ["4 questions, 0 failed", f"run: {tmp_path / 'run'}"]


def test_run_keeps_all_that_decides_its_results(tmp_path: Path) -> None:
    play(tmp_path / "run", "--limit", "2", "--k", "5", "--max-turns", "6", "--samples", "2")
    header = json.loads((tmp_path / "run" / "header.json").read_text())
    assert header["name"] == "demo"
    assert header["questions"]["n"] == 2
    assert header["retriever"]["k"] == 5
    assert header["policy"] == {"name": "iterative"}
    assert header["limits"]["max_turns"] == 6
    assert header["samples"] == 2
    assert len(read_run(tmp_path / "run").records) == 4


def test_sample_draws_by_seed_and_keeps_the_order(tmp_path: Path) -> None:
    play(tmp_path / "all")
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        play(tmp_path / name, "--sample", "9", "--seed", seed)
    drawn = ids(tmp_path / "a")
    assert len(drawn) == 9
    assert drawn == [id_ for id_ in ids(tmp_path / "all") if id_ in drawn]
    assert drawn == ids(tmp_path / "b")
    assert drawn != ids(tmp_path / "c")


def test_another_run_in_the_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(tmp_path / "run", "--limit", "2")
    assert play(tmp_path / "run", "--limit", "2", "--k", "4") == 2
    assert "holds another run (retriever:" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--limit", "--sample"])
def test_no_questions_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(tmp_path / "run", option, "0") == 2
    assert f"{option} must be >= 1, got 0" in capsys.readouterr().err


def test_a_model_policy_needs_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(tmp_path / "run", "--policy", "model") == 2
    assert "policy 'model' needs a model: give --model" in capsys.readouterr().err
