"""Tool calls as JSON: the Hermes text format and OpenAI's assistant messages.

Sources: the function-calling format of the NousResearch Hermes models, which Qwen's chat templates
use too, and the chat completions format of OpenAI. The final answer is ``<answer>...</answer>`` in
the text in both, so that one scorer serves every protocol. Differences:

1. A move with several calls is all or nothing: one broken call makes the whole move invalid, and
   none of its calls is run.
2. Calls are checked strictly: the known keys only, each once, a query that is a string.
3. Calls and an answer in one move are a mistake, as is ``<tool_response>`` or the start or end of
   a chat turn written by the agent.
4. The results of a Hermes move come in one ``user`` message, as in Qwen's template, and not in a
   ``tool`` message each.
"""

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from searchenv.protocols.base import ChatTemplate, Message, Mode, Parsed, TextProtocol, parse_tags
from searchenv.types import Act, Answer, Fault, Invalid, ToolCall

__all__ = ["SEARCH_SCHEMA", "ToolCalls", "ToolFormat"]

SEARCH_SCHEMA: Mapping[str, object] = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search for passages that help to answer the question.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string", "description": "What to search for."}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
}
"""The JSON schema of ``search(query)`` as chat servers take it."""

_TAGS = re.compile(r"<(/?)(tool_call|tool_response|answer)>")
_FORBIDDEN = frozenset({"tool_response"})
_ROLES = ("system", "user", "assistant", "tool")
_INSTRUCTIONS = (
    "Answer the question. If you lack a fact, search for it with the function search, as often as "
    "you need; one message may hold several searches. When you know the answer, give it, short and "
    "without explanation, inside <answer> and </answer>, for example <answer>Paris</answer>."
)
_HERMES_INSTRUCTIONS = (
    f"{_INSTRUCTIONS}\n\nThe functions, one JSON schema a line:\n<tools>\n"
    f"{json.dumps(SEARCH_SCHEMA)}\n</tools>\n\nTo call a function, write its name and arguments as "
    'JSON:\n<tool_call>\n{"name": "search", "arguments": {"query": "..."}}\n</tool_call>\n'
    "Each result comes back between <tool_response> and </tool_response>."
)


class ToolFormat(StrEnum):
    """How calls and results are written."""

    HERMES = "hermes"
    """``<tool_call>`` blocks in the agent's text, ``<tool_response>`` blocks in a user message."""
    OPENAI = "openai"
    """The agent's text is an assistant message as JSON; each result is a ``tool`` message."""


class ToolCalls(TextProtocol):
    """Several searches a move as JSON tool calls, in a chat.

    Args:
        format: ``hermes`` or ``openai``.
        max_calls_per_move: the most calls that one move may hold, at least 1.
        system_prompt: see :class:`TextProtocol`.
        template: see :class:`TextProtocol`; ChatML if not given.

    Raises:
        ValueError: the format is unknown or ``max_calls_per_move`` is below 1.
    """

    mode = Mode.CHAT
    include_stop = False

    def __init__(
        self,
        format: ToolFormat | str = ToolFormat.HERMES,
        *,
        max_calls_per_move: int = 8,
        system_prompt: Path | None = None,
        template: ChatTemplate | None = None,
    ) -> None:
        if max_calls_per_move < 1:
            raise ValueError(f"max_calls_per_move must be >= 1, got {max_calls_per_move}")
        self.format = ToolFormat(format)
        self.max_calls_per_move = max_calls_per_move
        if self.format is ToolFormat.HERMES:
            self.name = "tool_calls"
            self.instructions = _HERMES_INSTRUCTIONS
            self.frame = ("<tool_response>\n", "\n</tool_response>")
            self.how_to = (
                'To search, write <tool_call>{"name": "search", "arguments": {"query": "..."}}'
                "</tool_call>. To answer, write <answer>answer</answer>."
            )
        else:
            self.name = "tool_calls_openai"
            self.instructions = _INSTRUCTIONS
            self.tool_schemas = (SEARCH_SCHEMA,)
            self.frame = ("", "")
            self.how_to = (
                "To search, call the function search with a query. "
                "To answer, write <answer>answer</answer>."
            )
        super().__init__(system_prompt=system_prompt, template=template)
        assert self.template is not None
        end = self.template.end.strip()
        self.stop = (end,) if end else ()
        starts = (self.template.start.replace("{role}", role).strip() for role in _ROLES)
        self._turn_marks = tuple(mark for mark in (end, *starts) if mark)

    def parse(self, text: str, *, cut: bool = False) -> Parsed:
        """Returns all calls in ``text``, or the one answer; one broken call spoils the move."""
        if self.format is ToolFormat.HERMES:
            return self._parse_hermes(text)
        return Parsed(self._parse_openai(text), len(text))

    def write(self, move: Act | Answer, thought: str) -> str:
        """Returns the thought followed by the calls or the answer."""
        if self.format is ToolFormat.OPENAI:
            return _write_openai(move, thought)
        lead = f"{thought}\n" if thought else ""
        if isinstance(move, Answer):
            return f"{lead}<answer>{move.text}</answer>"
        # "<" occurs in strings only: escaped, a query may hold tags.
        blocks = [
            _dump({"name": c.tool, "arguments": {"query": c.query}}).replace("<", "\\u003c")
            for c in move.calls
        ]
        return lead + "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)

    def results(self, calls: Sequence[ToolCall], blocks: Sequence[str]) -> list[Message]:
        """Returns one user message with all blocks, or a tool message for each."""
        if self.format is ToolFormat.HERMES:
            return [Message("user", "\n".join(blocks))]
        return [
            Message("tool", block, {"tool_call_id": call.id})
            for call, block in zip(calls, blocks, strict=True)
        ]

    def agent_message(self, written: str) -> Message:
        """Returns the agent's text as a chat message.

        In the OpenAI format the calls of a valid move become ``tool_calls``. An invalid move stays
        plain text: chat servers refuse calls that nothing answers.
        """
        if self.format is ToolFormat.OPENAI:
            move = self._parse_openai(written)
            if not isinstance(move, Invalid):
                body = json.loads(written)
                extra = {"tool_calls": body["tool_calls"]} if isinstance(move, Act) else {}
                return Message("assistant", body.get("content") or "", extra)
        return Message("assistant", written)

    def _parse_hermes(self, text: str) -> Parsed:
        elements = self._elements(text)
        if isinstance(elements, Invalid):
            return Parsed(elements, len(text))
        answers = [content for name, content, _ in elements if name == "answer"]
        calls = [content for name, content, _ in elements if name == "tool_call"]
        end = elements[-1][2] if elements else len(text)
        if fault := self._count_fault(len(calls), len(answers)):
            return Parsed(fault, len(text))
        if answers:
            return Parsed(_answer(answers[0]), end)
        parsed: list[ToolCall] = []
        for i, block in enumerate(calls, start=1):
            call = _hermes_call(block, f"call {i}")
            if isinstance(call, Invalid):
                return Parsed(call, len(text))
            parsed.append(call)
        return Parsed(Act(tuple(parsed)), end)

    def _parse_openai(self, text: str) -> Act | Answer | Invalid:
        body = self._forged_turn(text) or _load(text, "the message")
        if isinstance(body, Invalid):
            return body
        content = body.get("content")
        calls = body.get("tool_calls")
        if (
            body.get("role", "assistant") != "assistant"
            or not isinstance(content, str | None)
            or not isinstance(calls, list | None)
        ):
            return Invalid(
                Fault.BAD_JSON, "expected an assistant message with content and tool_calls"
            )
        elements = self._elements(content or "")
        if isinstance(elements, Invalid):
            return elements
        answers = [inner for name, inner, _ in elements if name == "answer"]
        if fault := self._count_fault(len(calls or ()), len(answers)):
            return fault
        return _answer(answers[0]) if answers else _openai_calls(calls or [])

    def _elements(self, text: str) -> list[tuple[str, str, int]] | Invalid:
        return self._forged_turn(text) or parse_tags(text, _TAGS, forbidden=_FORBIDDEN)

    def _forged_turn(self, text: str) -> Invalid | None:
        for mark in self._turn_marks:
            if mark in text:
                at = text.index(mark)
                return Invalid(Fault.FORGED_OBSERVATION, f"{mark} at character {at}")
        return None

    def _count_fault(self, num_calls: int, num_answers: int) -> Invalid | None:
        if not num_calls and not num_answers:
            return Invalid(Fault.NO_ACTION, "found neither a call nor an answer")
        if num_answers > 1 or (num_answers and num_calls) or num_calls > self.max_calls_per_move:
            return Invalid(
                Fault.SEVERAL_ACTIONS,
                f"found {num_calls} calls and {num_answers} answers; "
                f"expected 1 to {self.max_calls_per_move} calls or 1 answer",
            )
        return None


def _write_openai(move: Act | Answer, thought: str) -> str:
    if isinstance(move, Answer):
        lead = f"{thought}\n" if thought else ""
        return _dump({"role": "assistant", "content": f"{lead}<answer>{move.text}</answer>"})
    calls = [
        {
            "id": call.id or f"call_{i}",
            "type": "function",
            "function": {"name": call.tool, "arguments": _dump({"query": call.query})},
        }
        for i, call in enumerate(move.calls, start=1)
    ]
    return _dump({"role": "assistant", "content": thought, "tool_calls": calls})


def _hermes_call(block: str, where: str) -> ToolCall | Invalid:
    body = _load(block, where)
    if isinstance(body, Invalid):
        return body
    if body.keys() != {"name", "arguments"}:
        return Invalid(Fault.BAD_JSON, f"{where}: expected exactly the keys name and arguments")
    return _call(body["name"], body["arguments"], "", where)


def _openai_calls(entries: Sequence[object]) -> Act | Invalid:
    calls: list[ToolCall] = []
    for i, entry in enumerate(entries, start=1):
        call = _openai_call(entry, f"call {i}")
        if isinstance(call, Invalid):
            return call
        calls.append(call)
    if len({call.id for call in calls}) < len(calls):
        return Invalid(Fault.BAD_JSON, "two calls have the same id")
    return Act(tuple(calls))


def _openai_call(entry: object, where: str) -> ToolCall | Invalid:
    function = entry.get("function") if isinstance(entry, dict) else None
    if (
        not isinstance(entry, dict)
        or not isinstance(function, dict)
        or entry.get("type", "function") != "function"
        or not isinstance(entry.get("id"), str)
        or not entry["id"]
        or function.keys() != {"name", "arguments"}
        or not isinstance(function["arguments"], str)
    ):
        return Invalid(
            Fault.BAD_JSON, f"{where}: expected an id and a function with name and arguments"
        )
    arguments = _load(function["arguments"], f"the arguments of {where}")
    if isinstance(arguments, Invalid):
        return arguments
    return _call(function["name"], arguments, entry["id"], where)


def _call(name: object, arguments: object, call_id: str, where: str) -> ToolCall | Invalid:
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return Invalid(Fault.BAD_JSON, f"{where}: name must be a string, arguments an object")
    if name != "search":
        return Invalid(Fault.UNKNOWN_TOOL, f"{where}: {name[:40]!r} is not a tool; use 'search'")
    if arguments.keys() != {"query"} or not isinstance(arguments["query"], str):
        return Invalid(Fault.BAD_JSON, f"{where}: expected one argument, query, a string")
    query = arguments["query"].strip()
    return ToolCall("search", query, id=call_id) if query else Invalid(Fault.EMPTY_QUERY, where)


def _answer(content: str) -> Answer | Invalid:
    text = content.strip()
    return Answer(text) if text else Invalid(Fault.EMPTY_ANSWER)


def _load(text: str, where: str) -> dict[str, object] | Invalid:
    try:
        body = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Invalid(Fault.BAD_JSON, f"{where}: {reason[:200]}")
    if not isinstance(body, dict):
        return Invalid(Fault.BAD_JSON, f"{where}: expected a JSON object")
    return body


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# Numbers of any size are read as floats: no call uses one, and a huge int takes quadratic time.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=float)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
