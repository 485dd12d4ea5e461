"""Wrappers: the transcript as observation, and records that survive."""

import json
from pathlib import Path

import gymnasium as gym
import pyarrow.parquet as pq
import pytest

from searchenv.env import SearchQAEnv
from searchenv.retrieval import Retriever
from searchenv.types import Question
from searchenv.wrappers import RecordEpisodes, TranscriptObservation, write_parquet

SEARCH, RIGHT = "<search> Velmara Nights </search>", "<answer> Dunmarrow </answer>"


@pytest.fixture
def env(keyword_retriever: Retriever, questions: tuple[Question, ...]) -> SearchQAEnv:
    return SearchQAEnv(index=keyword_retriever, questions=questions)


def test_transcript_observation_is_everything_so_far(env: SearchQAEnv) -> None:
    wrapped = TranscriptObservation(env)
    prompt, _ = wrapped.reset(options={"question_id": "q1"})
    text, *_ = wrapped.step(SEARCH)
    assert text.startswith(prompt + SEARCH + "\n\n<information>Doc 1")
    final, *_ = wrapped.step(RIGHT)
    assert final == text + RIGHT
    assert final in wrapped.observation_space


def play(env: gym.Env[str, str], *texts: str) -> None:
    env.reset(options={"question_id": "q1"})
    for text in texts:
        env.step(text)


def test_records_are_complete_and_parquet_agrees(env: SearchQAEnv, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "episodes.jsonl"
    recorder = RecordEpisodes(env, path)
    play(recorder, SEARCH, "no \ud800 move", RIGHT)
    play(recorder, "<answer> Oslo </answer>")
    recorder.close()
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["question_id"] == "q1"
    assert first["golden_answers"] == ["Dunmarrow"]
    assert first["reward"] == 1.0
    assert first["terms"] == [{"name": "outcome", "value": 1.0}]
    assert [turn["move"] for turn in first["turns"]] == ["act", "invalid", "answer"]
    assert first["turns"][0]["hit_ids"] == [["p1"]]
    assert "".join(s["text"] for s in first["segments"]).count("no \ud800 move") == 1
    assert second["reward"] == 0.0

    table = tmp_path / "episodes.parquet"
    assert write_parquet(path, table) == 2
    rows = pq.read_table(table).to_pylist()
    assert rows[1] == second
    assert rows[0]["segments"][3]["text"] == "no ? move"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_records_continue_and_a_cut_line_is_left_out(env: SearchQAEnv, tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    for _ in range(2):
        recorder = RecordEpisodes(env, path)
        play(recorder, RIGHT)
        recorder.close()
    with path.open("a") as file:
        file.write('{"question_id": "q1", "tur')
    assert write_parquet(path, tmp_path / "out.parquet") == 2


def test_a_broken_line_is_reported_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text("{}\nnot json\n{}\n")
    with pytest.raises(ValueError, match=r"episodes.jsonl, line 2: expected JSON"):
        write_parquet(path, tmp_path / "out.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["episodes.jsonl"]


def test_wrappers_want_our_environment() -> None:
    wrapped = TranscriptObservation(gym.make("CartPole-v1"))
    with pytest.raises(TypeError, match="expected a SearchQAEnv below the wrapper"):
        wrapped.reset()
