import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.errors import ProtocolError
from searchenv.protocols import PROTOCOLS, TextProtocol, get_protocol
from searchenv.types import Act, Answer, Invalid, ToolCall

NAMES = [*PROTOCOLS, "searchenv.systems.r1_searcher:R1Searcher"]
ALL = [get_protocol(name) for name in NAMES]
EVERY_PROTOCOL = pytest.mark.parametrize("protocol", ALL, ids=lambda p: p.name)

FRAGMENTS = [
    "<search>",
    "</search>",
    "<answer>",
    "</answer>",
    "<information>",
    "Action: Search[",
    "\nAction: Finish[",
    "\nObservation: ",
    "Search[",
    "[",
    "]",
    "<tool_call>",
    "</tool_call>",
    '{"name": "search", "arguments": {"query": "x"}}',
    "<tool_response>",
    '{"role": "assistant", "content": "',
    '"',
    "'",
    "\\",
    "{}",
    "<|begin_of_query|>",
    "<|end_of_query|>",
    "<|begin_of_documents|>",
    "<|im_end|>",
    "\n",
    "\r",
    "\u2028",
    " ",
    "\ud800",
    "\udc00",
    "é",
    "ﬁ",
]
any_text = st.lists(
    st.sampled_from(FRAGMENTS) | st.text(st.characters(), max_size=6), max_size=6
).map("".join)


@EVERY_PROTOCOL
@given(query=any_text, thought=any_text)
def test_render_search_parses_back_or_raises(
    protocol: TextProtocol, query: str, thought: str
) -> None:
    move = Act((ToolCall("search", query),))
    try:
        text = protocol.render(move, thought)
    except ProtocolError:
        return
    assert protocol.parse(text).move == move


@EVERY_PROTOCOL
@given(answer=any_text, thought=any_text)
def test_render_answer_parses_back_or_raises(
    protocol: TextProtocol, answer: str, thought: str
) -> None:
    try:
        text = protocol.render(Answer(answer), thought)
    except ProtocolError:
        return
    assert protocol.parse(text).move == Answer(answer)


@EVERY_PROTOCOL
@pytest.mark.parametrize("words", ["who wrote Emma?", "a [b] c", 'the "old" town', "x < 3 & y"])
def test_render_ordinary_words_can_be_expressed(protocol: TextProtocol, words: str) -> None:
    assert protocol.parse(protocol.render(Answer(words), "I know.")).move == Answer(words)
    if protocol.name != "r1_searcher":  # it drops double quotes from queries
        move = Act((ToolCall("search", words),))
        assert protocol.parse(protocol.render(move, "I look.")).move == move


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    "move",
    [
        Answer(""),
        Act(()),
        Act((ToolCall("search", " "),)),
        Act((ToolCall("fetch", "x"),)),
        Act((ToolCall("search", "x", image="a.png"),)),
        Act((ToolCall("search", "x", args={"k": 3}),)),
        Act(tuple(ToolCall("search", str(i)) for i in range(9))),
    ],
)
def test_render_what_has_no_form_raises(protocol: TextProtocol, move: Act | Answer) -> None:
    with pytest.raises(ProtocolError, match=r"cannot express|one search a move"):
        protocol.render(move)


@EVERY_PROTOCOL
@given(text=any_text, cut=st.booleans())
def test_parse_any_text_gives_a_move_and_an_end_inside(
    protocol: TextProtocol, text: str, cut: bool
) -> None:
    before = str(text)
    move, end = protocol.parse(text, cut=cut)
    assert isinstance(move, Act | Answer | Invalid)
    assert 0 <= end <= len(text)
    assert text == before
    protocol.agent_message(text)
    if isinstance(move, Act):
        assert all(call.query.strip() for call in move.calls)
    if isinstance(move, Answer):
        assert move.text.strip()


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    "unit",
    [
        "<search>",
        "<search></search>",
        "</search>",
        "<",
        "<answer>x</answer>",
        "Action:",
        "\nAction:",
        "\nAction: Search[",
        "\nObservation",
        "Action: Search[" + "]" * 9,
        "[",
        "]",
        "] ",
        " ",
        "\t\n",
        "9",
        "<tool_call>",
        '<tool_call>{"a":',
        '{"a":',
        "[[",
        "<|begin_of_query|>",
        "<|end_of_query|>",
        "<|begin_of_query|>x<|end_of_query|>",
    ],
)
@pytest.mark.parametrize(
    "head", ["", "Action: Search[", "<|begin_of_query|>", "Action ", "<answer>"]
)
def test_parse_100_kb_of_hostile_text_is_fast(protocol: TextProtocol, unit: str, head: str) -> None:
    text = head + unit * (100_000 // len(unit))
    start = time.process_time()
    protocol.parse(text)
    assert time.process_time() - start < 10  # seconds; a quadratic parser takes minutes


@pytest.mark.parametrize(
    "body",
    [
        "9" * 100_000,
        '{"name": "search", "arguments": {"query": ' + "9" * 100_000 + "}}",
        '{"name": "search", "arguments": ' + "[" * 100_000,
        '{"name": "search", "name": "' + "x" * 100_000 + '"}',
    ],
)
def test_parse_hostile_json_is_fast(body: str) -> None:
    start = time.process_time()
    for name, text in (
        ("tool_calls", f"<tool_call>{body}</tool_call>"),
        ("tool_calls_openai", body),
    ):
        assert isinstance(get_protocol(name).parse(text).move, Invalid)
    assert time.process_time() - start < 10  # seconds; a quadratic parser takes minutes
