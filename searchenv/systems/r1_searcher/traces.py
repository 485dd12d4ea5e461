"""What R1-Searcher's rewards read: the text that followed the prompt, and what is wrong with it.

Sources as in :mod:`searchenv.systems.r1_searcher.rewards`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from searchenv.evaluation.outputs import count_r1_searches
from searchenv.results import Result, Turn
from searchenv.systems.r1_searcher.protocol import R1Searcher, closing_of
from searchenv.types import Act, Source

__all__ = ["Trace", "Violation"]

_BEGIN, _END = "<|begin_of_documents|>", "<|end_of_documents|>"
_COUNTED = (  # each of them once a search
    "<|begin_of_query|>",
    "<|end_of_query|>",
    _BEGIN,
    f"{_BEGIN}\n",
    f"{_BEGIN}\n(1)",
    _END,
    f"{_END}\n\n",
)
_PROMPT_ENDS = tuple(
    f"{role}<think>"
    for role in (
        "\nAssistant: ",
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    )
)
_CJK = re.compile("[\u4e00-\u9fff]")
_MAX_ANSWER_WORDS = 10


class Violation(StrEnum):
    """What can be wrong with the form of a trace."""

    DOCUMENTS = "documents"
    """Not one query, one closing tag and one block of documents that starts with ``(1)`` for each
    search: above all documents that the agent wrote itself, but also a search without results."""
    TAGS = "tags"
    """Not exactly one ``</think>``, ``<answer>`` and ``</answer>``, or a second ``<think>``."""
    ROLE = "role"
    """The letters "Assistant" or "assistant": the agent went on with a dialogue of its own."""
    ANSWER_TAGS = "answer_tags"
    """The answer names the tags that begin queries or documents."""
    LONG_ANSWER = "long_answer"
    """The answer has more than 10 words."""
    CJK = "cjk"
    """A character from U+4E00 to U+9FFF outside of documents."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A response in R1-Searcher's format."""

    solution: str
    """All that followed the ``<think>`` of the prompt."""
    searches: int
    """Searches that were answered."""

    @classmethod
    def of(cls, result: Result, *, whole: bool = False) -> "Trace":
        """Returns the response of an episode.

        Args:
            result: of an episode under :class:`R1Searcher`.
            whole: with the retrieved passages. Without them a block of documents holds ``(1)`` if
                anything was found and ``None`` if not, which is all that the checks count.
        """
        first = next(
            (i for i, s in enumerate(result.segments) if s.source is Source.AGENT),
            len(result.segments),
        )
        segments = result.segments[first:]
        written = [segment.text for segment in segments if segment.source is Source.AGENT]
        if whole:
            parts = [segment.text for segment in segments]
        else:
            turns = zip(written, result.turns, strict=True)
            parts = [text + _answered(text, turn) for text, turn in turns]
        if result.answer is not None and "</answer>" not in written[-1].rpartition("<answer>")[2]:
            parts.append("</answer>")  # in evaluation it is a stop string, which is left out
        return cls("".join(parts), result.num_calls)

    @classmethod
    def read(cls, text: str) -> "Trace":
        """Returns the response in a text that may begin with a prompt.

        The prompt ends with the last line of the published prompts, ``Assistant: <think>``, or with
        ``<think>`` where the chat templates of Qwen or Llama let the assistant speak. The last such
        place counts, as in the released code.
        """
        for end in _PROMPT_ENDS:
            text = text.rpartition(end)[2]
        return cls(text, count_r1_searches(text))

    def ended(self, eos: str) -> "Trace":
        """Returns the trace with this end token, which the released code puts there as text."""
        return self if self.solution.endswith(eos) else Trace(self.solution + eos, self.searches)

    @property
    def has_answer(self) -> bool:
        """Whether both answer tags are there, in whatever order."""
        return "<answer>" in self.solution and "</answer>" in self.solution

    @property
    def prediction(self) -> str:
        """The stripped text after the last ``<answer>``, up to the next ``</answer>``, if any."""
        _, tag, rest = self.solution.rpartition("<answer>")
        return rest.partition("</answer>")[0].strip() if tag else ""

    def violations(self, *, read_documents: bool = False) -> frozenset[Violation]:
        """Returns all that is wrong, whichever version of the reward looks at it.

        Args:
            read_documents: looks for role words in documents, too, as the released code does.
        """
        solution, prediction = self.solution, self.prediction
        written = _without_documents(solution)
        tags = ("<think>", "</think>", "<answer>", "</answer>")
        spoken = solution if read_documents else written
        found = {
            Violation.DOCUMENTS: len({*map(solution.count, _COUNTED)}) > 1,
            Violation.TAGS: [*map(solution.count, tags)] != [0, 1, 1, 1],
            Violation.ROLE: "Assistant" in spoken or "assistant" in spoken,
            Violation.ANSWER_TAGS: "begin_of_query" in prediction
            or "begin_of_documents" in prediction,
            Violation.LONG_ANSWER: len(prediction.split()) > _MAX_ANSWER_WORDS,
            Violation.CJK: not written.isascii() and _CJK.search(written) is not None,
        }
        return frozenset(violation for violation, is_there in found.items() if is_there)

    @property
    def has_documents(self) -> bool:
        """Whether there is a block of documents that starts with ``(1)``."""
        return f"{_BEGIN}\n(1)" in self.solution


def _without_documents(text: str) -> str:
    """Returns what is outside of closed blocks; not by a pattern, which takes much longer."""
    kept, at = [], 0
    while (start := text.find(_BEGIN, at)) >= 0 and (stop := text.find(_END, start)) >= 0:
        kept.append(text[at:start])
        at = stop + len(_END)
    return "".join([*kept, text[at:]])


def _answered(written: str, turn: Turn) -> str:
    """Returns what the environment wrote after a move, without the passages themselves."""
    if not isinstance(turn.move, Act) or not turn.hit_ids:
        return ""
    begin, end = R1Searcher.frame
    return closing_of(written) + begin + ("(1)\n" if turn.hit_ids[0] else "None") + end
