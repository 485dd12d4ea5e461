"""Scripted, oracle, random and human policies over a world of three passages."""

from collections.abc import Iterator

import pytest

from searchenv.driver import step_episodes
from searchenv.episode import Episode
from searchenv.errors import EpisodeStateError, QuestionError
from searchenv.policies import (
    HumanPolicy,
    IterativePolicy,
    OraclePolicy,
    Policy,
    RandomPolicy,
    ScriptedPolicy,
    get_policy,
)
from searchenv.protocols import SearchR1
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Act, Answer, Gold, Limits, Question, ToolCall


def _episode(question: Question, max_turns: int = 8) -> Episode:
    return Episode(question, SearchR1(), Limits(max_turns=max_turns))


def _play(policy: Policy, question: Question, retriever: Retriever, k: int = 1) -> Episode:
    episode = _episode(question)
    while not episode.over:
        step_episodes(
            [episode], policy.act([episode.view]), {"search": RetrieverTool(retriever, k)}
        )
    return episode


def _queries(episode: Episode) -> list[str]:
    moves = [turn.move for turn in episode.turns]
    return [call.query for move in moves if isinstance(move, Act) for call in move.calls]


def test_scripted_replays_texts_and_moves(
    questions: tuple[Question, ...], keyword_retriever: Retriever
) -> None:
    script: list[str | Act | Answer] = [
        "<search> Velmara </search>",
        Act((ToolCall("search", "Orla"),)),
        Answer("Dunmarrow"),
    ]
    episode = _play(ScriptedPolicy({"q1": script}), questions[0], keyword_retriever)
    assert _queries(episode) == ["Velmara", "Orla"]
    assert episode.result.answer == "Dunmarrow"


def test_scripted_runs_out(questions: tuple[Question, ...]) -> None:
    policy = ScriptedPolicy({"q1": []})
    with pytest.raises(EpisodeStateError, match="script of question 'q1' has 0 moves, but move 1"):
        policy.act([_episode(questions[0]).view])


def test_oracle_searches_gold_titles_then_answers(
    questions: tuple[Question, ...], keyword_retriever: Retriever
) -> None:
    episode = _play(OraclePolicy(questions), questions[0], keyword_retriever)
    assert _queries(episode) == ["Velmara Nights", "Orla Fenwick"]
    assert episode.result.answer == "Dunmarrow"


def test_oracle_skips_what_an_earlier_search_found(
    questions: tuple[Question, ...], keyword_retriever: Retriever
) -> None:
    # "Orla Fenwick" finds its own page and, as second hit, the film that she directed.
    question = Question(
        "q", "?", ("x",), gold=(Gold("Orla Fenwick", ("p2",)), Gold("Velmara Nights", ("p1",)))
    )
    episode = _play(OraclePolicy([question]), question, keyword_retriever, k=2)
    assert _queries(episode) == ["Orla Fenwick"]


def test_oracle_does_not_repeat_a_search_that_missed(keyword_retriever: Retriever) -> None:
    question = Question("q", "?", ("x",), gold=(Gold("Dunmarrow", ("elsewhere",)),))
    assert _queries(_play(OraclePolicy([question]), question, keyword_retriever)) == ["Dunmarrow"]


def test_oracle_without_gold_answers_at_once(
    questions: tuple[Question, ...], keyword_retriever: Retriever
) -> None:
    episode = _play(OraclePolicy(questions), questions[1], keyword_retriever)
    assert (episode.num_turns, episode.result.answer) == (1, "Orla Fenwick")


def test_oracle_unknown_question(questions: tuple[Question, ...]) -> None:
    with pytest.raises(QuestionError, match="knows 1 questions, but not 'q2'"):
        OraclePolicy(questions[:1]).act([_episode(questions[1]).view])


def test_random_depends_on_seed_question_and_turn_only(questions: tuple[Question, ...]) -> None:
    views = [_episode(question).view for question in questions]
    together = RandomPolicy(5).act(views)
    assert [RandomPolicy(5).act([view])[0] for view in reversed(views)] == together[::-1]
    assert RandomPolicy(6).act(views) != together


def test_random_rejects_a_negative_seed() -> None:
    with pytest.raises(ValueError, match="seed must be >= 0, got -1"):
        RandomPolicy(-1)


def test_iterative_rejects_no_searches() -> None:
    with pytest.raises(ValueError, match="max_searches must be >= 1, got 0"):
        IterativePolicy(0)


def _typed(*lines: str) -> tuple[HumanPolicy, list[str]]:
    shown: list[str] = []
    keys: Iterator[str] = iter(lines)

    def ask(prompt: str) -> str:
        shown.append(prompt)
        try:
            return next(keys)
        except StopIteration:
            raise EOFError from None

    return HumanPolicy(ask), shown


def test_human_words_search_and_equals_answers(
    questions: tuple[Question, ...], keyword_retriever: Retriever
) -> None:
    policy, shown = _typed("Velmara", "?", "<search> Orla </search>", "= Dunmarrow")
    episode = _play(policy, questions[0], keyword_retriever)
    assert _queries(episode) == ["Velmara", "Orla"]
    assert episode.result.answer == "Dunmarrow"
    assert "Where was the director of Velmara Nights born?" in shown[0]
    assert "1. Velmara Nights" in shown[1]
    assert shown[2].startswith("Type words to search")
    assert shown[3].endswith("[6 moves left] > ")


def test_human_sees_no_results_and_hints(questions: tuple[Question, ...]) -> None:
    policy, shown = _typed("= x", "= x")
    episode = _episode(questions[0])
    episode.act("nonsense")
    episode.observe([])
    policy.act([episode.view])
    assert "That was no valid move" in shown[0]


@pytest.mark.parametrize("lines", [("quit",), ()])
def test_human_quits(lines: tuple[str, ...], questions: tuple[Question, ...]) -> None:
    policy, _ = _typed(*lines)
    with pytest.raises(KeyboardInterrupt, match=r"quit|closed"):
        policy.act([_episode(questions[0]).view])


def test_get_policy_by_name_object_and_import(questions: tuple[Question, ...]) -> None:
    policy = RandomPolicy(1)
    assert get_policy(policy) is policy
    assert isinstance(get_policy("oracle", questions), OraclePolicy)
    assert isinstance(get_policy("random"), RandomPolicy)
    assert isinstance(get_policy("human"), HumanPolicy)
    dotted = "searchenv.policies.rules:IterativePolicy"
    assert isinstance(get_policy(dotted), IterativePolicy)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("iteratve", "no policy is named 'iteratve'. Did you mean 'iterative'"),
        ("nowhere.at.all:X", "expected package.module:Name that can be imported"),
        ("searchenv.policies:X", "expected package.module:Name that can be imported"),
        ("searchenv.types:Limits", r"expected an object with a method act\(views\).* got Limits"),
        ("searchenv.errors:__all__", "got list"),
    ],
)
def test_get_policy_says_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_policy(name)
