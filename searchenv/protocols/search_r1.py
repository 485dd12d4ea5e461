"""Search-R1's tags: ``<search>query</search>`` and ``<answer>text</answer>``.

Source: Jin et al. 2025, "Search-R1: Training LLMs to Reason and Leverage Search Engines with
Reinforcement Learning", arXiv 2503.09516, Table 1 and section 3.2. Passages and their frame are
written as the reference's roll-out writes them. Differences:

1. The instructions are our own wording; give ``system_prompt`` to use the original.
2. Nested, repeated and unclosed tags, empty queries and forged ``<information>`` are mistakes here;
   the reference takes the first complete pair of tags and ignores the rest.
3. Markup inside passages is neutralised.
"""

import re

from searchenv.errors import ProtocolError
from searchenv.protocols.base import Mode, Parsed, TextProtocol, parse_tags
from searchenv.types import Act, Answer, Fault, Invalid, ToolCall

__all__ = ["SearchR1"]

_TAGS = re.compile(r"<(/?)(search|answer|information)>")
_FORBIDDEN = frozenset({"information"})


class SearchR1(TextProtocol):
    """Search-R1's protocol, for base models (plain text) and, with a template, chat models."""

    name = "search_r1"
    mode = Mode.CONTINUE
    stop = ("</search>", "</answer>")
    frame = ("\n\n<information>", "</information>\n\n")
    instructions = (
        "Answer the question. Think inside <think> and </think> whenever you learn something new. "
        "If you lack a fact, search for it with <search> query </search>; passages come back "
        "between <information> and </information>. Search as often as you need. When you know the "
        "answer, give it, short and without explanation, inside <answer> and </answer>, for "
        "example <answer> Paris </answer>.\nQuestion: {question}"
    )
    how_to = (
        "To search, write <search> query </search>. To answer, write <answer> answer </answer>."
    )

    def parse(self, text: str, *, cut: bool = False) -> Parsed:
        """Returns the one search or answer in ``text``."""
        elements = parse_tags(text, _TAGS, forbidden=_FORBIDDEN)
        if isinstance(elements, Invalid):
            return Parsed(elements, len(text))
        if len(elements) != 1:
            fault = Fault.SEVERAL_ACTIONS if elements else Fault.NO_ACTION
            return Parsed(Invalid(fault, f"found {len(elements)} actions"), len(text))
        name, content, end = elements[0]
        content = content.strip()
        if name == "answer":
            return Parsed(Answer(content) if content else Invalid(Fault.EMPTY_ANSWER), end)
        return Parsed(
            Act((ToolCall("search", content),)) if content else Invalid(Fault.EMPTY_QUERY), end
        )

    def format_passage(self, rank: int, title: str, text: str) -> str:
        """Returns the passage as the reference writes it: no space before the parenthesis."""
        return f"Doc {rank}(Title: {title}) {text}\n" if title else f"Doc {rank} {text}\n"

    def write(self, move: Act | Answer, thought: str) -> str:
        """Returns ``<think>..</think>`` and the tagged move."""
        lead = f"<think>{thought}</think>\n" if thought else ""
        if isinstance(move, Answer):
            return f"{lead}<answer> {move.text} </answer>"
        if len(move.calls) != 1:
            raise ProtocolError(f"search_r1 makes one search a move, got {len(move.calls)} calls")
        return f"{lead}<search> {move.calls[0].query} </search>"
