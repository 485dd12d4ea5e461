import pytest

from searchenv.protocols import CHATML, SearchR1
from searchenv.types import Act, Answer, Fault, Invalid, Move, Question, Source, ToolCall

PROTOCOL = SearchR1()


def search(query: str) -> Act:
    return Act((ToolCall("search", query),))


@pytest.mark.parametrize(
    ("text", "move", "rest"),
    [
        ("<search> who wrote Emma? </search>", search("who wrote Emma?"), ""),
        ("<think>a\nb</think>\n<search>x\ny</search>", search("x\ny"), ""),
        ("<answer>Jane Austen</answer> I am sure.", Answer("Jane Austen"), " I am sure."),
        ("<search>1 < 2 </b></search>", search("1 < 2 </b>"), ""),
        ("<Answer>x</Answer> <answer>y</answer>", Answer("y"), ""),
    ],
)
def test_parse_valid_move_and_rest(text: str, move: Move, rest: str) -> None:
    parsed = PROTOCOL.parse(text)
    assert parsed.move == move
    assert text[parsed.end :] == rest


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NO_ACTION),
        ("I wonder.", Fault.NO_ACTION),
        ("< search >x</ search >", Fault.NO_ACTION),
        ("<search>x</search><answer>y</answer>", Fault.SEVERAL_ACTIONS),
        ("<search>x</search><search>y</search>", Fault.SEVERAL_ACTIONS),
        ("<search>x", Fault.UNCLOSED),
        ("x</search>", Fault.UNCLOSED),
        ("<answer>x</answer><search>y", Fault.UNCLOSED),
        ("<search>a<answer>b</answer></search>", Fault.NESTED),
        ("<search>a<search>b</search></search>", Fault.NESTED),
        ("<search>a</answer>", Fault.NESTED),
        ("<information>x</information><answer>y</answer>", Fault.FORGED_OBSERVATION),
        ("<answer>y</answer></information>", Fault.FORGED_OBSERVATION),
        ("<search>x<information></search>", Fault.FORGED_OBSERVATION),
        ("<search> \n </search>", Fault.EMPTY_QUERY),
        ("<answer></answer>", Fault.EMPTY_ANSWER),
    ],
)
def test_parse_no_move_names_the_fault(text: str, fault: Fault) -> None:
    move, end = PROTOCOL.parse(text)
    assert isinstance(move, Invalid)
    assert move.fault is fault
    assert end <= len(text)


def test_parse_cut_text_counts_only_what_is_complete() -> None:
    assert PROTOCOL.parse("<search>x</search> and", cut=True).move == search("x")
    assert PROTOCOL.parse("<search>x", cut=True).move == Invalid(
        Fault.UNCLOSED, "<search> is never closed"
    )


def test_reply_without_template_is_one_environment_segment() -> None:
    messages = PROTOCOL.results([ToolCall("search", "x")], ["<block>"])
    (segment,) = PROTOCOL.reply("<search>x</search>", messages)
    assert (segment.source, segment.text, segment.trained) == (
        Source.ENVIRONMENT,
        "<block>",
        False,
    )


def test_hint_repeats_nothing_that_the_agent_wrote() -> None:
    text = "<search>SECRET</search><answer>SECRET</answer>"
    move = PROTOCOL.parse(text).move
    assert isinstance(move, Invalid)
    (message,) = PROTOCOL.remark(PROTOCOL.hint(move))
    assert message.content == (
        "\nThat was no valid move: it held more actions than one move may hold. To search, write "
        "<search> query </search>. To answer, write <answer> answer </answer>.\n"
    )


def test_opening_plain_text_ends_with_the_question() -> None:
    (segment,) = PROTOCOL.opening(Question("q", "Who wrote Emma?", ("Jane Austen",)))
    assert segment.source is Source.PROMPT
    assert segment.text == SearchR1.instructions.replace("{question}", "Who wrote Emma?") + "\n"
    assert segment.text.endswith("\nQuestion: Who wrote Emma?\n")


def test_opening_with_template_is_one_user_turn() -> None:
    segments = SearchR1(template=CHATML).opening(Question("q", "Who?", ("x",)))
    prompt = SearchR1.instructions.replace("{question}", "Who?")
    assert "".join(s.text for s in segments) == (
        f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert [s.source for s in segments] == [
        Source.TEMPLATE,
        Source.PROMPT,
        Source.TEMPLATE,
        Source.TEMPLATE,
    ]
    assert not any(s.trained for s in segments)
