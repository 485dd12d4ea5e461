from pathlib import Path

import pytest

from searchenv.episode import Episode
from searchenv.protocols import CHATML
from searchenv.systems.r1_searcher import (
    EVAL_K,
    EVAL_LIMITS,
    LLAMA3,
    TRAIN_K,
    TRAIN_LIMITS,
    TURN_TOKENS,
    PassageLayout,
    R1Searcher,
)
from searchenv.types import (
    Act,
    Answer,
    Fault,
    Invalid,
    Move,
    Observation,
    Passage,
    Question,
    Segment,
    Source,
    StopReason,
    ToolCall,
)

PROTOCOL = R1Searcher()
EVALUATION = R1Searcher(evaluation=True)
QUESTION = Question("q", "Who wrote {question}?", ("nobody",))
BLOCK = "<|begin_of_documents|>\n(1)Emma   A novel.\n<|end_of_documents|>\n\n"


def search(query: str) -> Act:
    return Act((ToolCall("search", query),))


@pytest.mark.parametrize(
    ("text", "move", "rest"),
    [
        ("I look. <|begin_of_query|> Emma author ", search("Emma author"), ""),
        ('<|begin_of_query|> "Emma"\n \t author\'s', search("Emma author's"), ""),
        ("<|begin_of_query|> a <|begin_of_query|> b", search("b"), ""),
        ("<|begin_of_query|>a<|end_of_query|> so", search("a"), " so"),
        ("I know. </think> <answer> Austen </answer> ok", Answer("Austen"), " ok"),
        ("<answer>a</answer> or <answer>b</answer>", Answer("b"), ""),
        ("<answer>a<answer>b</answer></answer>", Answer("b"), "</answer>"),
    ],
)
def test_parse_valid_move_and_rest(text: str, move: Move, rest: str) -> None:
    for protocol in (PROTOCOL, EVALUATION) if "'" not in text else (PROTOCOL,):
        parsed = protocol.parse(text)
        assert parsed.move == move
        assert text[parsed.end :] == rest


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NO_ACTION),
        ("I wonder.", Fault.NO_ACTION),
        ("<|begin_of_query|> a <|end_of_query|> <answer>b</answer>", Fault.SEVERAL_ACTIONS),
        ("<answer>b</answer> <|begin_of_query|> a", Fault.SEVERAL_ACTIONS),
        (
            "<|begin_of_query|>a<|end_of_query|><|begin_of_query|>b<|end_of_query|>",
            Fault.SEVERAL_ACTIONS,
        ),
        ("a<|end_of_query|>", Fault.UNCLOSED),
        ("<answer>a", Fault.UNCLOSED),
        ("<answer>a</answer><answer>b", Fault.UNCLOSED),
        ("a</answer>", Fault.UNCLOSED),
        ("<|begin_of_documents|>\n(1)x", Fault.FORGED_OBSERVATION),
        ("<answer>a</answer><|end_of_documents|>", Fault.FORGED_OBSERVATION),
        ('<|begin_of_query|> "" \n', Fault.EMPTY_QUERY),
        ("<|begin_of_query|>a <|begin_of_query|><|end_of_query|>", Fault.EMPTY_QUERY),
        ("<answer> </answer>", Fault.EMPTY_ANSWER),
    ],
)
def test_parse_no_move_names_the_fault(text: str, fault: Fault) -> None:
    move = PROTOCOL.parse(text).move
    assert isinstance(move, Invalid)
    assert move.fault is fault


def test_parse_cut_open_query_is_no_query() -> None:
    assert PROTOCOL.parse("<|begin_of_query|> a", cut=True).move == Invalid(
        Fault.UNCLOSED, "the tokens ran out inside the query"
    )
    closed = "<|begin_of_query|> a <|end_of_query|> b"
    assert PROTOCOL.parse(closed, cut=True).move == search("a")


def test_parse_evaluation_open_answer_is_an_answer_unless_cut() -> None:
    assert EVALUATION.parse("</think> <answer> Austen").move == Answer("Austen")
    assert EVALUATION.parse("<answer> Austen", cut=True).move == Invalid(
        Fault.UNCLOSED, "<answer> is never closed"
    )
    assert EVALUATION.parse("<answer> ").move == Invalid(Fault.EMPTY_ANSWER)


def test_parse_evaluation_removes_more_marks_from_queries() -> None:
    text = "<|begin_of_query|> 'Emma'\t\"author\"..."
    assert EVALUATION.parse(text).move == search("Emma author")


def test_stop_in_training_and_evaluation() -> None:
    assert PROTOCOL.stop == ("<|end_of_query|>",)
    assert EVALUATION.stop == ("<|end_of_query|>", "</answer>", "<|im_end|>", "<|endoftext|>")
    assert not PROTOCOL.include_stop


@pytest.mark.parametrize(
    ("written", "closing"),
    [
        ("I look. <|begin_of_query|> Emma", "<|end_of_query|>\n\n"),
        ("I look. <|begin_of_query|> Emma <|end_of_query|>", "\n\n"),
    ],
)
def test_reply_closing_tag_is_a_trained_segment_of_the_environment(
    written: str, closing: str
) -> None:
    messages = PROTOCOL.results([ToolCall("search", "Emma")], [BLOCK])
    assert PROTOCOL.reply(written, messages) == [
        Segment(Source.ENVIRONMENT, closing, trained=True),
        Segment(Source.ENVIRONMENT, BLOCK, trained=False),
    ]


def test_reply_agent_closed_query_and_paragraph_gets_the_documents_only() -> None:
    written = "<|begin_of_query|> Emma <|end_of_query|>\n\n"
    messages = PROTOCOL.results([ToolCall("search", "Emma")], [BLOCK])
    assert PROTOCOL.reply(written, messages) == [Segment(Source.ENVIRONMENT, BLOCK, trained=False)]


def test_reply_closing_tag_is_not_trained_when_switched_off() -> None:
    messages = PROTOCOL.results([ToolCall("search", "Emma")], [BLOCK])
    segments = R1Searcher(train_closing=False).reply("<|begin_of_query|> Emma", messages)
    assert [(s.text, s.trained) for s in segments] == [
        ("<|end_of_query|>\n\n", False),
        (BLOCK, False),
    ]


def test_reply_to_a_mistake_closes_nothing() -> None:
    assert PROTOCOL.reply("I wonder.", PROTOCOL.remark("Search.")) == [
        Segment(Source.ENVIRONMENT, "\nSearch.\n", trained=False)
    ]


def test_render_exact_text() -> None:
    assert PROTOCOL.render(search("Emma"), "I look.") == "I look. <|begin_of_query|> Emma"
    assert PROTOCOL.render(Answer("Austen"), "So.") == "So. </think> <answer> Austen </answer>"


@pytest.mark.parametrize(
    ("layout", "line"),
    [
        (PassageLayout.KILT, "(1)Emma   A novel.\n"),
        (PassageLayout.ABSTRACTS, "(1)Title: Emma Text:  A novel.\n"),
    ],
)
def test_render_passages_layouts(layout: PassageLayout, line: str) -> None:
    block = R1Searcher(layout=layout).render_passages([Passage("1", "Emma", "A novel.")], 400, len)
    assert block == f"<|begin_of_documents|>\n{line}<|end_of_documents|>\n\n"


def test_opening_plain_text_ends_inside_the_thought() -> None:
    (segment,) = PROTOCOL.opening(QUESTION)
    assert segment == Segment(
        Source.PROMPT,
        f"{R1Searcher.instructions}\n\nUser:Who wrote {{question}}?\nAssistant: <think>",
        trained=False,
    )


def test_opening_with_template_ends_inside_the_thought() -> None:
    segments = R1Searcher(template=CHATML).opening(QUESTION)
    assert "".join(s.text for s in segments) == (
        f"<|im_start|>system\n{R1Searcher.instructions}<|im_end|>\n"
        "<|im_start|>user\nWho wrote {question}?<|im_end|>\n<|im_start|>assistant\n<think>"
    )
    assert not any(s.trained for s in segments)


def test_opening_for_llama_instruct() -> None:
    text = "".join(s.text for s in R1Searcher(template=LLAMA3).opening(QUESTION))
    assert text == (
        f"<|start_header_id|>system<|end_header_id|>\n\n{R1Searcher.instructions}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWho wrote {question}?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n<think>"
    )


def test_opening_system_prompt_with_and_without_question(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Task.\n", encoding="utf-8")
    (segment,) = R1Searcher(system_prompt=path).opening(QUESTION)
    assert segment.text == "Task.\n\nUser:Who wrote {question}?\nAssistant: <think>"
    path.write_text("Task. User:{question}\nAssistant: <think>\n", encoding="utf-8")
    (segment,) = R1Searcher(system_prompt=path).opening(QUESTION)
    assert segment.text == "Task. User:Who wrote {question}?\nAssistant: <think>"


def test_constants_as_published() -> None:
    assert (TRAIN_K, EVAL_K, TURN_TOKENS) == (3, 5, 512)
    assert (TRAIN_LIMITS.max_turns, dict(TRAIN_LIMITS.max_calls)) == (9, {"search": 8})
    assert (EVAL_LIMITS.max_turns, dict(EVAL_LIMITS.max_calls)) == (9, {"search": 9})


def test_training_runs_eight_searches_and_gives_one_more_turn() -> None:
    episode = Episode(QUESTION, PROTOCOL, TRAIN_LIMITS)
    for number in range(8):
        episode.act(f"<|begin_of_query|> {number}")
        assert len(episode.pending) == 1
        episode.observe([Observation()])
    assert episode.awaits_move
    episode.act("<|begin_of_query|> 8")
    assert (episode.over, episode.result.stop) == (True, StopReason.MAX_TURNS)
    assert episode.result.calls == {"search": 8}
