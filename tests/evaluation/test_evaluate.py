"""evaluate() over four questions whose outcome is worked out by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.episode import EpisodeView
from searchenv.errors import QuestionError
from searchenv.evaluation import EvaluationReport, Mean, evaluate
from searchenv.policies import IterativePolicy, RandomPolicy, ScriptedPolicy
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.rewards import Composite, Format, Outcome
from searchenv.types import (
    Act,
    Answer,
    Gold,
    Limits,
    Observation,
    Question,
    StopReason,
    ToolCall,
    ToolFailure,
    ToolResult,
)

FOUR = (
    Question("a", "?", ("Rome",), gold=(Gold("Velmara Nights", ("p1",)), Gold("x", ("p9",)))),
    Question("b", "?", ("yes",)),
    Question("c", "?", ("New York",)),
    Question("d", "?", ("Oslo",), gold=(Gold("Orla Fenwick", ("p2",)),)),
)
SCRIPT: dict[str, Sequence[str | Act | Answer]] = {
    "a": ["<search> Velmara Nights </search>", Answer("rome!")],  # em 1, f1 1, recall 1/2
    "b": [Answer("yes it is")],  # em 0, f1_hotpot 0: a closed answer must match
    "c": ["what?", "<search> Issel </search>", Answer("York")],  # em 0, f1 2/3
    "d": ["<search> Orla born </search>"] * 3,  # no answer: em 0, f1 0, recall 1
}
LIMITS = Limits(max_turns=3)


@pytest.fixture
def tools(keyword_retriever: Retriever) -> dict[str, RetrieverTool]:
    return {"search": RetrieverTool(keyword_retriever, 1)}


@pytest.fixture
def report(tools: dict[str, RetrieverTool]) -> EvaluationReport:
    return evaluate(ScriptedPolicy(SCRIPT), FOUR, tools=tools, limits=LIMITS)


def test_results_are_in_the_order_of_the_questions(report: EvaluationReport) -> None:
    assert [result.question_id for result in report.results] == ["a", "b", "c", "d"]
    assert [result.answer for result in report.results] == ["rome!", "yes it is", "York", None]
    assert [result.turns for result in report.results] == [2, 1, 3, 3]
    assert [result.invalid for result in report.results] == [0, 0, 1, 0]
    assert [dict(result.calls) for result in report.results] == [
        {"search": 1},
        {},
        {"search": 1},
        {"search": 2},
    ]
    assert [result.gold_recall for result in report.results] == [0.5, None, None, 1.0]


def test_means_are_over_questions(report: EvaluationReport) -> None:
    means = report.means
    assert means["em"].mean == 1 / 4
    assert means["f1_hotpot"].mean == pytest.approx((1 + 0 + 2 / 3 + 0) / 4)
    assert (means["gold_recall"].mean, means["gold_recall"].n) == (0.75, 2)
    assert (means["searches"].mean, means["searches"].n) == (1.0, 4)
    assert means["turns"].mean == 9 / 4
    assert report.stops == {StopReason.ANSWER: 3, StopReason.MAX_TURNS: 1}
    assert report.num_failed == 0


def test_mean_interval_of_equal_values_has_no_width() -> None:
    assert Mean.of([0.5, 0.5, 0.5]) == Mean(0.5, 0.5, 0.5, 3)


def test_mean_interval_is_that_of_the_binomial() -> None:
    # Resampling 4 questions of which 2 score 1: P(mean = 0) = P(mean = 1) = 1/16 > 2.5 %.
    assert Mean.of([1, 0, 1, 0]) == Mean(0.5, 0.0, 1.0, 4)
    # Of 100 questions of which 50 score 1, the mean lies within 0.5 ± 1.96 * 0.05.
    wide = Mean.of([1, 0] * 50)
    assert wide.low == pytest.approx(0.402, abs=0.02)
    assert wide.high == pytest.approx(0.598, abs=0.02)


def test_mean_of_nothing() -> None:
    with pytest.raises(ValueError, match="needs at least one value"):
        Mean.of([])


def test_table_shows_means_intervals_and_counts(report: EvaluationReport) -> None:
    lines = report.table().splitlines()
    assert lines[0] == "em             0.250  [0.000, 0.750]  n=4"
    assert lines[2].startswith("gold_recall    0.750  [0.500, 1.000]  n=2")
    assert lines[-1] == "4 questions, 0 failed; ended by: answer 3, max_turns 1"


def test_scorers_and_reward_are_as_asked(tools: dict[str, RetrieverTool]) -> None:
    reward = Composite(Outcome("em"), Format(0.2))
    report = evaluate(
        ScriptedPolicy(SCRIPT),
        FOUR[:2],
        tools=tools,
        limits=LIMITS,
        reward=reward,
        scorers=["f1_squad"],
    )
    assert [dict(result.scores) for result in report.results] == [
        {"f1_squad": 1.0},
        {"f1_squad": 0.5},
    ]
    assert report.results[0].terms == {"outcome": 1.0, "format": 0.2}


@pytest.mark.parametrize("num_envs", [1, 2, 3, 64])
def test_results_do_not_depend_on_num_envs(
    num_envs: int, report: EvaluationReport, tools: dict[str, RetrieverTool]
) -> None:
    again = evaluate(ScriptedPolicy(SCRIPT), FOUR, tools=tools, limits=LIMITS, num_envs=num_envs)
    assert again == report
    random = evaluate(RandomPolicy(1), FOUR * 3, tools=tools, num_envs=num_envs)
    assert random == evaluate(RandomPolicy(1), FOUR * 3, tools=tools)


def test_finished_episodes_are_refilled(tools: dict[str, RetrieverTool]) -> None:
    batches: list[int] = []

    class Counting(ScriptedPolicy):
        def act(self, views: Sequence[EpisodeView]) -> list[str]:
            batches.append(len(views))
            return super().act(views)

    evaluate(Counting(SCRIPT), FOUR, tools=tools, limits=LIMITS, num_envs=2)
    # a,b | a,c | c,d | c,d | d
    assert batches == [2, 2, 2, 2, 1]


class Broken:
    """Fails every call that asks for Issel, finds nothing for the others."""

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        failure = ToolFailure("the index is gone", retryable=False)
        return [failure if call.query == "Issel" else Observation() for call in calls]


def test_a_failed_tool_is_counted_and_scores_zero() -> None:
    report = evaluate(ScriptedPolicy(SCRIPT), FOUR, tools={"search": Broken()}, limits=LIMITS)
    failed = report.results[2]
    assert (failed.failed, failed.error, failed.answer) == (True, "the index is gone", None)
    assert (failed.terms, failed.scores) == ({}, {"em": 0.0, "f1_hotpot": 0.0})
    assert (report.num_failed, report.means["f1_hotpot"].mean, report.means["em"].n) == (1, 0.25, 4)
    assert report.table().endswith(
        "4 questions, 1 failed; ended by: answer 2, max_turns 1, tool_error 1"
    )


def test_jsonl_holds_one_result_a_line(report: EvaluationReport, tmp_path: Path) -> None:
    report.write_jsonl(tmp_path / "results.jsonl")
    lines = (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {
        "question_id": "a",
        "answer": "rome!",
        "stop": "answer",
        "terms": {"outcome": 1.0},
        "scores": {"em": 1.0, "f1_hotpot": 1.0},
        "gold_recall": 0.5,
        "calls": {"search": 1},
        "turns": 2,
        "invalid": 0,
        "overshoot": 0,
        "error": None,
    }
    assert len(lines) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_jsonl_takes_lone_surrogates(tools: dict[str, RetrieverTool], tmp_path: Path) -> None:
    policy = ScriptedPolicy({"a": ["<answer>\ud800</answer>"]})
    evaluate(policy, FOUR[:1], tools=tools).write_jsonl(tmp_path / "r.jsonl")
    assert json.loads((tmp_path / "r.jsonl").read_text(encoding="utf-8"))["answer"] == "\ud800"


class Short:
    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        return []


def test_a_policy_that_writes_too_little(tools: dict[str, RetrieverTool]) -> None:
    with pytest.raises(ValueError, match=r"Short\.act must return one text for each of 4 views"):
        evaluate(Short(), FOUR, tools=tools)


def test_what_a_policy_raises_is_passed_on(tools: dict[str, RetrieverTool]) -> None:
    with pytest.raises(RuntimeError, match="the script of question 'a' has 0 moves"):
        evaluate(ScriptedPolicy({}), FOUR, tools=tools)


def test_bad_arguments(tools: dict[str, RetrieverTool]) -> None:
    with pytest.raises(ValueError, match="num_envs must be >= 1, got 0"):
        evaluate(IterativePolicy(), FOUR, tools=tools, num_envs=0)
    with pytest.raises(QuestionError, match="expected at least one question"):
        evaluate(IterativePolicy(), (), tools=tools)
    with pytest.raises(ValueError, match="unknown scorer 'emm'"):
        evaluate(IterativePolicy(), FOUR, tools=tools, scorers=["emm"])


def test_progress_shows_a_bar(
    tools: dict[str, RetrieverTool], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(ScriptedPolicy(SCRIPT), FOUR, tools=tools, limits=LIMITS, progress=True)
    assert "4/4" in capsys.readouterr().err
