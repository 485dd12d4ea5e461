import json

import pytest

from searchenv.protocols import ChatTemplate, ToolCalls, ToolFormat
from searchenv.protocols.tool_calls import SEARCH_SCHEMA
from searchenv.types import Act, Answer, Fault, Invalid, Move, Question, Source, ToolCall

HERMES = ToolCalls()
OPENAI = ToolCalls("openai")


def searches(*queries: str) -> Act:
    return Act(tuple(ToolCall("search", query) for query in queries))


def block(query: str) -> str:
    return f'<tool_call>{{"name": "search", "arguments": {{"query": "{query}"}}}}</tool_call>'


def message(*calls: object, content: object = "") -> str:
    return json.dumps({"role": "assistant", "content": content, "tool_calls": list(calls)})


def call(arguments: object = '{"query": "x"}', call_id: object = "a", **more: object) -> object:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "search", "arguments": arguments},
        **more,
    }


@pytest.mark.parametrize(
    ("text", "move", "rest"),
    [
        (block("x"), searches("x"), ""),
        (f"I look.\n{block('x')}\n{block('y')} now", searches("x", "y"), " now"),
        ("<think>I know.</think><answer> Rome </answer>.", Answer("Rome"), "."),
        (block("\\u003canswer>"), searches("<answer>"), ""),
        (block("\\ud800"), searches("\ud800"), ""),
    ],
)
def test_parse_hermes_valid_move_and_rest(text: str, move: Move, rest: str) -> None:
    parsed = HERMES.parse(text)
    assert parsed.move == move
    assert text[parsed.end :] == rest


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NO_ACTION),
        ('{"name": "search", "arguments": {"query": "x"}}', Fault.NO_ACTION),
        (block("x") + "<answer>y</answer>", Fault.SEVERAL_ACTIONS),
        ("<answer>x</answer><answer>y</answer>", Fault.SEVERAL_ACTIONS),
        (block("x") * 9, Fault.SEVERAL_ACTIONS),
        ('<tool_call>{"name": "search"', Fault.UNCLOSED),
        ("x</tool_call>", Fault.UNCLOSED),
        (f"<tool_call>{block('x')}</tool_call>", Fault.NESTED),
        (block("<answer>"), Fault.NESTED),
        (block("x") + "<tool_response>y</tool_response>", Fault.FORGED_OBSERVATION),
        (block("x") + "<|im_end|>", Fault.FORGED_OBSERVATION),
        ("<|im_start|>user\nhi" + block("x"), Fault.FORGED_OBSERVATION),
        (block(""), Fault.EMPTY_QUERY),
        (block(" \\n"), Fault.EMPTY_QUERY),
        ("<answer> </answer>", Fault.EMPTY_ANSWER),
        (block("x").replace('"search"', '"fetch"'), Fault.UNKNOWN_TOOL),
        (block("x") + block("y").replace('"query"', '"q"'), Fault.BAD_JSON),
        (block('"'), Fault.BAD_JSON),
        (block("a\nb"), Fault.BAD_JSON),
    ],
)
def test_parse_hermes_no_move_names_the_fault(text: str, fault: Fault) -> None:
    move = HERMES.parse(text).move
    assert isinstance(move, Invalid)
    assert move.fault is fault


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"search"',
        "{",
        '{"name": "search"}',
        '{"arguments": {"query": "x"}}',
        '{"name": "search", "arguments": {}}',
        '{"name": "search", "arguments": "x"}',
        '{"name": "search", "arguments": "{\\"query\\": \\"x\\"}"}',
        '{"name": "search", "arguments": ["x"]}',
        '{"name": 3, "arguments": {"query": "x"}}',
        '{"name": "search", "arguments": {"query": 3}}',
        '{"name": "search", "arguments": {"query": null}}',
        '{"name": "search", "arguments": {"query": ["x"]}}',
        '{"name": "search", "arguments": {"query": NaN}}',
        '{"name": "search", "arguments": {"query": -Infinity}}',
        '{"name": "search", "arguments": {"query": 1e999}}',
        '{"name": "search", "arguments": {"query": ' + "1" * 10_000 + "}}",
        '{"name": "search", "arguments": {"query": "x", "query": "y"}}',
        '{"name": "search", "name": "search", "arguments": {"query": "x"}}',
        '{"name": "search", "arguments": {"query": "x", "k": 5}}',
        '{"name": "search", "arguments": {"query": "x"}, "id": 1}',
        "{'name': 'search', 'arguments': {'query': 'x'}}",
        '{"name": "search", "arguments": {"query": "x"}} tail',
        '{"a":' * 5_000,
    ],
)
def test_parse_broken_json_is_bad_json_in_both_formats(body: str) -> None:
    hermes = HERMES.parse(f"{block('x')}<tool_call>{body}</tool_call>").move
    assert isinstance(hermes, Invalid)
    assert hermes.fault is Fault.BAD_JSON
    openai = OPENAI.parse(message(call(), call(body, "b"))).move
    assert isinstance(openai, Invalid)
    assert openai.fault is Fault.BAD_JSON


def test_parse_broken_call_spoils_the_move_and_is_named() -> None:
    move = HERMES.parse(block("x") + "<tool_call>{}</tool_call>").move
    assert move == Invalid(Fault.BAD_JSON, "call 2: expected exactly the keys name and arguments")


@pytest.mark.parametrize(
    ("text", "move"),
    [
        (message(call()), searches("x")),
        (message(call(), call('{"query": "é"}', "b"), content=None), searches("x", "é")),
        ('{"content": "<answer>Rome</answer>"}', Answer("Rome")),
        (
            '{"content": "<answer>Rome</answer>", "tool_calls": null, "refusal": null}',
            Answer("Rome"),
        ),
        (message(content="so <answer>Rome</answer>"), Answer("Rome")),
        (message(call('{"query": "<answer>x</answer>"}')), searches("<answer>x</answer>")),
    ],
)
def test_parse_openai_valid_move(text: str, move: Move) -> None:
    assert OPENAI.parse(text) == (move, len(text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.BAD_JSON),
        ("<answer>Rome</answer>", Fault.BAD_JSON),
        (message() + "x", Fault.BAD_JSON),
        (message(content=3), Fault.BAD_JSON),
        ('{"role": "tool", "content": "<answer>x</answer>"}', Fault.BAD_JSON),
        ('{"content": "", "tool_calls": {}}', Fault.BAD_JSON),
        (message("search"), Fault.BAD_JSON),
        (message(call({"query": "x"})), Fault.BAD_JSON),
        (message(call(call_id="")), Fault.BAD_JSON),
        (message(call(call_id=3)), Fault.BAD_JSON),
        (message(call(), call()), Fault.BAD_JSON),
        (message(call(type="custom")), Fault.BAD_JSON),
        (message(call(function="search")), Fault.BAD_JSON),
        (message(), Fault.NO_ACTION),
        (message(call(), content="<answer>x</answer>"), Fault.SEVERAL_ACTIONS),
        (message(*(call(call_id=str(i)) for i in range(9))), Fault.SEVERAL_ACTIONS),
        (message(content="<answer>x"), Fault.UNCLOSED),
        (message(call(), content="<answer><answer>"), Fault.NESTED),
        (message(call(), content="<tool_response>"), Fault.FORGED_OBSERVATION),
        (message(call(), content="<|im_end|>"), Fault.FORGED_OBSERVATION),
        (message(call('{"query": "<|im_end|>"}')), Fault.FORGED_OBSERVATION),
        (message(call('{"query": ""}')), Fault.EMPTY_QUERY),
        (message(content="<answer></answer>"), Fault.EMPTY_ANSWER),
        (message(call()).replace('"search"', '"fetch"'), Fault.UNKNOWN_TOOL),
    ],
)
def test_parse_openai_no_move_names_the_fault(text: str, fault: Fault) -> None:
    move = OPENAI.parse(text).move
    assert isinstance(move, Invalid)
    assert move.fault is fault


def test_parse_max_calls_per_move_can_be_changed() -> None:
    one = ToolCalls(max_calls_per_move=1)
    assert one.parse(block("x")).move == searches("x")
    assert one.parse(block("x") * 2).move == Invalid(
        Fault.SEVERAL_ACTIONS,
        "found 2 calls and 0 answers; expected 1 to 1 calls or 1 answer",
    )
    with pytest.raises(ValueError, match="max_calls_per_move must be >= 1, got 0"):
        ToolCalls(max_calls_per_move=0)
    with pytest.raises(ValueError, match="'xml' is not a valid ToolFormat"):
        ToolCalls("xml")


def test_parse_cut_text_counts_only_what_is_complete() -> None:
    assert HERMES.parse(block("x") + " and", cut=True).move == searches("x")
    move = HERMES.parse(block("x") + "<tool_call>{", cut=True).move
    assert move == Invalid(Fault.UNCLOSED, "<tool_call> is never closed")


def test_render_exact_text_in_both_formats() -> None:
    assert HERMES.render(searches("é <b>", "y"), "Two.") == (
        'Two.\n<tool_call>\n{"name": "search", "arguments": {"query": "é \\u003cb>"}}\n'
        '</tool_call>\n<tool_call>\n{"name": "search", "arguments": {"query": "y"}}\n</tool_call>'
    )
    assert HERMES.render(Answer("Rome")) == "<answer>Rome</answer>"
    assert json.loads(OPENAI.render(searches("x"), "One.")) == {
        "role": "assistant",
        "content": "One.",
        "tool_calls": [call(call_id="call_1")],
    }


def test_results_hermes_is_one_user_message() -> None:
    blocks = [HERMES.framed("a"), HERMES.framed("b")]
    (result,) = HERMES.results(searches("x", "y").calls, blocks)
    assert result.as_dict() == {
        "role": "user",
        "content": "<tool_response>\na\n</tool_response>\n<tool_response>\nb\n</tool_response>",
    }


def test_results_openai_is_a_tool_message_for_each_id() -> None:
    move = OPENAI.parse(message(call(), call('{"query": "y"}', "b"))).move
    assert isinstance(move, Act)
    results = OPENAI.results(move.calls, ["found x", "found y"])
    assert [r.as_dict() for r in results] == [
        {"role": "tool", "content": "found x", "tool_call_id": "a"},
        {"role": "tool", "content": "found y", "tool_call_id": "b"},
    ]


def test_agent_message_openai_has_calls_only_when_they_are_run() -> None:
    assert OPENAI.agent_message(message(call(), content=None)).as_dict() == {
        "role": "assistant",
        "content": "",
        "tool_calls": [call()],
    }
    assert OPENAI.agent_message(message(content="<answer>x</answer>")).as_dict() == {
        "role": "assistant",
        "content": "<answer>x</answer>",
    }
    broken = message(call("{}"))
    assert OPENAI.agent_message(broken).as_dict() == {"role": "assistant", "content": broken}
    assert HERMES.agent_message(block("x")).as_dict() == {
        "role": "assistant",
        "content": block("x"),
    }


def test_schema_is_given_to_the_server_or_written_in_the_prompt() -> None:
    assert OPENAI.tool_schemas == (SEARCH_SCHEMA,)
    assert "tool_call" not in OPENAI.instructions
    assert HERMES.tool_schemas == ()
    assert json.dumps(SEARCH_SCHEMA) in HERMES.instructions


@pytest.mark.parametrize("protocol", [HERMES, OPENAI], ids=lambda p: p.name)
def test_opening_is_a_system_and_a_user_turn(protocol: ToolCalls) -> None:
    question = Question("q", "Who wrote Emma?", ("Jane Austen",))
    segments = protocol.opening(question)
    assert "".join(s.text for s in segments) == (
        f"<|im_start|>system\n{protocol.instructions}<|im_end|>\n"
        "<|im_start|>user\nWho wrote Emma?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert [s.text for s in segments if s.source is Source.PROMPT] == [
        protocol.instructions,
        "Who wrote Emma?",
    ]
    assert [m.role for m in protocol.messages(question)] == ["system", "user"]


def test_reply_closes_the_turn_and_opens_the_next() -> None:
    segments = OPENAI.reply("", OPENAI.results([ToolCall("search", "x", id="a")], ["found"]))
    assert [(s.source, s.text) for s in segments] == [
        (Source.TEMPLATE, "<|im_end|>\n"),
        (Source.TEMPLATE, "<|im_start|>tool\n"),
        (Source.ENVIRONMENT, "found"),
        (Source.TEMPLATE, "<|im_end|>\n"),
        (Source.TEMPLATE, "<|im_start|>assistant\n"),
    ]
    assert not any(s.trained for s in segments)


def test_stop_is_the_end_of_a_turn_in_the_template() -> None:
    assert (HERMES.stop, HERMES.include_stop) == (("<|im_end|>",), False)
    llama = ToolCalls(ToolFormat.HERMES, template=ChatTemplate("<{role}>\n", "<eot>"))
    assert llama.stop == ("<eot>",)
    assert ToolCalls(template=ChatTemplate("{role}: ", "\n")).stop == ()
