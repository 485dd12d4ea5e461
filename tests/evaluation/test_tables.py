"""Tables of runs, cell by cell."""

from collections.abc import Callable
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.evaluation import Run
from searchenv.evaluation.tables import TableFormat, render_table, table_rows

YesRun = Callable[..., Run]
ANSWERS = {"a": "yes", "b": "no", "c": "yes", "d": "yes"}
METADATA: dict[str, dict[str, object]] = {
    "a": {"type": "bridge", "hops": 2},
    "b": {"type": "bridge", "hops": 3},
    "c": {"type": "comparison", "hops": 2},
}


def test_rows_are_all_questions_then_the_groups_of_each_key(yes_run: YesRun) -> None:
    run = yes_run("run", ANSWERS, metadata=METADATA)
    rows = table_rows({"mine": run.records}, by=("type", "hops"))
    assert [
        (r.run, r.questions, r.summary.questions, r.summary.means["em"].mean) for r in rows
    ] == [
        ("mine", "all", 4, 0.75),
        ("mine", "type=?", 1, 1.0),
        ("mine", "type=bridge", 2, 0.5),
        ("mine", "type=comparison", 1, 1.0),
        ("mine", "hops=2", 2, 1.0),
        ("mine", "hops=3", 1, 0.0),
        ("mine", "hops=?", 1, 1.0),
    ]


def test_an_unknown_key_names_the_nearest(yes_run: YesRun) -> None:
    run = yes_run("run", ANSWERS, metadata=METADATA)
    with pytest.raises(ValueError, match=r"no question says its 'hop'. Did you mean 'hops'\?"):
        table_rows({"mine": run.records}, by=("hop",))


def test_markdown(yes_run: YesRun) -> None:
    rows = table_rows({"a|b": yes_run("run", {"a": "yes", "b": "yes"}).records})
    assert render_table(rows) == (
        "| run | questions | n | failed | em | searches | turns |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| a\\|b | all | 2 | 0 | 1.000 [1.000, 1.000] | 0.000 [0.000, 0.000] | "
        "1.000 [1.000, 1.000] |"
    )


def test_csv_has_a_column_for_each_number(yes_run: YesRun) -> None:
    rows = table_rows({"a,b": yes_run("run", {"a": "yes", "b": "yes"}).records})
    assert render_table(rows, TableFormat.CSV).splitlines() == [
        "run,questions,n,failed,em,em low,em high,em n,searches,searches low,searches high,"
        "searches n,turns,turns low,turns high,turns n",
        '"a,b",all,2,0,1.0,1.0,1.0,2,0.0,0.0,0.0,2,1.0,1.0,1.0,2',
    ]


def test_latex_escapes_what_is_special(yes_run: YesRun) -> None:
    rows = table_rows({"one_shot": yes_run("run", {"a": "yes"}).records})
    assert render_table(rows, TableFormat.LATEX).splitlines() == [
        r"\begin{tabular}{llrrrrr}",
        r"\toprule",
        r"run & questions & n & failed & em & searches & turns \\",
        r"\midrule",
        r"one\_shot & all & 1 & 0 & 1.000 [1.000, 1.000] & 0.000 [0.000, 0.000] & "
        r"1.000 [1.000, 1.000] \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_the_command_says_in_what_runs_differ(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yes_run("one", ANSWERS)
    yes_run("two", ANSWERS, policy="other")
    assert main(["bench", "table", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert printed.err == "the runs differ in name, policy.name\n"


def test_a_run_that_has_not_ended_has_no_table(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yes_run("run", ANSWERS)
    (tmp_path / "run" / "results.jsonl").rename(tmp_path / "run" / "results.part.jsonl")
    assert main(["bench", "table", str(tmp_path / "run")]) == 2
    assert "is not whole, it has 4 records" in capsys.readouterr().err


def test_the_same_run_twice_is_refused(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yes_run("run", ANSWERS)
    assert main(["bench", "table", str(tmp_path / "run"), f"{tmp_path}/run/"]) == 2
    assert "two runs have the same path" in capsys.readouterr().err


def test_paired_tests_against_one_of_the_runs(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yes_run("one", ANSWERS)
    yes_run("two", ANSWERS, policy="other")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    words = ["bench", "table", one, two, "--against", f"{one}/"]
    assert main(words) == 2
    assert "not alike, they differ in policy.name" in capsys.readouterr().err
    assert main([*words, "--allow", "policy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4:8] == [  # both policies answer yes
        "",
        "| run | measure | difference | p | n |",
        "| --- | --- | ---: | ---: | ---: |",
        f"| {two} | em | +0.000 [+0.000, +0.000] | 1.0000 | 4 |",
    ]
    assert main([*words, "--allow", "policy", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4:6] == [
        "run,measure,difference,low,high,p,n",
        f"{two},em,0.0,0.0,0.0,1.0,4",
    ]
    assert main([*words, "--allow", "policy", "--format", "latex"]) == 0
    assert "run & measure & difference & p & n \\\\" in capsys.readouterr().out
    assert main(["bench", "table", one, two, "--against", str(tmp_path)]) == 2
    assert "needs that run and at least one other" in capsys.readouterr().err
