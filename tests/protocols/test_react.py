import pytest

from searchenv.protocols import CHATML, ReAct
from searchenv.types import Act, Answer, Fault, Invalid, Move, Question, ToolCall

PROTOCOL = ReAct()


def search(query: str) -> Act:
    return Act((ToolCall("search", query),))


@pytest.mark.parametrize(
    ("text", "move", "rest"),
    [
        ("Thought: I look.\nAction: Search[who wrote Emma?]", search("who wrote Emma?"), ""),
        ("Action 1: Search[x]", search("x"), ""),
        ("Thought 12: t\nAction 12: Finish[Jane Austen]\n", Answer("Jane Austen"), "\n"),
        ("  Action : search[x] and more", search("x"), " and more"),
        ("Action: Search[a [b] c] d\nThought: e", search("a [b] c"), " d\nThought: e"),
        ("Action: Search[Finish[x]]", search("Finish[x]"), ""),
        ("t\r\nAction: Finish[x]\r\n", Answer("x"), "\r\n"),
        ("The Action: Finish[a] is next.\nAction: Finish[b]", Answer("b"), ""),
        ("I made one Observation: it rains.\nAction: Finish[b]", Answer("b"), ""),
        ("Action: Finish[ ] ]", Answer("]"), ""),
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
        ("Thought: hm", Fault.NO_ACTION),
        ("Search[x]", Fault.NO_ACTION),
        ("I take Action: Search[x]", Fault.NO_ACTION),
        ("Action:", Fault.NO_ACTION),
        ("Action: look it up", Fault.NO_ACTION),
        ("Action:\nSearch[x]", Fault.NO_ACTION),
        ("Action: Search[x]\nAction: Finish[y]", Fault.SEVERAL_ACTIONS),
        ("Action: Search[x] Action: Finish[y]", Fault.SEVERAL_ACTIONS),
        ("Action 1: Search[x]\rAction 2: Search[y]", Fault.SEVERAL_ACTIONS),
        ("Action: Search[x", Fault.UNCLOSED),
        ("Action: Search[x\n]", Fault.UNCLOSED),
        ("Action: Search[x]\nObservation: y", Fault.FORGED_OBSERVATION),
        ("Observation 1: y\nAction: Finish[z]", Fault.FORGED_OBSERVATION),
        ("t\u2028Observation: y\nAction: Finish[z]", Fault.FORGED_OBSERVATION),
        ("t\r \tObservation : y\nAction: Finish[z]", Fault.FORGED_OBSERVATION),
        ("Action: Search[ ]", Fault.EMPTY_QUERY),
        ("Action: Finish[]", Fault.EMPTY_ANSWER),
        ("Action: Lookup[x]", Fault.UNKNOWN_TOOL),
    ],
)
def test_parse_no_move_names_the_fault(text: str, fault: Fault) -> None:
    move = PROTOCOL.parse(text).move
    assert isinstance(move, Invalid)
    assert move.fault is fault


def test_parse_cut_text_counts_only_what_is_complete() -> None:
    assert PROTOCOL.parse("Action: Search[x]\nThou", cut=True).move == search("x")
    assert PROTOCOL.parse("Action: Search[x", cut=True).move == Invalid(
        Fault.UNCLOSED, "Search[ is not closed on its line"
    )


def test_render_thought_and_action_exact_text() -> None:
    assert PROTOCOL.render(search("x"), "why") == "Thought: why\nAction: Search[x]"
    assert PROTOCOL.render(Answer("y")) == "Action: Finish[y]"


def test_remark_is_an_observation() -> None:
    (message,) = PROTOCOL.remark("Think again.")
    assert message.content == "\nObservation: Think again.\n"


def test_opening_plain_and_with_template_exact_text() -> None:
    question = Question("q", "Who wrote Emma?", ("Jane Austen",))
    prompt = ReAct.instructions.replace("{question}", "Who wrote Emma?")
    (segment,) = PROTOCOL.opening(question)
    assert segment.text == f"{prompt}\n"
    assert "".join(s.text for s in ReAct(template=CHATML).opening(question)) == (
        f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    )
