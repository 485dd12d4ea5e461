"""The agent loop in verl's own base class, with a server that writes what a test wants."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from searchenv.integrations.verl.log import read_faults, read_log
from searchenv.integrations.verl.parquet import question_row
from searchenv.protocols import SearchR1
from searchenv.results import Result
from searchenv.types import Question, Terms
from searchenv.worlds import FactWorld

Write = Callable[[int], str]
"""From the number of a sample's turn to what is written in it."""

Play = Callable[..., tuple[list[Any], Any]]
"""Plays one group of samples; returns what verl gets of each, and the server of the first."""


class FewestSearches:
    """1 for the sample of a group that searched least, else 0."""

    reads_transcript = False

    def __call__(self, results: Sequence[Result]) -> list[Terms]:
        least = min(result.num_calls for result in results)
        return [{"fewest": float(result.num_calls == least)} for result in results]


@pytest.fixture
def question(world: FactWorld) -> Question:
    return world.split("train")[0]


def searcher(question: Question) -> Write:
    """Returns what searches once for the first fact, then answers rightly."""
    query = " 's ".join(question.text.split(" 's ")[:2])
    moves = [f"<search> {query} </search>", f"<answer> {question.answers[0]} </answer>"]
    return lambda turn: moves[turn]


def test_ids_masks_and_reward_are_those_of_the_episode(
    play: Play, random_model: Path, index: Path, question: Question
) -> None:
    write = searcher(question)
    (output,), server = play(random_model, str(index), question, [write])
    tokenizer = server.tokenizer
    moves = [tokenizer.encode(write(turn), add_special_tokens=False) for turn in (0, 1)]
    trained = [i for i, m in zip(output.response_ids, output.response_mask, strict=True) if m]
    assert trained == moves[0] + moves[1]
    assert output.response_ids[: len(moves[0])] == moves[0]
    observed = [i for i, m in zip(output.response_ids, output.response_mask, strict=True) if not m]
    text = tokenizer.decode(observed)
    assert text.startswith("\n\n<information>Doc 1")
    assert text.endswith("</information>\n\n")
    assert output.response_logprobs == [-0.5 * m for m in output.response_mask]
    assert server.prompts[0] == output.prompt_ids
    assert server.prompts[1] == output.prompt_ids + output.response_ids[: -len(moves[1])]
    assert server.asked[0]["stop"] == ["</search>", "</answer>"]
    assert output.reward_score == 1.0
    assert output.num_turns == 2
    extra = output.extra_fields
    assert (extra["min_global_steps"], extra["max_global_steps"]) == (3, 4)
    assert extra["reward_extra_info"] == {
        "em": 1.0,
        "f1_squad": 1.0,
        "term_outcome": 1.0,
        "searches": 1.0,
        "search_rate": 1.0,
        "valid_rate": 1.0,
    }


def test_what_a_server_wrote_after_the_stop_is_dropped(
    play: Play, random_model: Path, index: Path, question: Question
) -> None:
    right = searcher(question)(1)
    (output,), server = play(random_model, str(index), question, [lambda turn: f"{right} Bado"])
    assert server.tokenizer.decode(output.response_ids) == right
    assert output.reward_score == 1.0


def test_a_failed_tool_gives_no_trajectory_and_is_counted(
    play: Play, random_model: Path, question: Question, tmp_path: Path
) -> None:
    nobody = "http://127.0.0.1:9"
    writes = [searcher(question), lambda turn: "<answer> Bado </answer>"]
    (lost, kept), _ = play(random_model, nobody, question, writes, log=str(tmp_path))
    assert lost == []
    assert kept.num_turns == 1
    lines = sorted(read_log(tmp_path), key=lambda line: line["session"])
    assert [line["stop"] for line in lines] == ["tool_error", "answer"]
    assert "127.0.0.1:9" in lines[0]["error"]
    assert lines[0]["terms"] == {}


def test_a_full_response_ends_the_episode_unanswered(
    play: Play, random_model: Path, index: Path, question: Question, tmp_path: Path
) -> None:
    (output,), _ = play(
        random_model,
        str(index),
        question,
        [searcher(question)],
        response_length=20,
        log=str(tmp_path),
    )
    assert (len(output.response_ids), output.reward_score) == (20, 0.0)
    assert len(output.response_mask) == len(output.response_logprobs) == 20
    (line,) = read_log(tmp_path)
    assert line["stop"] == "max_tokens"


def test_a_prompt_that_is_too_long_gives_no_trajectory(
    play: Play, random_model: Path, index: Path, question: Question, tmp_path: Path
) -> None:
    writes = [searcher(question)]
    (output,), server = play(
        random_model, str(index), question, writes, prompt_length=2, log=str(tmp_path)
    )
    assert (output, server.prompts) == ([], [])
    (line,) = read_log(tmp_path)
    assert "raise data.max_prompt_length, which is 2" in line["error"]


def test_a_group_reward_sees_all_siblings_that_did_not_fail(
    play: Play, random_model: Path, index: Path, question: Question
) -> None:
    def raises(turn: int) -> str:
        raise OSError("the server is gone")

    writes: list[Write] = [searcher(question), lambda turn: "<answer> Bado </answer>"]
    reward = f"{FewestSearches.__module__}:FewestSearches"
    (first, second), _ = play(random_model, str(index), question, writes, group_reward=reward)
    assert first.extra_fields["reward_extra_info"]["term_fewest"] == 0.0
    assert second.extra_fields["reward_extra_info"]["term_fewest"] == 1.0
    with pytest.raises(OSError, match="the server is gone"):
        play(random_model, str(index), question, [*writes, raises], group_reward=reward)


def test_what_is_no_mistake_of_the_agent_is_noted_and_raised(
    play: Play, random_model: Path, index: Path, question: Question, tmp_path: Path
) -> None:
    def raises(turn: int) -> str:
        raise OSError("the server is gone")

    with pytest.raises(OSError, match="the server is gone"):
        play(random_model, str(index), question, [raises], log=str(tmp_path))
    (fault,) = read_faults(tmp_path).values()
    assert fault.rstrip().endswith("OSError: the server is gone")


def test_a_question_comes_back_out_of_its_row(question: Question) -> None:
    from searchenv.integrations.verl.parquet import read_question

    row = question_row(question, SearchR1(), index=5, split="val")
    extra = row["extra_info"]
    assert isinstance(extra, dict)
    assert read_question(json.loads(json.dumps(extra))) == question
    assert row["reward_model"] == {
        "style": "rule",
        "ground_truth": {"target": list(question.answers)},
    }
