"""Means over questions: samples stay together, order changes nothing, pass@k by hand."""

from collections.abc import Callable

import pytest

from searchenv.evaluation import Mean, Run
from searchenv.evaluation.statistics import best_of, question_means, summarize

YesRun = Callable[..., Run]


def test_summary_counts_each_question_once(yes_run: YesRun) -> None:
    run = yes_run("run", {"a": "yes", "b": "no", "c": "yes", "d": "yes"})
    summary = summarize(run.records)
    assert summary.questions == 4
    assert summary.failed == 0
    assert summary.means["em"] == Mean.of([1.0, 0.0, 1.0, 1.0])
    assert summary.means["em"].mean == 0.75
    assert summary.means["searches"] == Mean(0.0, 0.0, 0.0, 4)
    assert list(summary.means) == ["em", "searches", "turns"]
    assert summary.text().splitlines()[-1] == "4 questions, 0 failed"


def test_samples_of_a_question_are_one_draw(yes_run: YesRun) -> None:
    run = yes_run("run", {"b": "no", "a": "yes"}, samples=4)
    right = [record.scores["em"] for record in run.records if record.key[0] == "a"]
    share = sum(right) / 4
    assert 0 < share < 1
    assert question_means(run.records, "em") == {"a": share, "b": 1 - share}
    assert summarize(run.records).means["em"] == Mean.of([share, 1 - share])
    assert summarize(run.records).means["em"].n == 2


def test_the_order_of_records_changes_nothing(yes_run: YesRun) -> None:
    answers = {f"q{i}": "yes" if i % 3 else "no" for i in range(30)}
    records = yes_run("run", answers).records
    assert summarize(records[::-1]) == summarize(records)


@pytest.mark.parametrize(
    ("values", "k", "expected"),
    [
        ([0.0, 1.0, 0.0, 0.0], 1, 0.25),  # the mean
        ([0.0, 1.0, 0.0, 0.0], 2, 0.5),  # 3 of the 6 pairs hold the right one
        ([0.0, 1.0, 1.0, 0.0], 2, 5 / 6),  # 1 of the 6 pairs holds none
        ([0.0, 1.0, 0.0, 0.0], 4, 1.0),
        ([0.2, 0.6, 0.4], 2, (0.6 + 0.6 + 0.4) / 3),  # the better of each of the 3 pairs
    ],
)
def test_best_of_k(values: list[float], k: int, expected: float) -> None:
    assert best_of(values, k) == pytest.approx(expected, abs=1e-15)


def test_pass_at_k_is_the_mean_over_questions(yes_run: YesRun) -> None:
    run = yes_run("run", {"a": "yes", "b": "no"}, samples=4)
    means = summarize(run.records, pass_at=(1, 4)).means
    assert means["em pass@1"].mean == means["em"].mean
    assert means["em pass@4"].mean == 1.0


def test_more_than_the_samples_are_refused(yes_run: YesRun) -> None:
    run = yes_run("run", {"a": "yes"})
    with pytest.raises(ValueError, match=r"1 <= k <= 1 samples of a question, got k=2"):
        summarize(run.records, pass_at=(2,))


def test_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one record, got none"):
        summarize([])
