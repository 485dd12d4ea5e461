"""``searchenv rescore`` as the command line gives it."""

import gzip
import json
from pathlib import Path

import pytest

from searchenv.cli import main

ROWS = [
    {
        "question": "Which country?",
        "answer": "U.S.",
        "pred_ans": "the U.S. of A.",  # "u s of": p = 2/3, r = 1, F1 = 0.8
        "stop_reason_final": "finished",
        "gen_text_store": "a<|end_of_query|>\n\n<|begin_of_documents|>\n(1)b\n",
        "gpt4o_output": "True",
    },
    {
        "question": "Is it?",
        "answer": "no",
        "pred_ans": "False",
        "stop_reason_final": "finished",
        "gen_text_store": "It is not.",
        "gpt4o_output": "False",
    },
]
# One of two: the means of 1,000 resamples run from 0 to 1. F1 is 0.8 and 1, so from 0.8 to 1.
PRINTED = """\
em_r1         50.0  [0.0, 100.0]  n=2
cover_em_r1  100.0  [100.0, 100.0]  n=2
f1_r1         90.0  [80.0, 100.0]  n=2
verdict       50.0  [0.0, 100.0]  n=2
searches      0.50  [0.00, 1.00]  n=2
2 rows; ended by: finished 2
"""


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_file_of_r1_searcher(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert main(["rescore", str(tmp_path / name), "--format", "r1_searcher"]) == 0
    assert capsys.readouterr().out == PRINTED


def test_a_run_by_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    words = ["--engine", "bm25s", "--split", "dev", "--policy", "iterative", "--limit", "4"]
    assert main(["bench", "run", *words, "--scorer", "em", "f1_hotpot", "--out", run]) == 0
    played = capsys.readouterr().out.splitlines()
    assert main(["rescore", run, "--metric", "em", "--metric", "f1"]) == 0
    rescored = capsys.readouterr().out.splitlines()
    assert rescored[0].startswith("em ")
    assert rescored[1].startswith("f1_hotpot ")
    assert rescored == played[: len(rescored)]
    assert main(["rescore", run, "--metric", "sub_em"]) == 0
    assert capsys.readouterr().out.startswith("sub_em ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "is a file: say with --format what wrote it"),
        (("--format", "r1_searcher", "--metric", "em"), "--metric is for runs"),
        (("--format", "r1_searcher"), "out.jsonl, line 1: expected a text in 'question'"),
    ],
)
def test_mistakes_are_named(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.jsonl").write_text("{}\n")
    assert main(["rescore", str(tmp_path / "out.jsonl"), *words]) == 2
    assert message in capsys.readouterr().err


def test_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rescore", str(tmp_path / "none")]) == 2
    assert "no run in" in capsys.readouterr().err
