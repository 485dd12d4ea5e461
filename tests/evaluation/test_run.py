"""Runs in folders: what is written, and that an interrupted run ends like one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError, QuestionError, RunError
from searchenv.evaluation import Record, Run, Setup, read_run, run_header, run_questions
from searchenv.policies import IterativePolicy, RandomPolicy
from searchenv.protocols import get_protocol
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Limits, Question, StopReason, Written


@pytest.fixture
def setup(keyword_retriever: Retriever) -> Setup:
    return Setup(
        tools={"search": RetrieverTool(keyword_retriever, 2)},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=4),
        scorers=("em", "f1_hotpot"),
    )


def many(questions: Sequence[Question], copies: int) -> list[Question]:
    return [
        Question(f"{q.id}-{i:03d}", q.text, q.answers, gold=q.gold)
        for i in range(copies)
        for q in questions
    ]


def start(
    out: Path, questions: Sequence[Question], setup: Setup, policy: object = None, **more: bool
) -> Run:
    policy = policy or RandomPolicy()
    header = run_header(
        questions, setup, name="test", policy={"name": "random"}, retriever={"k": 2}
    )
    return run_questions(policy, questions, setup, out, header=header, **more)  # type: ignore[arg-type]


def test_a_run_is_read_back_in_the_order_of_its_questions(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    run = start(tmp_path, questions, setup, IterativePolicy())
    assert run.complete
    assert [record.key for record in run.records] == [("q1", 0), ("q2", 0), ("q3", 0)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".lock",
        "header.json",
        "results.jsonl",
        "sessions.json",
    ]
    first = run.records[0]
    assert first.result.question == questions[0]
    assert first.scores == {"em": 1.0, "f1_hotpot": 1.0}
    assert first.outcome.gold_recall == 1.0
    assert first.hits[0][0][0].passage.title == "Velmara Nights"
    assert Record.of_dict(json.loads(json.dumps(first.to_dict()))) == first


def test_the_transcript_of_a_record_is_that_of_the_episode(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    (first, *_) = start(tmp_path, questions, setup, IterativePolicy()).records
    transcript = "".join(segment.text for segment in first.result.segments)
    assert questions[0].text in transcript
    assert transcript.endswith("<answer> Dunmarrow </answer>")


def test_samples_of_a_question_differ_and_are_the_same_again(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    from dataclasses import replace

    setup = replace(setup, samples=8)
    one = start(tmp_path / "one", questions, setup)
    two = start(tmp_path / "two", questions, setup)
    assert one.records == two.records
    assert [record.key for record in one.records[:9]] == [
        *(("q1", sample) for sample in range(8)),
        ("q2", 0),
    ]
    assert len({str(record.result.turns) for record in one.records[:8]}) > 1
    other = start(tmp_path / "other", questions, replace(setup, seed=1))
    assert other.records != one.records


def test_the_number_of_episodes_in_flight_changes_nothing(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    some = many(questions, 10)
    header = {"any": 1}
    for num_envs in (1, 7, 64):
        out = tmp_path / str(num_envs)
        run_questions(RandomPolicy(), some, setup, out, header=header, num_envs=num_envs)
    contents = {(tmp_path / n / "results.jsonl").read_bytes() for n in ("1", "7", "64")}
    assert len(contents) == 1


def test_a_half_written_line_is_played_again(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    start(tmp_path / "whole", questions, setup)
    whole = (tmp_path / "whole" / "results.jsonl").read_bytes()
    start(tmp_path / "cut", questions, setup)
    (tmp_path / "cut" / "results.jsonl").unlink()
    (tmp_path / "cut" / "results.part.jsonl").write_bytes(whole[: len(whole) - 100])
    assert not read_run(tmp_path / "cut").complete
    assert len(read_run(tmp_path / "cut").records) == 2
    run = start(tmp_path / "cut", questions, setup)
    assert (tmp_path / "cut" / "results.jsonl").read_bytes() == whole
    assert [session["played"] for session in run.sessions] == [3, 1]


def test_a_broken_line_is_an_error_with_its_number(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    start(tmp_path, questions, setup)
    with (tmp_path / "results.jsonl").open("ab") as stream:
        stream.write(b'{"id": "x"}\n')
    with pytest.raises(RunError, match=r"results\.jsonl, line 4: expected a record"):
        read_run(tmp_path)


def test_another_run_is_refused(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    start(tmp_path, questions, setup)
    with pytest.raises(RunError, match=r"holds another run \(questions: .*'n': 3.*'n': 2"):
        start(tmp_path, questions[:2], setup)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"it holds no header\.json"):
        read_run(tmp_path)


def test_results_without_a_header_are_not_touched(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    (tmp_path / "results.jsonl").write_text("mine\n")
    with pytest.raises(RunError, match=r"holds results\.jsonl without a header\.json"):
        start(tmp_path, questions, setup)
    assert (tmp_path / "results.jsonl").read_text() == "mine\n"


def test_ids_must_be_unique(tmp_path: Path, questions: Sequence[Question], setup: Setup) -> None:
    with pytest.raises(QuestionError, match="two questions have the id 'q1'"):
        start(tmp_path, [*questions, questions[0]], setup)


class Flaky:
    """A model's server that fails on one question, and says how its texts ended."""

    concurrency = 4

    def __init__(self, fails: str) -> None:
        self.fails = fails
        self.threads: set[str] = set()

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        (view,) = views
        self.threads.add(threading.current_thread().name)
        time.sleep(0.01)
        if view.question_id == self.fails:
            raise PolicyError("503 Service Unavailable")
        if not view.moves:
            return [f"<search> {view.question} </search>"]
        return [Written("<answer> Dunmarrow", cut=True, token_ids=(7, 8))]


def test_a_policy_that_fails_fails_its_question_only(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    policy = Flaky("q2")
    run = start(tmp_path, questions, setup, policy)
    assert [record.result.stop for record in run.records] == [
        StopReason.MAX_TURNS,
        StopReason.POLICY_ERROR,
        StopReason.MAX_TURNS,
    ]
    failed = run.records[1]
    assert failed.result.error == "PolicyError: 503 Service Unavailable"
    assert (failed.outcome.failed, failed.scores["em"], failed.outcome.terms) == (True, 0.0, {})
    assert run.records[0].result.segments[3].token_ids == (7, 8)
    assert len(policy.threads) > 1


def test_failed_questions_are_played_again_when_asked(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    start(tmp_path, questions, setup, Flaky("q2"))
    again = start(tmp_path, questions, setup, Flaky("none"))
    assert again.records[1].outcome.failed
    mended = start(tmp_path, questions, setup, Flaky("none"), retry_failed=True)
    assert not any(record.outcome.failed for record in mended.records)
    assert [session["played"] for session in mended.sessions] == [3, 1]


class Batched:
    """Writes for many views at a time, and fails if one of them is of a certain question."""

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        if any(view.question_id == "q2" for view in views):
            raise PolicyError("the prompt is too long")
        return ["<answer> Dunmarrow </answer>" for _ in views]


def test_a_failure_in_a_batch_is_found_by_asking_one_by_one(
    tmp_path: Path, questions: Sequence[Question], setup: Setup
) -> None:
    records = start(tmp_path, questions, setup, Batched()).records
    assert [record.outcome.failed for record in records] == [False, True, False]
    assert records[0].scores["em"] == 1.0


PLAY = """
import sys, time
from searchenv.evaluation import run_questions
from searchenv.policies import RandomPolicy
from tests_run_world import SETUP, QUESTIONS

class Slow(RandomPolicy):
    def act(self, views):
        time.sleep(0.004)
        return super().act(views)

print("started", flush=True)
run_questions(Slow(), QUESTIONS, SETUP, sys.argv[1], header={"run": 1}, num_envs=16)
"""
WORLD = """
from searchenv.evaluation import Setup
from searchenv.protocols import get_protocol
from searchenv.types import Hit, Limits, Observation, Passage, Question

class Words:
    def run(self, calls):
        return [Observation((Hit(Passage("p", "Issel", call.query), 1.0, 1),)) for call in calls]

QUESTIONS = [Question(f"q{i}", f"Which river is town {i} on?", ("Issel",)) for i in range(500)]
SETUP = Setup(tools={"search": Words()}, protocol=get_protocol("search_r1"),
              limits=Limits(max_turns=6), scorers=("em",))
"""


def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    (tmp_path / "tests_run_world.py").write_text(WORLD)
    (tmp_path / "play_run.py").write_text(PLAY)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def begin(out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "play_run.py"), str(out)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    def play_to_the_end(out: Path) -> None:
        with begin(out) as process:
            assert process.wait() == 0

    play_to_the_end(tmp_path / "whole")
    chance = random.Random(0)
    for _ in range(20):
        with begin(tmp_path / "killed") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
    play_to_the_end(tmp_path / "killed")
    files = [tmp_path / name / "results.jsonl" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(files[0].read_bytes().splitlines()) == 500
    sessions = json.loads((tmp_path / "killed" / "sessions.json").read_text())
    assert sum(session["seconds"] is None for session in sessions) >= 10
