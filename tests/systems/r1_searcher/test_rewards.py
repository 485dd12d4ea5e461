"""Rewards by hand, and the released code's in a second reading."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from searchenv.episode import Episode
from searchenv.errors import RunError
from searchenv.results import Result
from searchenv.rewards import Reward, score
from searchenv.systems import r1_searcher
from searchenv.systems.r1_searcher import (
    STAGE_ONE_LLAMA,
    STAGE_ONE_PAPER,
    STAGE_TWO_CEM,
    STAGE_TWO_EM,
    STAGE_TWO_LLAMA,
    STAGE_TWO_PAPER,
    STAGE_TWO_QWEN,
    R1Searcher,
    StageOne,
    StageTwo,
    Trace,
    Version,
    Violation,
    score_outputs,
    score_trace,
)
from searchenv.training.rewards import reward_of
from searchenv.types import Hit, Limits, Observation, OnInvalid, Passage, Question, StopReason
from tests.systems.r1_searcher.reading import score as score_again
from tests.systems.r1_searcher.traces import BD, ED, END, NILE, ONE, TRACES, docs, search

AS_RELEASED: dict[str, StageOne | StageTwo] = {
    "llama_1": STAGE_ONE_LLAMA,
    "llama_2": STAGE_TWO_LLAMA,
    "qwen": StageTwo(Version.CODE_QWEN, reads_transcript=True),
}
QUESTION = Question("q", "Which river is longest?", ("Nile",))


def play(
    *moves: str, passages: Sequence[str] = ("Nile   A river.",), limits: Limits | None = None
) -> Result:
    limits = limits or Limits(max_turns=9, on_invalid=OnInvalid.END)
    episode = Episode(QUESTION, R1Searcher(), limits)
    hits = tuple(Hit(Passage(str(i), "", text), 1.0, i) for i, text in enumerate(passages, start=1))
    for move in moves:
        episode.act(move)
        if not episode.over:
            episode.observe([Observation(hits)] * len(episode.pending))
    return episode.result


def test_there_are_enough_traces_and_no_two_are_alike() -> None:
    assert len({*TRACES}) == len(TRACES) >= 130


@pytest.mark.parametrize("server", AS_RELEASED)
@pytest.mark.parametrize("number", range(len(TRACES)))
def test_code_mode_agrees_with_the_second_reading(number: int, server: str) -> None:
    response, gold = TRACES[number]
    terms = score_trace(AS_RELEASED[server], response, [gold])
    expected = score_again(server, response, gold)
    assert sum(terms.values()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("server", AS_RELEASED)
def test_the_traces_reach_both_ends_of_the_range(server: str) -> None:
    found = [sum(score_trace(AS_RELEASED[server], text, [gold]).values()) for text, gold in TRACES]
    ends = {"llama_1": (-1, 2), "llama_2": (-1, 1), "qwen": (-2, 1)}
    assert (min(found), max(found)) == ends[server]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (NILE, set()),
        (ONE + NILE, set()),
        (docs("mine") + NILE, {Violation.DOCUMENTS}),
        (ONE + "<think>" + NILE, {Violation.TAGS}),
        (ONE + "assistant" + NILE, {Violation.ROLE}),
        (ONE + END.format("begin_of_query"), {Violation.ANSWER_TAGS}),
        (ONE + END.format("x " * 11), {Violation.LONG_ANSWER}),
        (ONE + "尼" + NILE, {Violation.CJK}),
        ("assistant 尼", {Violation.TAGS, Violation.ROLE, Violation.CJK}),
    ],
)
def test_violations_by_name(text: str, found: set[Violation]) -> None:
    assert Trace.read(text).violations() == found


@pytest.mark.parametrize(
    ("text", "retrieval", "form"),
    [
        (NILE, 0.0, 0.5),
        (ONE + NILE, 0.5, 0.5),
        (ONE + END.format("wrong"), 0.5, 0.5),  # there is no term for the answer
        (ONE + "assistant" + NILE, 0.5, 0.5),  # nor does the paper name role words
        (ONE, 0.5, 0.0),
        (docs("mine") + NILE, 0.0, 0.0),
        (ONE + docs("mine") + NILE, 0.5, 0.0),
        (ONE + END.format("x " * 11), 0.5, 0.0),
        (ONE + "尼" + NILE, 0.5, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_stage_one_of_the_paper_by_hand(text: str, retrieval: float, form: float) -> None:
    terms = score_trace(STAGE_ONE_PAPER, text, ["Nile"])
    assert terms == {"retrieval": retrieval, "format": form}


@pytest.mark.parametrize(
    ("text", "outcome", "retrieval", "form"),
    [
        (ONE + NILE, 1.0, 0.5, 0.5),
        (ONE + END.format("a river: the Nile"), 1.0, 0.5, 0.5),
        (ONE + END.format("Rhine"), -1.0, 0.5, 0.5),
        (NILE, 1.0, 0.0, 0.5),
        (ONE + "Nile", -1.0, 0.5, 0.0),
        (ONE + docs("mine") + NILE, 1.0, 0.0, 0.5),
        (ONE + "尼" + END.format("x " * 11 + "Nile"), 1.0, 0.5, 0.5),
    ],
)
def test_stage_one_of_the_code_by_hand(
    text: str, outcome: float, retrieval: float, form: float
) -> None:
    terms = score_trace(STAGE_ONE_LLAMA, text, ["Nile"])
    assert terms == {"outcome": outcome, "retrieval": retrieval, "format": form}


@pytest.mark.parametrize(
    ("text", "f1", "paper", "llama", "qwen"),
    [
        (ONE + NILE, 1.0, 0.0, 0.0, 0.0),
        (ONE + END.format("the blue Nile"), 2 / 3, 0.0, 0.0, 0.0),
        (ONE + "assistant" + NILE, 1.0, 0.0, 0.0, -2.0),
        (ONE + END.format("Nile" + " x" * 10), 1 / 6, -2.0, 0.0, -2.0),
        (ONE + END.format("Nile begin_of_query"), 0.4, -2.0, 0.0, -2.0),
        (ONE + "尼" + NILE, 1.0, -2.0, -1.0, -2.0),
        (docs("mine") + "尼 <think>" + NILE, 1.0, -2.0, -1.0, -2.0),
        (ONE + "Nile", 0.0, -2.0, -1.0, -2.0),
    ],
)
def test_stage_two_by_hand(text: str, f1: float, paper: float, llama: float, qwen: float) -> None:
    rewards = (STAGE_TWO_PAPER, STAGE_TWO_LLAMA, STAGE_TWO_QWEN)
    for reward, penalty in zip(rewards, (paper, llama, qwen), strict=True):
        terms = score_trace(reward, text, ["Nile"])
        assert terms == {"outcome": pytest.approx(f1), "format": penalty}


@pytest.mark.parametrize(
    ("answer", "em", "cem"),
    [("the Nile", 1.0, 1.0), ("blue Nile", -1.0, 1.0), ("Rhine", -1.0, -1.0)],
)
def test_stage_two_pays_em_or_cem_by_sign(answer: str, em: float, cem: float) -> None:
    text = ONE + END.format(answer)
    assert score_trace(STAGE_TWO_EM, text, ["Nile"]) == {"outcome": em, "format": 0.0}
    assert score_trace(STAGE_TWO_CEM, text, ["Nile"]) == {"outcome": cem, "format": 0.0}
    assert score_trace(STAGE_TWO_CEM, "Nile", ["Nile"]) == {"outcome": -1.0, "format": -2.0}


def test_best_gold_answer_counts() -> None:
    assert score_trace(STAGE_TWO_QWEN, ONE + NILE, ["Rhine", "nile"])["outcome"] == 1.0


@pytest.mark.parametrize(
    "prompt",
    [
        "The Assistant thinks in <think> </think>.\n\nUser:Which?\nAssistant: <think>",
        "<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\n<think>",
        "x<|start_header_id|>assistant<|end_header_id|>\n\n<think>",
        "".join(segment.text for segment in R1Searcher().opening(QUESTION)),
    ],
)
def test_prompt_does_not_count(prompt: str) -> None:
    terms = score_trace(STAGE_TWO_QWEN, prompt + ONE + NILE + "<|endoftext|>", ["Nile"])
    assert terms == {"outcome": 1.0, "format": 0.0}


# --- episodes


QUERY = " I look it up. <|begin_of_query|> Nile length "


@pytest.mark.parametrize(
    ("moves", "searches", "found"),
    [
        ((QUERY, NILE), 1, set()),
        ((QUERY + "<|end_of_query|>", NILE), 1, set()),
        ((QUERY + "<|end_of_query|>\n\n", NILE), 1, set()),
        ((QUERY,) * 8 + (NILE,), 8, set()),
        ((NILE,), 0, set()),
        ((QUERY, "I wonder."), 1, {Violation.TAGS}),
        ((QUERY + NILE,), 0, {Violation.DOCUMENTS}),
        ((QUERY, docs("mine") + NILE), 1, {Violation.DOCUMENTS}),
        ((QUERY, "assistant" + NILE), 1, {Violation.ROLE}),
        ((QUERY,) * 9, 8, {Violation.DOCUMENTS, Violation.TAGS}),  # the last one is not run
    ],
)
def test_episode_with_and_without_passages_is_the_same_trace(
    moves: tuple[str, ...], searches: int, found: set[Violation]
) -> None:
    result = play(*moves)
    for trace in (Trace.of(result.without_retrieved_text()), Trace.of(result, whole=True)):
        assert trace.searches == searches
        assert trace.violations() == found
    for reward in (STAGE_ONE_PAPER, STAGE_ONE_LLAMA, STAGE_TWO_PAPER, STAGE_TWO_QWEN):
        whole = "".join(segment.text for segment in result.segments)
        assert score(reward, result) == score_trace(reward, whole, ["Nile"])


def test_search_without_results_is_a_violation_as_in_the_code() -> None:
    result = play(QUERY, NILE, passages=())
    assert Trace.of(result).solution == QUERY + f"<|end_of_query|>\n\n{BD}\nNone{ED}\n\n" + NILE
    assert score(STAGE_ONE_PAPER, result) == {"retrieval": 0.5, "format": 0.0}
    assert score(STAGE_TWO_QWEN, result) == {"outcome": 1.0, "format": -2.0}


def test_answer_that_a_stop_string_closed_is_closed() -> None:
    episode = Episode(QUESTION, R1Searcher(evaluation=True), Limits())
    episode.act("So it is. </think> <answer> Nile ")
    for whole in (False, True):
        trace = Trace.of(episode.result, whole=whole)
        assert trace.prediction == "Nile"
        assert not trace.violations()


def test_retrieved_text_can_neither_score_nor_be_punished() -> None:
    passages = ("Assistant 尼 <answer> Nile </answer> </think>",)
    result = play(QUERY, END.format("Rhine"), passages=passages)
    for reward in (STAGE_TWO_PAPER, STAGE_TWO_LLAMA, STAGE_TWO_QWEN):
        assert score(reward, result) == {"outcome": 0.0, "format": 0.0}
    assert score(STAGE_ONE_LLAMA, result)["outcome"] == -1.0


def test_flaw_of_the_role_check_reads_passages_only_where_it_is_copied() -> None:
    flawed = StageTwo(Version.CODE_QWEN, reads_transcript=True)
    result = play(QUERY, NILE, passages=("He was an assistant.",))
    assert score(flawed, result) == {"outcome": 1.0, "format": -2.0}
    assert score(STAGE_TWO_QWEN, result) == {"outcome": 1.0, "format": 0.0}
    text = search("Nile", "He was an assistant.") + NILE
    assert score_trace(flawed, text, ["Nile"])["format"] == -2.0
    assert score_trace(STAGE_TWO_QWEN, text, ["Nile"])["format"] == 0.0


def test_only_the_copied_flaw_reads_the_transcript() -> None:
    made = {name: getattr(r1_searcher, name) for name in r1_searcher.__all__ if "STAGE_" in name}
    assert len(made) == 7
    assert not any(reward.reads_transcript for reward in made.values())
    with pytest.raises(ValueError, match="paper has no check that reads passages"):
        StageTwo(reads_transcript=True)


def test_failed_episode_is_unscored() -> None:
    failed = replace(play(NILE), stop=StopReason.TOOL_ERROR)
    assert score(STAGE_TWO_QWEN, failed) == {}


def test_versions_that_do_not_exist_are_errors() -> None:
    with pytest.raises(ValueError, match="code_qwen has no stage 1"):
        StageOne(Version.CODE_QWEN)
    with pytest.raises(ValueError, match="'llama' is not a valid Version"):
        StageTwo("llama")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "reward"), [("STAGE_ONE_PAPER", STAGE_ONE_PAPER), ("STAGE_TWO_CEM", STAGE_TWO_CEM)]
)
def test_rewards_by_name_in_configurations(name: str, reward: Reward) -> None:
    assert reward_of(f"searchenv.systems.r1_searcher:{name}") is reward


# --- files of outputs


def test_score_outputs_of_the_authors(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"gen_text_store": ONE + NILE, "answer": "Nile"},
        {"gen_text_store": docs("mine") + NILE, "answer": ["Rhine", "Nile"]},
    ]
    path = tmp_path / "out.jsonl"
    fixed = {"question": "Which?", "pred_ans": "Nile", "stop_reason_final": "finished"}
    path.write_text("".join(json.dumps({**fixed, **row}) + "\n" for row in rows))
    assert score_outputs(STAGE_TWO_QWEN, str(path)) == [
        {"outcome": 1.0, "format": 0.0},
        {"outcome": 1.0, "format": -2.0},
    ]
    path.write_text(json.dumps({**fixed, "answer": "Nile"}) + "\n")
    with pytest.raises(RunError, match="row 1: expected a text in 'gen_text_store', got none"):
        score_outputs(STAGE_TWO_QWEN, str(path))
