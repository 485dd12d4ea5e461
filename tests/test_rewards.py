"""Rewards: named terms, what they may see, and how they compose."""

from collections.abc import Sequence

import pytest

from searchenv.episode import Episode
from searchenv.protocols import get_protocol
from searchenv.results import Result
from searchenv.rewards import (
    CallCost,
    Composite,
    Format,
    GoldRecall,
    Outcome,
    gold_recall,
    score,
)
from searchenv.types import (
    Gold,
    Hit,
    Limits,
    Observation,
    OnInvalid,
    Passage,
    Question,
    Source,
    Terms,
    ToolFailure,
    ToolResult,
)

GOLD = (Gold("A", ("a", "a2")), Gold("B", ("b",)))


def play(
    texts: Sequence[str],
    *,
    gold: tuple[Gold, ...] = GOLD,
    limits: Limits | None = None,
    result: ToolResult | None = None,
) -> Result:
    hits = (Hit(Passage("a2", "A", "Rome is the answer"), 1.0, 1),)
    question = Question("q", "Which city?", ("Rome",), gold=gold)
    episode = Episode(question, get_protocol("search_r1"), limits or Limits())
    for text in texts:
        episode.act(text)
        if not episode.over:
            episode.observe([result or Observation(hits) for _ in episode.pending])
    return episode.result


SEARCH, RIGHT, WRONG = "<search>x</search>", "<answer>rome</answer>", "<answer>Oslo</answer>"


def test_outcome_scores_the_answer_alone() -> None:
    assert score(Outcome("em"), play([SEARCH, RIGHT])) == {"outcome": 1.0}
    assert score(Outcome("em", weight=2.0), play([SEARCH, RIGHT])) == {"outcome": 2.0}
    assert score(Outcome("em"), play([SEARCH, WRONG])) == {"outcome": 0.0}


def test_outcome_without_an_answer_is_zero() -> None:
    limits = Limits(max_turns=1)
    assert score(Outcome("em"), play([SEARCH], limits=limits)) == {"outcome": 0.0}


def test_unknown_scorer_fails_when_the_reward_is_made() -> None:
    with pytest.raises(ValueError, match="Did you mean 'em'"):
        Outcome("emm")


def test_format_needs_valid_moves_and_an_answer() -> None:
    assert score(Format(), play([SEARCH, WRONG])) == {"format": 0.2}
    assert score(Format(), play(["nothing", WRONG])) == {"format": 0.0}
    assert score(Format(), play([SEARCH], limits=Limits(max_turns=1))) == {"format": 0.0}


def test_call_cost_counts_run_calls_beyond_the_free_ones() -> None:
    result = play([SEARCH, SEARCH, SEARCH, RIGHT])
    assert score(CallCost(cost=0.1), result) == {"calls": pytest.approx(-0.3)}
    assert score(CallCost(cost=0.1, free=2), result) == {"calls": pytest.approx(-0.1)}
    assert score(CallCost(cost=0.1, free=5), result) == {"calls": 0.0}


def test_gold_recall_counts_passages_not_ids() -> None:
    result = play([SEARCH, SEARCH, RIGHT])
    assert gold_recall(result) == 0.5
    assert score(GoldRecall(weight=0.5), result) == {"gold_recall": 0.25}


def test_gold_recall_unknown_is_left_out_not_zero() -> None:
    assert score(GoldRecall(), play([SEARCH, RIGHT], gold=())) == {}
    assert score(GoldRecall(), play([SEARCH, RIGHT], gold=(Gold("A"),))) == {}


def test_composite_keeps_the_terms_apart() -> None:
    reward = Composite(Outcome("em"), Format(0.2), CallCost(0.05), GoldRecall(0.5))
    terms = score(reward, play([SEARCH, RIGHT]))
    assert terms == {"outcome": 1.0, "format": 0.2, "calls": -0.05, "gold_recall": 0.25}


def test_composite_refuses_two_terms_of_one_name() -> None:
    reward = Composite(Outcome("em"), Outcome("sub_em"))
    with pytest.raises(ValueError, match="two rewards have a term named 'outcome'"):
        score(reward, play([SEARCH, RIGHT]))


def test_invalid_penalty_is_a_term() -> None:
    limits = Limits(on_invalid=OnInvalid.PENALTY, invalid_penalty=0.25)
    assert score(Outcome("em"), play(["?", "?", RIGHT], limits=limits)) == {
        "outcome": 1.0,
        "invalid": -0.5,
    }


def test_a_tool_failure_is_unscored() -> None:
    assert score(Outcome("em"), play([SEARCH], result=ToolFailure("down"))) == {}


class SeesText:
    """Counts the retrieved characters it can see."""

    def __init__(self, reads_transcript: bool) -> None:
        self.reads_transcript = reads_transcript

    def __call__(self, result: Result) -> Terms:
        seen = sum(len(s.text) for s in result.segments if s.source is Source.ENVIRONMENT)
        return {f"seen_{self.reads_transcript}": float(seen)}


def test_rewards_do_not_see_retrieved_text_unless_they_say_so() -> None:
    result = play([SEARCH, RIGHT])
    observed = sum(len(s.text) for s in result.segments if s.source is Source.ENVIRONMENT)
    assert observed > 0
    assert score(SeesText(False), result) == {"seen_False": 0.0}
    assert score(SeesText(True), result) == {"seen_True": observed}
    both = Composite(SeesText(False), SeesText(True))
    assert score(both, result) == {"seen_False": 0.0, "seen_True": observed}
