"""Expected figures: written, read, and held against runs, from Python and the command line."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import RunError
from searchenv.evaluation import Run
from searchenv.evaluation.expected import (
    Checked,
    Figures,
    check_run,
    expect,
    read_expected,
)
from searchenv.evaluation.suites import get_suite, play_suite

Play = Callable[[Path], Run]
MEASURES = ("em", "gold_recall", "searches")


@pytest.fixture
def oracle(towns: Path) -> Play:
    """Plays the oracle, which searches both gold titles of q1 and nothing for q2 and q3."""
    suite = get_suite("invented:TOWNS")
    data = suite.read(towns)
    return lambda out: play_suite(suite, "oracle", data, suite.open(data), out)


@pytest.fixture
def card(oracle: Play, tmp_path: Path) -> Path:
    """The file of the figures of one run."""
    run = oracle(tmp_path / "measured")
    expected = expect(
        get_suite("invented:TOWNS"), {("oracle", "BM25"): run}, {"BM25": 0.001}, MEASURES
    )
    path = tmp_path / "cards" / "towns" / "expected.toml"
    path.parent.mkdir(parents=True)
    path.write_text(expected.to_toml())
    return path


def test_figures_are_those_of_the_run_and_come_back_from_the_file(card: Path) -> None:
    expected = read_expected(card)
    assert expected.suite == "towns v1"
    assert expected.questions == 3
    assert expected.figures == (
        Figures("oracle", "BM25", 0.001, {"em": 1.0, "gold_recall": 1.0, "searches": 0.6667}),
    )
    assert expected.to_toml() == card.read_text()


def test_a_figure_may_be_off_by_the_tolerance() -> None:
    assert Checked("em", 0.5, 0.501, 0.001).ok
    assert Checked("em", 0.5, 0.499, 0.001).ok
    assert not Checked("em", 0.5, 0.5011, 0.001).ok


def test_a_run_of_the_suite_is_checked_figure_by_figure(
    card: Path, oracle: Play, tmp_path: Path
) -> None:
    expected = read_expected(card)
    (figures,) = expected.figures
    run = oracle(tmp_path / "measured")
    off = Figures("oracle", "BM25", 0.001, {"em": 0.9, "searches": 0.667})
    assert check_run(get_suite("invented:TOWNS"), expected, off, run) == [
        Checked("em", 0.9, 1.0, 0.001),
        Checked("searches", 0.667, 0.6667, 0.001),
    ]
    unknown = Figures("oracle", "BM25", 0.001, {"f1": 0.9})
    with pytest.raises(RunError, match="the run of oracle does not measure f1"):
        check_run(get_suite("invented:TOWNS"), expected, unknown, run)
    other = Figures("random", "BM25", 0.001, figures.means)
    with pytest.raises(RunError, match=r"they differ in policy\.name:"):
        check_run(get_suite("invented:TOWNS"), expected, other, run)


def test_a_run_with_another_k_is_no_run_of_the_suite(
    card: Path, towns: Path, tmp_path: Path
) -> None:
    words = ["bench", "run", "invented:TOWNS", "--data", str(towns), "--policy", "oracle"]
    runs = tmp_path / "runs"
    assert main([*words, "--k", "3", "--out", str(runs / "towns" / "oracle-BM25")]) == 0
    assert check(card, "--runs", str(runs)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "KeyError: 'figures'"),
        ("figures = [", "TOMLDecodeError"),
        ('suite = "x"\nfigures = []', "TypeError"),
        ('[[figures]]\npolicy = "oracle"\n', "KeyError: 'retriever'"),
    ],
)
def test_a_broken_file_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(text)
    with pytest.raises(RunError, match=message):
        read_expected(path)


def check(card: Path, *more: str) -> int:
    return main(["bench", "check", "invented:TOWNS", "--cards", str(card.parents[1]), *more])


def test_check_plays_the_suite(card: Path, towns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(card, "--data", str(towns)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "towns v1: 3 questions, test",
        "ok     oracle     BM25    em            1.0000  expected  1.0000 ± 0.001",
        "ok     oracle     BM25    gold_recall   1.0000  expected  1.0000 ± 0.001",
        "ok     oracle     BM25    searches      0.6667  expected  0.6667 ± 0.001",
        "3 figures, 0 wrong",
    ]


def test_check_reads_a_run_without_the_data(
    card: Path, oracle: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEARCHENV_DATA", raising=False)
    assert check(card, "--runs", str(tmp_path / "runs")) == 2  # nothing to read, nothing to play
    oracle(tmp_path / "runs" / "towns" / "oracle-BM25")
    assert check(card, "--runs", str(tmp_path / "runs")) == 0


def test_check_fails_where_a_figure_is_off(
    card: Path, towns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card.write_text(card.read_text().replace("searches = 0.6667", "searches = 0.67"))
    assert check(card, "--data", str(towns)) == 1
    out = capsys.readouterr().out
    assert "WRONG  oracle     BM25    searches      0.6667  expected  0.6700 ± 0.001\n" in out
    assert out.endswith("3 figures, 1 wrong\n")


def test_check_refuses_other_questions(
    card: Path, towns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = towns / "towns" / "test.jsonl"
    path.write_text(path.read_text().replace("Which river", "What river"))
    assert check(card, "--data", str(towns)) == 2
    assert "they differ in questions.sha256" in capsys.readouterr().err


def test_check_needs_figures_of_what_is_asked_for(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(card, "--retriever", "dense") == 2
    assert "expects nothing of these policies and retrievers" in capsys.readouterr().err


@pytest.mark.data
def test_bamboogle_gives_the_figures_of_its_card(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bamboogle", "--data", str(data_dir), "--policy", "oracle", "one_shot"]
    assert main(["bench", "check", *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bamboogle v1: 63 questions")
    assert out.endswith("8 figures, 0 wrong\n")


def test_expected_names_all_commits_and_days_it_was_measured_at(
    oracle: Play, tmp_path: Path
) -> None:
    place = {"command": "python suites.py", "machine": "2 cores"}
    sessions = [
        {**place, "commit": commit, "date": f"2026-11-{day}T10:00:00+00:00"}
        for commit, day in (("0aa1", 26), ("0bb2", 26), ("0bb2", 27))
    ]
    run = replace(oracle(tmp_path / "measured"), sessions=sessions)
    suite = get_suite("invented:TOWNS")
    expected = expect(suite, {("oracle", "BM25"): run}, {"BM25": 0.0}, MEASURES)
    assert expected.command == "python suites.py"
    assert expected.machine == "2 cores"
    assert expected.commit == "0aa1, 0bb2"
    assert expected.date == "2026-11-26, 2026-11-27"
