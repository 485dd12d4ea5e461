"""Difficulty by roll-outs, interrupted and not, and the questions of the stages."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError, RunError
from searchenv.evaluation import Setup
from searchenv.questions import read_questions, write_questions
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.systems.r1_searcher import TRAIN_LIMITS, R1Searcher
from searchenv.systems.r1_searcher.curriculum import (
    PUBLISHED_MIX,
    Difficulty,
    Tried,
    pick_questions,
    try_questions,
)
from searchenv.types import Passage, Question

NEEDED = (1, 9, 10, 20, 21, 2)
QUESTIONS = tuple(Question(f"q{i}", f"Question {i}?", ("Nile",)) for i in range(len(NEEDED)))
SETUP = Setup(
    tools={"search": RetrieverTool(MemoryRetriever([Passage("1", "", "Text.")]), 3)},
    protocol=R1Searcher(),
    limits=TRAIN_LIMITS,
    scorers=("em",),
)
SEEDS = [SETUP.sample_seed(number) for number in range(25)]
HEADER = {"name": "test"}


class Late:
    """Answers a question rightly from the roll-out on that ``NEEDED`` says; may break down."""

    def __init__(self, breaks_after: int = 10_000) -> None:
        self.played: list[tuple[str, int]] = []
        self.left = breaks_after

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        return [self.answer(view) for view in views]

    def answer(self, view: EpisodeView) -> str:
        number = SEEDS.index(view.seed) + 1
        self.played.append((view.question_id, number))
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        right = number >= NEEDED[int(view.question_id[1:])]
        return f"</think> <answer> {'the Nile, yes' if right else 'Rhine'} </answer>"


@pytest.mark.parametrize(
    ("rollouts", "difficulty"),
    [
        (1, "easy"),
        (9, "easy"),
        (10, "medium"),
        (20, "medium"),
        (21, "difficult"),
        (None, "difficult"),
    ],
)
def test_difficulty_by_rollouts(rollouts: int | None, difficulty: str) -> None:
    assert Tried("q", rollouts).difficulty == difficulty


@pytest.mark.parametrize("at_once", [1, 2, 64])
def test_try_questions_stops_at_the_first_right_answer(tmp_path: Path, at_once: int) -> None:
    policy = Late()
    found = try_questions(policy, QUESTIONS, SETUP, tmp_path, header=HEADER, at_once=at_once)
    assert [tried.rollouts for tried in found] == [1, 9, 10, 20, None, 2]
    assert len(policy.played) == len({*policy.played}) == 1 + 9 + 10 + 20 + 20 + 2
    lines = (tmp_path / "tried.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines][:2] == [
        {"id": "q0", "rollouts": 1},
        {"id": "q1", "rollouts": 9},
    ]
    assert not (tmp_path / "tried.part.jsonl").exists()


def test_interrupted_selection_goes_on_and_leaves_the_same_bytes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        try_questions(Late(33), QUESTIONS, SETUP, tmp_path / "a", header=HEADER, at_once=2)
    part = tmp_path / "a" / "tried.part.jsonl"
    assert not (tmp_path / "a" / "tried.jsonl").exists()
    done = [json.loads(line)["id"] for line in part.read_text().splitlines()]
    assert done == ["q0", "q1", "q2"]
    with part.open("a") as stream:
        stream.write('{"id": "q3", "roll')  # a kill in the middle of a line
    again = Late()
    try_questions(again, QUESTIONS, SETUP, tmp_path / "a", header=HEADER, at_once=2)
    assert {name for name, _ in again.played} == {"q3", "q4", "q5"}
    try_questions(Late(), QUESTIONS, SETUP, tmp_path / "b", header=HEADER)
    names = ("tried.jsonl", "selection.json")
    assert [(tmp_path / "a" / n).read_bytes() for n in names] == [
        (tmp_path / "b" / n).read_bytes() for n in names
    ]


def test_whole_selection_takes_further_questions(tmp_path: Path) -> None:
    try_questions(Late(), QUESTIONS[:2], SETUP, tmp_path, header=HEADER)
    policy = Late()
    found = try_questions(policy, QUESTIONS[:3], SETUP, tmp_path, header=HEADER)
    assert {name for name, _ in policy.played} == {"q2"}
    assert [tried.rollouts for tried in found] == [1, 9, 10]
    try_questions(Late(), QUESTIONS[2:3], SETUP, tmp_path, header=HEADER)
    lines = (tmp_path / "tried.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["q2", "q0", "q1"]  # nothing is lost


def test_failure_of_the_policy_is_no_wrong_answer(tmp_path: Path) -> None:
    class Broken:
        def act(self, views: Sequence[EpisodeView]) -> list[str]:
            raise PolicyError("no server")

    with pytest.raises(RunError, match="question 'q0' could not be rolled out"):
        try_questions(Broken(), QUESTIONS, SETUP, tmp_path, header=HEADER, at_once=1)
    assert (tmp_path / "tried.part.jsonl").read_text() == ""


def test_folder_of_another_selection_is_an_error(tmp_path: Path) -> None:
    try_questions(Late(), QUESTIONS[:1], SETUP, tmp_path, header=HEADER)
    with pytest.raises(RunError, match="holds another selection"):
        try_questions(Late(), QUESTIONS[:1], SETUP, tmp_path, header={"name": "other"})


def test_wrong_arguments_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at_once must be >= 1, got 0"):
        try_questions(Late(), QUESTIONS, SETUP, tmp_path, header=HEADER, at_once=0)
    with pytest.raises(ValueError, match="two with the same id"):
        try_questions(Late(), QUESTIONS[:1] * 2, SETUP, tmp_path, header=HEADER)


def test_published_mix_is_350_and_8148_questions() -> None:
    sums = [sum(sum(c.values()) for c in stage.values()) for stage in PUBLISHED_MIX.values()]
    assert sums == [350, 8148]


MANY = tuple(Question(f"m{i}", f"Question {i}?", ("Nile",)) for i in range(30))
TRIED = [Tried(f"m{i}", (3, 12, None)[i % 3]) for i in range(30)]


def test_pick_questions_of_each_difficulty_as_jsonl(tmp_path: Path) -> None:
    counts = {Difficulty.MEDIUM: 4, Difficulty.DIFFICULT: 2}
    picked = pick_questions(MANY, TRIED, counts, seed=3)
    assert [question.metadata["rollouts"] for question in picked] == [12] * 4 + [None] * 2
    assert [question.metadata["difficulty"] for question in picked[3:5]] == ["medium", "difficult"]
    write_questions(tmp_path / "stage_2.jsonl", picked)
    assert read_questions(tmp_path / "stage_2.jsonl") == picked
    assert pick_questions(MANY, TRIED, {Difficulty.MEDIUM: 2}, seed=3) == picked[:2]
    assert pick_questions(MANY, TRIED, counts, seed=4) != picked


def test_pick_too_few_questions_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 11 medium questions, got 10: try more"):
        pick_questions(MANY, TRIED, {Difficulty.MEDIUM: 11})
