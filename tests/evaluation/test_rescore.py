"""Stored answers scored again; the values are worked out by hand from the rules of the scorers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import QuestionError, RunError
from searchenv.evaluation import Run
from searchenv.evaluation.rescore import rescore_r1_searcher, rescore_records

YesRun = Callable[..., Run]
FOUND = "<|end_of_query|>\n\n<|begin_of_documents|>\n(1)A page\n<|end_of_documents|>\n\n"
PROMPT = (
    "Search with <|begin_of_query|> keywords <|end_of_query|>; the system answers with "
    "<|begin_of_documents|> passages <|end_of_documents|>.\n"
)


def row(answer: object = "Oslo", pred_ans: object = "Oslo", **more: object) -> dict[str, object]:
    return {
        "question": "Which?",
        "answer": answer,
        "pred_ans": pred_ans,
        "stop_reason_final": "finished",
        **more,
    }


# (gold, prediction, EM, cover-EM, F1)
HARD: list[tuple[Any, str, float, float, float]] = [
    ("U.S.", "US", 0, 0, 0),  # "u s" and "us"
    ("1,000", "1,000 men", 0, 1, 0.8),  # {1, 000} in {1, 000, men}: p = 2/3, r = 1
    ("1000", "1,000", 0, 0, 0),
    ("yes", "True", 1, 1, 1),
    ("no", " False ", 0, 0, 0),  # never stripped: the word is "false"
    ("the", "!", 1, 1, 0),  # both are empty
    ("chief of protocol", "protocol of the chief", 0, 1, 1),  # order does not count
    ("New York, New York", "York (new)", 0, 1, 2 / 3),  # bags {2, 2} and {1, 1}: p = 1, r = 1/2
    ("“Ran”", "Ran", 0, 0, 0),  # these quotes stay
    (["Milan", "Rome"], " Rome, Italy ", 0, 1, 2 / 3),  # the best gold: p = 1/2, r = 1
    ("yes", "yes indeed", 0, 1, 0),  # a closed answer must match
    ("snake_case", "snake case", 1, 1, 1),
]


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(("answer", "prediction", "em", "cover_em", "f1"), HARD)
def test_hard_case_alone(
    answer: object, prediction: str, em: float, cover_em: float, f1: float, tmp_path: Path
) -> None:
    means = rescore_r1_searcher(write(tmp_path / "out.jsonl", [row(answer, prediction)])).means
    assert means["em_r1"].mean == em
    assert means["cover_em_r1"].mean == cover_em
    assert means["f1_r1"].mean == pytest.approx(f1, abs=1e-15)


def test_hard_cases_together_in_percent(tmp_path: Path) -> None:
    rows = [row(answer, prediction) for answer, prediction, *_ in HARD]
    found = rescore_r1_searcher(write(tmp_path / "out.jsonl", rows))
    # EM 3/12; cover-EM 8/12; F1 (0.8 + 1 + 1 + 2/3 + 2/3 + 1) / 12 = 5.1333 / 12
    assert [line.split()[:2] for line in found.text().splitlines()[:3]] == [
        ["em_r1", "25.0"],
        ["cover_em_r1", "66.7"],
        ["f1_r1", "42.8"],
    ]


def test_searches_are_the_queries_that_were_answered(tmp_path: Path) -> None:
    rows = [
        row(gen_text_store=f"{PROMPT}a <|begin_of_query|> b{FOUND}<|begin_of_query|> c{FOUND}"),
        row(gen_text_store="<think>I know <|begin_of_query|> d<|end_of_query|> </think>"),
        row(
            gen_text_store="e<|end_of_query|> \n\n<|begin_of_documents|>\nNone<|end_of_documents|>"
        ),
        row(pred_ans="I don't know.", stop_reason_final="many_retrieve"),
    ]
    found = rescore_r1_searcher(write(tmp_path / "out.jsonl", rows))
    assert found.searches is not None
    assert (found.searches.mean, found.searches.n) == (1.0, 3)  # 2, 0 and 1
    assert found.stops == {"finished": 3, "many_retrieve": 1}
    assert found.text().splitlines()[-1] == "4 rows; ended by: finished 3, many_retrieve 1"


def test_no_store_no_searches(tmp_path: Path) -> None:
    found = rescore_r1_searcher(write(tmp_path / "out.jsonl", [row()]))
    assert found.searches is None
    assert "searches" not in found.text()


def test_verdicts_are_counted_where_they_are(tmp_path: Path) -> None:
    said = ["True", "False", " true.\n", True, "Perhaps"]
    rows = [row(), *(row(gpt4o_output=each) for each in said)]
    found = rescore_r1_searcher(write(tmp_path / "out.jsonl", rows))
    assert (found.means["verdict"].mean, found.means["verdict"].n) == (0.6, 5)
    assert found.unparsable == 1
    assert "1 verdicts say neither True nor False: taken as False" in found.text()


def test_verdict_of_another_field(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", [row(judge="False"), row(judge="True")])
    assert rescore_r1_searcher(path, verdict="judge").means["verdict"].mean == 0.5
    assert "verdict" not in rescore_r1_searcher(path).means


def test_rows_after_the_first_2000_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", [row()] * 2000 + [row(pred_ans="Rome")] * 500)
    found = rescore_r1_searcher(path)
    assert (found.n, found.left_out, found.means["em_r1"].mean) == (2000, 500, 1.0)
    assert found.text().endswith("500 more rows are not scored: the authors stop at 2000")
    whole = rescore_r1_searcher(path, limit=None)
    assert (whole.n, whole.left_out, whole.means["em_r1"].mean) == (2500, 0, 0.8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"question": "Which?", "answer": "Oslo"},
            "line 2: expected a text in 'pred_ans', got only",
        ),
        (row(pred_ans=None), "line 2: expected a text in 'pred_ans', got None"),
        (row(stop_reason_final=7), "line 2: expected a text in 'stop_reason_final', got 7"),
        (row(answer=True), "line 2: expected a text in 'answer', got True"),
        (row(answer=[]), r"line 2: expected gold answers as texts in 'answer', got \[\]"),
        (row(answer=["a", 1]), "line 2: expected gold answers as texts in 'answer'"),
        (row(gen_text_store=["a"]), "line 2: expected a text in 'gen_text_store'"),
    ],
)
def test_a_broken_row_names_its_line(
    wrong: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=message):
        rescore_r1_searcher(write(tmp_path / "out.jsonl", [row(), wrong]))


def test_a_broken_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(row()) + '\n{"question"\n')
    with pytest.raises(QuestionError, match=r"out\.jsonl, line 2: not JSON"):
        rescore_r1_searcher(str(path))
    path.write_text("")
    with pytest.raises(RunError, match="has no rows"):
        rescore_r1_searcher(str(path))


def test_records_get_other_scores_and_keep_the_rest(yes_run: YesRun) -> None:
    # The policy says yes: p = 1, r = 1/2 for "yes indeed", which a closed answer does not earn.
    records = yes_run("run", {"a": "yes indeed", "b": "Yes!"}).records
    rescored = rescore_records(records, ["f1_squad", "f1_hotpot"])
    assert [r.scores["f1_squad"] for r in rescored] == [pytest.approx(2 / 3), 1.0]
    assert [r.scores["f1_hotpot"] for r in rescored] == [0.0, 1.0]
    assert "em" not in rescored[0].scores
    assert rescore_records(rescored, ["em"]) == records


def test_records_refuse_an_unknown_scorer(yes_run: YesRun) -> None:
    with pytest.raises(ValueError, match=r"unknown scorer 'f1_squat'. Did you mean 'f1_squad'\?"):
        rescore_records(yes_run("run", {"a": "yes"}).records, ["f1_squat"])
