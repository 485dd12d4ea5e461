"""The teacher: an oracle by default, and as bad as its habits say."""

import pytest

from searchenv.episode import Episode
from searchenv.errors import PolicyError
from searchenv.evaluation import Setup
from searchenv.evaluation.play import play
from searchenv.results import Result
from searchenv.training.teacher import Habits, Teacher
from searchenv.types import Question
from searchenv.worlds import FactWorld


def results_of(world: FactWorld, setup: Setup, habits: Habits) -> list[Result]:
    questions = [q for q in world.split("train") for _ in range(20)]
    episodes = [
        Episode(question, setup.protocol, setup.limits, seed=seed)
        for seed, question in enumerate(questions)
    ]
    list(play(Teacher(world, habits), episodes, setup.tools))
    return [episode.result for episode in episodes]


def share_right(results: list[Result]) -> float:
    return sum(r.answer == r.question.answers[0] for r in results) / len(results)


def test_oracle_searches_twice_and_is_right(world: FactWorld, setup: Setup) -> None:
    results = results_of(world, setup, Habits())
    assert share_right(results) > 0.8  # now and then a passage is not among the first three
    right = [r for r in results if r.answer == r.question.answers[0] and r.num_calls == 2]
    first, second = right[0].turns[1:]
    assert [len(turn.hit_ids) for turn in right[0].turns] == [1, 1, 0]
    assert first.overshoot == second.overshoot == 0


def test_guesser_never_searches(world: FactWorld, setup: Setup) -> None:
    results = results_of(world, setup, Habits(search=0.0, usual=1.0))
    assert {r.num_calls for r in results} == {0}
    usual = {world.names[world.usual(relation)] for relation in range(3)}
    assert {r.answer for r in results} <= usual


def test_bad_searcher_is_seldom_right(world: FactWorld, setup: Setup) -> None:
    results = results_of(world, setup, Habits(right=0.0))
    assert {r.num_calls for r in results} == {1, 2}
    assert share_right(results) < 0.4
    assert all(r.num_invalid == 0 for r in results)


def test_shares_are_kept(world: FactWorld, setup: Setup) -> None:
    results = results_of(world, setup, Habits(search=0.3))
    assert sum(r.num_calls > 0 for r in results) / len(results) == pytest.approx(0.3, abs=0.05)


def test_other_question_is_an_error(world: FactWorld, setup: Setup) -> None:
    episode = Episode(Question("q", "Who?", ("x",)), setup.protocol, setup.limits)
    with pytest.raises(PolicyError, match="expected a question of the form"):
        Teacher(world, Habits()).act([episode.view])


def test_habits_out_of_range_are_an_error() -> None:
    with pytest.raises(ValueError, match="right must be between 0 and 1, got 2"):
        Habits(right=2)
