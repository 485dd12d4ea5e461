"""The policies on the demo world: the order that a sound environment gives them."""

import pytest

from searchenv.evaluation import EvaluationReport, evaluate
from searchenv.policies import get_policy
from searchenv.retrieval import RetrieverTool
from searchenv.types import Question
from searchenv.worlds.demo import demo_index, demo_questions


@pytest.fixture(scope="module")
def dev() -> tuple[Question, ...]:
    return tuple(q for q in demo_questions() if q.metadata["split"] == "dev")


@pytest.fixture(scope="module")
def reports(dev: tuple[Question, ...]) -> dict[str, EvaluationReport]:
    tools = {"search": RetrieverTool(demo_index("bm25s"), 3)}
    names = ("random", "one_shot", "iterative", "oracle")
    return {name: evaluate(get_policy(name, dev), dev, tools=tools) for name in names}


def test_oracle_finds_all_and_answers_all(reports: dict[str, EvaluationReport]) -> None:
    means = reports["oracle"].means
    assert (means["em"].mean, means["gold_recall"].mean) == (1.0, 1.0)


def test_policies_come_in_the_expected_order(reports: dict[str, EvaluationReport]) -> None:
    em = {name: report.means["em"].mean for name, report in reports.items()}
    assert em["random"] < 0.1 < em["one_shot"] < 0.3 < em["iterative"] < em["oracle"]


def test_every_episode_ends_with_an_answer(reports: dict[str, EvaluationReport]) -> None:
    for report in reports.values():
        assert report.stops == {"answer": 100}
        assert all(result.invalid == 0 for result in report.results)
