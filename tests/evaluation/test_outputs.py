"""FlashRAG's and verl's output files, scored without a model; the values are worked out by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchenv.cli import main
from searchenv.errors import RunError
from searchenv.evaluation.outputs import read_search_r1
from searchenv.evaluation.rescore import rescore_flashrag, rescore_search_r1

FOUND = "</search>\n\n<information>Doc 1(Title: Oslo) <answer>Rome</answer></information>\n\n"


def flashrag(pred: object, *golden: str, **output: object) -> dict[str, object]:
    return {
        "id": "test_0",
        "question": "Which?",
        "golden_answers": list(golden),
        "output": {"pred": pred, "metric_score": {"em": 0.0}, **output},
    }


def write_list(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text(json.dumps(rows, indent=4), encoding="utf-8")
    return str(path)


def write_lines(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return str(path)


def test_flashrag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        flashrag("The Oslo.", "Rome", "Oslo", finish_reason="Finished", prompt="a</search>"),
        # F1 {in, oslo, town} and {oslo}: p = 1/3, r = 1
        flashrag(
            "in Oslo town",
            "Oslo",
            finish_reason="Finished",
            retrieval_results={"0": {"query": "a", "docs": []}, "1": {"query": "b", "docs": []}},
        ),
        flashrag("", "Oslo", stop_reason="length", final_response=f"<search> a{FOUND}"),
        flashrag("no", "yes"),
    ]
    path = write_list(tmp_path / "intermediate_data.json", rows)
    found = rescore_flashrag(path)
    assert {name: mean.mean for name, mean in found.means.items()} == {
        "em": 0.25,
        "sub_em": 0.5,
        "f1_hotpot": 0.375,  # (1 + 1/2 + 0 + 0) / 4
    }
    assert found.searches is not None
    assert (found.searches.mean, found.searches.n) == (1.0, 3)  # 0, 2 and 1
    assert found.stops == {"Finished": 2, "length": 1, "not told": 1}
    assert main(["rescore", path, "--format", "flashrag"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["em", "25.0"]


def test_searches_before_the_prompt_are_rounds_or_not_told(tmp_path: Path) -> None:
    rows = [
        flashrag("Oslo", "Oslo", retrieval_result=[], prompt="Answer."),
        flashrag("Oslo", "Oslo", retrieval_result_iter_0=[], retrieval_result_iter_1=[]),
    ]
    found = rescore_flashrag(write_list(tmp_path / "intermediate_data.json", rows))
    assert found.searches is not None
    assert (found.searches.mean, found.searches.n) == (2.0, 1)


def test_search_r1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {
            "input": "For example, <answer> Beijing </answer>. Question: Which?",
            "output": f"<search> a {FOUND}<search> b {FOUND}<answer>\nOslo </answer>",
            "gts": {"target": ["Bergen", "oslo"]},
            "score": 1.0,
            "step": 3,
        },
        {"output": f"<search> a {FOUND}I give up", "gts": {"target": ["Rome"]}},
        {"output": "<answer>a</answer> or <answer>Oslo, Norway</answer>", "gts": ["Oslo"]},
        {"output": "<search> a </search><information> <answer>Oslo</answer>", "gts": "Oslo"},
    ]
    path = write_lines(tmp_path / "120.jsonl", rows)
    found = rescore_search_r1(path)
    assert {name: mean.mean for name, mean in found.means.items()} == {
        "em": 0.25,
        "sub_em": 0.5,
        "f1_hotpot": pytest.approx((1 + 2 / 3) / 4),  # {oslo, norway}: p = 1/2, r = 1
    }
    assert found.searches is not None
    assert found.searches.mean == 1.0  # 2, 1, 0 and 1
    assert found.stops == {"answer": 2, "no answer": 2}
    assert main(["rescore", path, "--format", "search_r1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 rows; ended by: answer 2, no answer 2"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Which?", "golden_answers": ["Oslo"]}, "expected an object in 'output', got"),
        (flashrag(None, "Oslo"), "record 2, output: expected a text in 'pred', got None"),
        (flashrag("Oslo"), r"record 2: expected gold answers as texts in 'golden_answers', got \["),
        (
            {"output": {"pred": "a"}},
            "record 2: expected a text in 'golden_answers', got only output",
        ),
    ],
)
def test_broken_row_of_flashrag(row: dict[str, object], message: str, tmp_path: Path) -> None:
    path = write_list(tmp_path / "out.json", [flashrag("Oslo", "Oslo"), row])
    with pytest.raises(RunError, match=message):
        rescore_flashrag(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"gts": ["Oslo"]}, r"out\.jsonl, line 1: expected a text in 'output', got only gts"),
        ({"output": "a"}, r"line 1, gts: expected a text in 'target', got None"),
        ({"output": "a", "gts": {"target": [1]}}, "line 1, gts: expected gold answers as texts"),
    ],
)
def test_broken_row_of_search_r1(row: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=message):
        rescore_search_r1(write_lines(tmp_path / "out.jsonl", [row]))


def test_empty_list_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"out\.json has no rows"):
        rescore_flashrag(write_list(tmp_path / "out.json", []))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inside=st.text("<>/answerinfomatio \n", max_size=60))
def test_retrieved_text_never_answers(tmp_path: Path, inside: str) -> None:
    text = f"<search> a </search>\n<information>{inside.replace('</information>', '')}"
    rows: list[dict[str, object]] = [
        {"output": f"{text}<answer>Oslo</answer></information>", "gts": ["Oslo"]}
    ]
    (found,) = read_search_r1(write_lines(tmp_path / "out.jsonl", rows))
    assert found.prediction is None
