"""ReAct's lines: ``Thought: ...``, ``Action: Search[query]`` and ``Action: Finish[answer]``.

Source: Yao et al. 2023, "ReAct: Synergizing Reasoning and Acting in Language Models", arXiv
2210.03629, section 3 and the reference prompts. Differences:

1. The instructions are our own wording, and there are no worked examples in them; give
   ``system_prompt`` to use the original.
2. ``Search`` is a search engine over passages. ``Lookup`` (find in page) does not exist.
3. The action is the one ``Action:`` line of the text, numbered or not. The query ends at the last
   ``]`` of the line, so it may hold brackets. Two ``Action:`` markers are a mistake, also when they
   stand on one line.
4. An ``Observation:`` line that the agent writes is a mistake; the reference relies on the stop
   string alone.
"""

import re

from searchenv.errors import ProtocolError
from searchenv.protocols.base import Message, Mode, Parsed, TextProtocol
from searchenv.types import Act, Answer, Fault, Invalid, Move, ToolCall

__all__ = ["ReAct"]

# Everything that str.splitlines breaks at: an agent cannot hide a marker behind an odd line break.
_BREAKS = "\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
_MARKER = re.compile(
    rf"(?:^|[{_BREAKS}])[ \t]*(Action|Observation)(?:[ \t]*[0-9]+)?[ \t]*:([^{_BREAKS}]*)"
)
_ACTION = re.compile(r"[ \t]*(\w+)\[")
_SECOND = re.compile(r"\][ \t]*Action(?:[ \t]*[0-9]+)?[ \t]*:")
_NAMES = {"search": "search", "finish": "finish"}


class ReAct(TextProtocol):
    """ReAct's protocol, for base models (plain text) and, with a template, chat models."""

    name = "react"
    mode = Mode.CONTINUE
    stop = ("\nObservation",)
    include_stop = False
    frame = ("\nObservation: ", "\n")
    instructions = (
        "Answer the question step by step. Write one line that begins with Thought: and says what "
        "you know and what you still need. Then write one line with one action, either "
        "Action: Search[query] to search for passages, or Action: Finish[answer] to give the final "
        "answer, short and without explanation. After a search the passages follow on a line that "
        "begins with Observation:, and you go on with the next thought.\nQuestion: {question}"
    )
    how_to = (
        "To search, write a line Action: Search[query]. "
        "To answer, write a line Action: Finish[answer]."
    )

    def parse(self, text: str, *, cut: bool = False) -> Parsed:
        """Returns the one action in ``text``."""
        actions = []
        for marker in _MARKER.finditer(text):
            if marker[1] == "Observation":
                fault = Invalid(
                    Fault.FORGED_OBSERVATION, f"Observation: at character {marker.start(1)}"
                )
                return Parsed(fault, len(text))
            actions.append(marker)
        if len(actions) != 1:
            code = Fault.SEVERAL_ACTIONS if actions else Fault.NO_ACTION
            return Parsed(Invalid(code, f"found {len(actions)} Action: lines"), len(text))
        return _parse_action(text, actions[0].start(2), actions[0].end(2))

    def write(self, move: Act | Answer, thought: str) -> str:
        """Returns a ``Thought:`` line, if any, and the ``Action:`` line."""
        lead = f"Thought: {thought}\n" if thought else ""
        if isinstance(move, Answer):
            return f"{lead}Action: Finish[{move.text}]"
        if len(move.calls) != 1:
            raise ProtocolError(f"react makes one search a move, got {len(move.calls)} calls")
        return f"{lead}Action: Search[{move.calls[0].query}]"

    def format_passage(self, rank: int, title: str, text: str) -> str:
        """Returns ``(rank) title: text`` on a line of its own."""
        return f"({rank}) {title}: {text}\n" if title else f"({rank}) {text}\n"

    def remark(self, text: str) -> list[Message]:
        """Returns the remark as an observation, the only thing that the environment writes."""
        return [Message("user", self.framed(text))]


def _parse_action(text: str, start: int, stop: int) -> Parsed:
    """Returns the move of the action between ``start`` and ``stop``, the rest of its line."""
    head = _ACTION.match(text, start, stop)
    if head is None:
        return Parsed(Invalid(Fault.NO_ACTION, "no Name[...] follows Action:"), len(text))
    close = text.rfind("]", head.end(), stop)
    if close < 0:
        return Parsed(Invalid(Fault.UNCLOSED, f"{head[1]}[ is not closed on its line"), len(text))
    content = text[head.end() : close].strip()
    kind = _NAMES.get(head[1].lower())
    move: Move
    if _SECOND.search(text, head.end(), stop):
        move = Invalid(Fault.SEVERAL_ACTIONS, "a second Action: on the same line")
    elif kind is None:
        move = Invalid(Fault.UNKNOWN_TOOL, f"{head[1][:40]} is neither Search nor Finish")
    elif not content:
        move = Invalid(Fault.EMPTY_ANSWER if kind == "finish" else Fault.EMPTY_QUERY)
    else:
        move = Answer(content) if kind == "finish" else Act((ToolCall("search", content),))
    return Parsed(move, close + 1)
