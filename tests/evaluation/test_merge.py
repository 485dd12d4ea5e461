"""Parts of a run: one mean over all questions, never a mean of means."""

from collections.abc import Callable
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import RunError
from searchenv.evaluation import Run
from searchenv.evaluation.merge import differences, merge_runs
from searchenv.evaluation.statistics import summarize

YesRun = Callable[..., Run]

# Of the first 64 questions 32 are right, of the other 61 all: 93 of 125 are 0.744. The mean of the
# means of both parts, 0.75, is another number.
ANSWERS = {f"q{i:03d}": "no" if i < 64 and i % 2 else "yes" for i in range(125)}
FIRST = dict(list(ANSWERS.items())[:64])
REST = dict(list(ANSWERS.items())[64:])


def test_a_run_in_two_parts_has_the_mean_over_all_questions(yes_run: YesRun) -> None:
    whole = summarize(yes_run("whole", ANSWERS).records)
    first, rest = yes_run("first", FIRST), yes_run("rest", REST)
    assert summarize(first.records).means["em"].mean == 0.5
    assert summarize(rest.records).means["em"].mean == 1.0
    for parts in ([first, rest], [rest, first]):
        merged = summarize(merge_runs(parts).records)
        assert merged == whole
        assert merged.means["em"].mean == 93 / 125
        assert merged.means["em"].n == 125


def test_the_table_of_two_parts_is_that_of_the_whole(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, answers in (("whole", ANSWERS), ("first", FIRST), ("rest", REST)):
        yes_run(name, answers)
    assert main(["bench", "table", str(tmp_path / "whole")]) == 0
    whole = capsys.readouterr().out.splitlines()
    parts = [str(tmp_path / "first"), str(tmp_path / "rest")]
    assert main(["bench", "table", "--merge", *parts]) == 0
    merged = capsys.readouterr().out.splitlines()
    assert len(merged) == 3
    assert merged[2].split("|")[2:] == whole[2].split("|")[2:]
    assert merged[2].split("|")[3:6] == [" 125 ", " 0 ", " 0.744 [0.664, 0.816] "]
    assert main(["bench", "table", *parts]) == 0  # apart: one row each, and no mean of both
    assert "0.75" not in capsys.readouterr().out.replace(str(tmp_path), "")


def test_parts_that_overlap_are_refused(yes_run: YesRun) -> None:
    with pytest.raises(RunError, match="two parts hold the question 'a'"):
        merge_runs([yes_run("one", {"a": "yes", "b": "no"}), yes_run("two", {"a": "yes"})])


def test_parts_of_different_runs_are_refused(yes_run: YesRun) -> None:
    one, two = yes_run("one", {"a": "yes"}), yes_run("two", {"b": "yes"}, seed=1, policy="other")
    with pytest.raises(RunError, match=r"no parts of one run, they differ in policy.name, seed:"):
        merge_runs([one, two])


def test_a_part_that_is_not_whole_is_refused(yes_run: YesRun) -> None:
    run = yes_run("run", {"a": "yes"})
    half = Run(run.header, run.records, complete=False, sessions=())
    with pytest.raises(RunError, match="not whole"):
        merge_runs([half])


def test_no_parts_are_refused() -> None:
    with pytest.raises(RunError, match="at least one part"):
        merge_runs([])


def test_differences_name_the_fields_and_leave_out_what_is_allowed() -> None:
    one = {"a": {"x": 1, "y": 2}, "b": 3}
    two = {"a": {"x": 1, "y": 4}, "b": 5, "c": None}
    assert differences([one, one]) == []
    assert differences([one, two]) == ["a.y", "b"]
    assert differences([one, two], allow=["a"]) == ["b"]
    assert differences([one, two], allow=["a.y", "b"]) == []
