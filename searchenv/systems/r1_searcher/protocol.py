"""R1-Searcher's protocol: ``<|begin_of_query|> keywords <|end_of_query|>`` inside one thought.

Source: Song et al. 2025, "R1-Searcher: Incentivizing the Search Capability in LLMs via
Reinforcement Learning", arXiv 2503.05592, section 2; code RUCAIBox/R1-Searcher at commit 631167c
(roll-out: ``experience_maker.py``; prompt: ``prompts_dataset.py``; evaluation:
``eval_search_loacl.py``). The tags are ordinary text, not vocabulary entries. Differences:

1. The instructions are our own wording; give ``system_prompt`` to use the original.
2. Document tags that the agent writes are a mistake. In the reference they only lower the reward.
3. A turn with a query and an answer is a mistake. The reference runs the query.
4. A turn without a query or a complete answer, or with an empty one, is a mistake; with
   ``TRAIN_LIMITS`` it ends the episode, as in the reference.
5. ``parse`` knows whether the tokens ran out (``cut``), not which stop ended the text: an open
   query at an end-of-text token counts as a query, in the reference it ends the episode.
6. The agent's text is not stripped before ``<|end_of_query|>`` is put after it.
7. Markup inside passages is neutralised and their white space collapsed.
8. A tab in a query is white space. The evaluation deletes it, which joins the words beside it.
9. An answer is stripped. The evaluation keeps its white space.
10. ``LLAMA3`` is the bare chat format; the tokenizer's own template also writes today's date.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from searchenv.errors import ProtocolError
from searchenv.protocols.base import ChatTemplate, Message, Mode, Parsed, TextProtocol
from searchenv.types import (
    Act,
    Answer,
    Fault,
    Invalid,
    Limits,
    OnInvalid,
    OnLimit,
    Question,
    Segment,
    Source,
    ToolCall,
)

__all__ = [
    "EVAL_K",
    "EVAL_LIMITS",
    "LLAMA3",
    "R1_SEARCHER_LLAMA",
    "TRAIN_K",
    "TRAIN_LIMITS",
    "TURN_TOKENS",
    "PassageLayout",
    "R1Searcher",
    "closing_of",
]

TRAIN_K = 3
"""Passages a query in training."""
EVAL_K = 5
"""Passages a query in evaluation."""
TURN_TOKENS = 512
"""Tokens a turn may have, in training and in evaluation."""
LLAMA3 = ChatTemplate("<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>")
"""For Llama-3.1-8B-Instruct; Qwen's instruct models take ``CHATML``."""
_UNCUT = 1_000_000  # the reference never cuts passages

TRAIN_LIMITS = Limits(
    max_turns=9,
    max_calls={"search": 8},
    max_observation=_UNCUT,
    on_limit=OnLimit.END,
    on_invalid=OnInvalid.END,
)
"""Eight searches, then one more turn for the answer."""
EVAL_LIMITS = Limits(
    max_turns=9,
    max_calls={"search": 9},
    max_observation=_UNCUT,
    on_limit=OnLimit.END,
    on_invalid=OnInvalid.END,
)
"""Nine turns in all, the answer included."""

_BEGIN_QUERY, _END_QUERY = "<|begin_of_query|>", "<|end_of_query|>"
_BEGIN_DOCUMENTS, _END_DOCUMENTS = "<|begin_of_documents|>", "<|end_of_documents|>"
_THINK = "<think>"
_TASK = (
    "First think about the question, then give the answer. The thoughts stand inside <think> "
    "</think>, the final answer, short and without explanation, inside <answer> </answer>. If you "
    f"are not sure of a fact, search for it: write keywords only, as {_BEGIN_QUERY} keywords "
    f"{_END_QUERY}, and ask for one relation of one thing in each query. The system then gives you "
    f"passages as {_BEGIN_DOCUMENTS} passages {_END_DOCUMENTS}."
)


class PassageLayout(StrEnum):
    """How title and text of a passage are joined: like the lines of the published corpora."""

    KILT = "{title}   {text}"
    """The KILT pages, cut into windows of 100 words."""
    ABSTRACTS = "Title: {title} Text:  {text}"
    """The Wikipedia abstracts that come with HotpotQA."""


class R1Searcher(TextProtocol):
    """R1-Searcher's protocol: plain text for base models; with a template, for instruct models.

    Args:
        system_prompt: see :class:`TextProtocol`. Without ``{question}``, and without a template,
            ``User:`` and ``Assistant: <think>`` lines follow it; with ``{question}`` the file must
            hold all of the prompt. With a template ``<think>`` follows in any case.
        template: see :class:`TextProtocol`.
        layout: how a passage is written.
        evaluation: stop and clean queries as the published evaluation does: ``</answer>`` and two
            end-of-text tokens stop too, so an open ``<answer>`` is an answer; single quotes and
            ``...`` are also removed from queries.
        train_closing: the agent is trained on the tag that closes its query, as in the reference,
            although the environment writes it; False: the loss does not see it.
    """

    name = "r1_searcher"
    mode = Mode.CONTINUE
    include_stop = False
    frame = (f"{_BEGIN_DOCUMENTS}\n", f"{_END_DOCUMENTS}\n\n")
    no_results = "None"
    instructions = _TASK
    how_to = (
        f"To search, write {_BEGIN_QUERY} keywords. To answer, write <answer> answer </answer>."
    )

    def __init__(
        self,
        *,
        system_prompt: Path | None = None,
        template: ChatTemplate | None = None,
        layout: PassageLayout = PassageLayout.KILT,
        evaluation: bool = False,
        train_closing: bool = True,
    ) -> None:
        super().__init__(system_prompt=system_prompt, template=template)
        self.train_closing = train_closing
        self.layout = PassageLayout(layout)
        self.evaluation = evaluation
        self.stop = (
            (_END_QUERY, "</answer>", "<|im_end|>", "<|endoftext|>")
            if evaluation
            else (_END_QUERY,)
        )

    def opening(self, question: Question) -> list[Segment]:
        """Returns the prompt up to and including ``<think>``."""
        if self.template is not None:
            think = Segment(Source.PROMPT, _THINK, trained=False)
            return [*super().opening(question), think]
        if "{question}" in self.system_prompt:
            text = self.system_prompt.replace("{question}", question.text)
        else:
            text = f"{self.system_prompt}\n\nUser:{question.text}\nAssistant: {_THINK}"
        return [Segment(Source.PROMPT, text, trained=False)]

    def parse(self, text: str, *, cut: bool = False) -> Parsed:
        """Returns the last query in ``text``, or else the last answer."""
        for tag in (_BEGIN_DOCUMENTS, _END_DOCUMENTS):
            if tag in text:
                fault = Invalid(Fault.FORGED_OBSERVATION, f"{tag} at character {text.index(tag)}")
                return Parsed(fault, len(text))
        queried = _BEGIN_QUERY in text or _END_QUERY in text
        if queried and "<answer>" in text:
            fault = Invalid(Fault.SEVERAL_ACTIONS, "found a query and an answer")
            return Parsed(fault, len(text))
        if queried:
            return self._parse_query(text, cut)
        return self._parse_answer(text, cut)

    def write(self, move: Act | Answer, thought: str) -> str:
        """Returns the move without the closing query tag, which the environment writes.

        No space comes before that tag: the reference strips what the agent wrote.
        """
        if isinstance(move, Answer):
            return f"{thought} </think> <answer> {move.text} </answer>"
        if len(move.calls) != 1:
            raise ProtocolError(f"r1_searcher makes one search a move, got {len(move.calls)} calls")
        return f"{thought} {_BEGIN_QUERY} {move.calls[0].query}"

    def format_passage(self, rank: int, title: str, text: str) -> str:
        """Returns ``(rank)`` and the passage in the chosen layout."""
        body = self.layout.format(title=title, text=text) if title else text
        return f"({rank}){body}\n"

    def framed(self, body: str) -> str:
        """Returns ``body`` between the document tags, its last line break kept."""
        return self.frame[0] + body + self.frame[1]

    def reply(self, written: str, messages: Sequence[Message]) -> list[Segment]:
        """Returns the segments that follow ``written``; after a query the first one closes it."""
        segments = super().reply(written, messages)
        closing = closing_of(written) if isinstance(self.parse(written).move, Act) else ""
        if not closing:
            return segments
        return [Segment(Source.ENVIRONMENT, closing, trained=self.train_closing), *segments]

    def _parse_query(self, text: str, cut: bool) -> Parsed:
        close = text.find(_END_QUERY)
        stop = len(text) if close < 0 else close
        start = text.rfind(_BEGIN_QUERY, 0, stop)
        end = stop if close < 0 else close + len(_END_QUERY)
        if start < 0:
            fault = Invalid(Fault.UNCLOSED, f"{_END_QUERY} closes nothing")
        elif _BEGIN_QUERY in text[end:] or _END_QUERY in text[end:]:
            fault = Invalid(Fault.SEVERAL_ACTIONS, f"found more after {_END_QUERY}")
        elif close < 0 and cut:
            fault = Invalid(Fault.UNCLOSED, "the tokens ran out inside the query")
        else:
            query = self._clean(text[start + len(_BEGIN_QUERY) : stop])
            move = Act((ToolCall("search", query),)) if query else Invalid(Fault.EMPTY_QUERY)
            return Parsed(move, end)
        return Parsed(fault, len(text))

    def _clean(self, query: str) -> str:
        for mark in ('"', "'", "...") if self.evaluation else ('"',):
            query = query.replace(mark, "")
        return " ".join(query.split())

    def _parse_answer(self, text: str, cut: bool) -> Parsed:
        start = text.rfind("<answer>")
        close = text.find("</answer>", max(start, 0))
        if start < 0 and close < 0:
            return Parsed(
                Invalid(Fault.NO_ACTION, "found neither a query nor an answer"), len(text)
            )
        if start < 0:
            return Parsed(Invalid(Fault.UNCLOSED, "</answer> closes nothing"), len(text))
        if close < 0 and (cut or not self.evaluation):
            return Parsed(Invalid(Fault.UNCLOSED, "<answer> is never closed"), len(text))
        content = text[start + len("<answer>") : len(text) if close < 0 else close].strip()
        end = len(text) if close < 0 else close + len("</answer>")
        return Parsed(Answer(content) if content else Invalid(Fault.EMPTY_ANSWER), end)


R1_SEARCHER_LLAMA = R1Searcher(template=LLAMA3)
"""As Llama-3.1-8B-Instruct is trained."""


def closing_of(written: str) -> str:
    """Returns what the environment writes to close the query that ``written`` makes."""
    if _END_QUERY not in written:
        return f"{_END_QUERY}\n\n"
    return "" if written.endswith("\n\n") else "\n\n"
