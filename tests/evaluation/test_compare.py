"""Two runs question by question: differences and p-values by hand, unlike runs refused."""

from collections.abc import Callable
from math import comb
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import RunError
from searchenv.evaluation import Mean, Run
from searchenv.evaluation.compare import compare_runs, paired_p_value

YesRun = Callable[..., Run]

# Two sets of gold answers stand for two runs: the policy says yes to each question.
BEFORE = {"a": "no", "b": "no", "c": "yes", "d": "no", "e": "yes"}
AFTER = {"a": "yes", "b": "yes", "c": "yes", "d": "yes", "e": "yes"}


def test_differences_are_paired_by_question(yes_run: YesRun) -> None:
    first, second = yes_run("first", BEFORE), yes_run("second", dict(reversed(AFTER.items())))
    em, searches, turns = compare_runs(first, second, allow=("questions",))
    assert (em.measure, em.first, em.second) == ("em", 0.4, 1.0)
    assert em.difference == Mean.of([1.0, 1.0, 0.0, 1.0, 0.0])
    assert em.p == 0.25  # 2 of the 8 ways to give signs to three ones are as far as all plus
    assert (searches.measure, searches.difference.mean, searches.p) == ("searches", 0.0, 1.0)
    assert turns.measure == "turns"


def test_only_questions_in_both_runs_count(yes_run: YesRun) -> None:
    first, second = yes_run("first", BEFORE), yes_run("second", {"b": "yes", "z": "no"})
    em, *_ = compare_runs(first, second, allow=("questions",))
    assert (em.first, em.second, em.difference.n) == (0.0, 1.0, 1)


def test_samples_are_averaged_before_they_are_paired(yes_run: YesRun) -> None:
    first = yes_run("first", {"a": "yes"}, samples=4)
    second = yes_run("second", {"a": "no"}, samples=4)
    em, *_ = compare_runs(first, second, allow=("questions",))
    assert em.difference.n == 1
    assert em.difference.mean == 1 - 2 * em.first


def test_unlike_runs_are_refused_unless_allowed(yes_run: YesRun) -> None:
    first, second = yes_run("first", AFTER), yes_run("second", AFTER, policy="other", seed=1)
    with pytest.raises(RunError, match=r"differ in policy.name, seed: .*--allow policy.name seed"):
        compare_runs(first, second)
    with pytest.raises(RunError, match=r"differ in seed:"):
        compare_runs(first, second, allow=("policy",))
    assert compare_runs(first, second, allow=("policy.name", "seed"))[0].difference.mean == 0.0


def test_an_unknown_field_names_the_nearest(yes_run: YesRun) -> None:
    run = yes_run("run", AFTER)
    with pytest.raises(ValueError, match=r"no header has a field 'polcy'. Did you mean"):
        compare_runs(run, run, allow=("polcy",))


def test_runs_without_a_common_question_are_refused(yes_run: YesRun) -> None:
    with pytest.raises(RunError, match="no question is in both runs"):
        compare_runs(
            yes_run("one", {"a": "yes"}), yes_run("two", {"b": "yes"}), allow=("questions",)
        )


def test_a_run_that_has_not_ended_is_refused(yes_run: YesRun) -> None:
    run = yes_run("run", AFTER)
    with pytest.raises(RunError, match="not whole"):
        compare_runs(run, Run(run.header, run.records, complete=False, sessions=()))


def test_p_value_of_few_differences_is_exact() -> None:
    # sums of +-1, +-2 with absolute value of at least 3: 2 of 4
    assert paired_p_value([1.0, 2.0]) == 0.5
    # of at least |2 - 1|: all
    assert paired_p_value([-1.0, 2.0]) == 1.0
    assert paired_p_value([0.1] * 13) == 2 / 2**13


def test_p_value_of_many_differences_is_near_the_exact_one() -> None:
    # 14 better, 6 worse: the sign test's sum over at most 6 or at least 14 of 20
    exact = 2 * sum(comb(20, k) for k in range(7)) / 2**20
    assert paired_p_value([1.0] * 14 + [-1.0] * 6) == pytest.approx(exact, abs=0.01)
    assert paired_p_value([1.0] * 60) == 1 / 10_001


def test_no_differences_have_no_p_value() -> None:
    with pytest.raises(ValueError, match="at least one difference"):
        paired_p_value([])


def test_the_command_prints_one_line_a_measure(
    yes_run: YesRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yes_run("first", BEFORE)
    yes_run("second", AFTER)
    folders = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert main(["bench", "compare", *folders]) == 2
    assert "differ in questions.sha256" in capsys.readouterr().err
    assert main(["bench", "compare", *folders, "--allow", "questions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["A", "B", "B", "-", "A", "interval", "p", "n"]
    assert lines[1].split() == [
        "em",
        "0.400",
        "1.000",
        "+0.600",
        "[0.200,",
        "1.000]",
        "0.2500",
        "5",
    ]
    assert len(lines) == 4
