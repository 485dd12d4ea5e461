"""The nouns of the field: questions, passages, hits, moves, segments, limits.

Everything here is immutable and free of I/O. ``Hit`` and ``Passage`` are named tuples and not
frozen dataclasses because a search makes k of each: a named tuple is built twice as fast.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

__all__ = [
    "Act",
    "Answer",
    "Fault",
    "Gold",
    "Hit",
    "Invalid",
    "Limits",
    "Move",
    "Observation",
    "OnInvalid",
    "OnLimit",
    "Passage",
    "Question",
    "Segment",
    "Source",
    "StopReason",
    "Terms",
    "Tool",
    "ToolCall",
    "ToolFailure",
    "ToolResult",
    "Written",
]

Terms = Mapping[str, float]
"""The named terms of a reward; they sum to it."""


class Passage(NamedTuple):
    """One unit of retrieval: ``id`` is unique in its corpus; ``title`` may be empty."""

    id: str
    title: str
    text: str


class Hit(NamedTuple):
    """A retrieved passage; ``rank`` counts from 1, a higher ``score`` is better."""

    passage: Passage
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Gold:
    """One supporting passage of a question.

    It counts as found when a hit has one of ``ids``. Data sets that name titles only are linked to
    the ids of an index by :func:`searchenv.questions.link_gold`.
    """

    title: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold answers."""

    id: str
    text: str
    answers: tuple[str, ...]
    """All accepted answers, the canonical one first; never empty."""
    images: tuple[str, ...] = ()
    gold: tuple[Gold, ...] = ()
    """The supporting passages; empty where the data set does not name them."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """Whatever else the data set says, for example ``type``, ``hops`` or ``split``."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One request to a tool; a text search is ``ToolCall("search", "who ...")``."""

    tool: str
    query: str
    image: str | None = None
    args: Mapping[str, object] = field(default_factory=dict)
    id: str = field(default="", compare=False)
    """The agent's own label, which results must repeat in some formats; not part of equality."""


class Fault(StrEnum):
    """What was wrong with a move."""

    NO_ACTION = "no_action"
    SEVERAL_ACTIONS = "several_actions"
    UNCLOSED = "unclosed"
    NESTED = "nested"
    FORGED_OBSERVATION = "forged_observation"
    EMPTY_QUERY = "empty_query"
    EMPTY_ANSWER = "empty_answer"
    BAD_JSON = "bad_json"
    UNKNOWN_TOOL = "unknown_tool"


@dataclass(frozen=True, slots=True)
class Act:
    """The agent calls tools."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The agent gives its final answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """The agent wrote something that is no move; ``detail`` says it in words, for people."""

    fault: Fault
    detail: str = ""


Move = Act | Answer | Invalid


class Written(str):
    """A move as a model wrote it: a ``str`` like any other move, and how the model ended it."""

    __slots__ = ("cut", "token_ids")

    cut: bool
    token_ids: Sequence[int] | None

    def __new__(
        cls, text: str, *, cut: bool = False, token_ids: Sequence[int] | None = None
    ) -> "Written":
        """Returns ``text``.

        Args:
            text: what the policy wrote.
            cut: the model ran out of tokens before it stopped by itself.
            token_ids: the ids that it sampled, where known.
        """
        self = super().__new__(cls, text)
        self.cut = cut
        self.token_ids = token_ids
        return self


@dataclass(frozen=True, slots=True)
class Observation:
    """What a tool found. ``text`` is used by tools that return prose instead of hits."""

    hits: tuple[Hit, ...] = ()
    text: str | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFailure:
    """A tool could not do its work; never rendered as an empty result."""

    message: str
    retryable: bool = True


ToolResult = Observation | ToolFailure


class Tool(Protocol):
    """Runs calls, many at a time; the result is aligned with ``calls``."""

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Returns one observation or failure for each call; no call makes it raise."""
        ...


class Source(StrEnum):
    """Who wrote a segment."""

    PROMPT = "prompt"
    AGENT = "agent"
    ENVIRONMENT = "environment"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a transcript; all of them concatenated are what the policy saw and wrote."""

    source: Source
    text: str
    trained: bool
    """Whether the loss sees it."""
    token_ids: tuple[int, ...] | None = None
    """The ids that a model sampled for this text, where known; never made again from the text."""


class StopReason(StrEnum):
    """Why an episode is over."""

    ANSWER = "answer"
    INVALID = "invalid"
    MAX_TURNS = "max_turns"
    MAX_CALLS = "max_calls"
    MAX_TOKENS = "max_tokens"
    """No more text fits into what the policy can read, or a trainer keeps."""
    TOOL_ERROR = "tool_error"
    """A tool failed: the result says nothing about the agent."""
    POLICY_ERROR = "policy_error"
    """The policy failed, such as a model's server: likewise."""
    NOT_TOLD = "not_told"
    """Only of imported episodes without an answer, whose file does not say why they ended."""

    @property
    def is_failure(self) -> bool:
        """Whether something else than the agent ended the episode, so that it has no score."""
        return self in (StopReason.TOOL_ERROR, StopReason.POLICY_ERROR)


class OnLimit(StrEnum):
    """What happens when a budget is used up."""

    END = "end"
    """The episode is truncated."""
    TELL = "tell"
    """The agent is told and may still answer; ``max_turns`` ends the episode in any case."""


class OnInvalid(StrEnum):
    """What happens after an invalid move."""

    HINT = "hint"
    """The environment says what was wrong; the move costs a turn."""
    PENALTY = "penalty"
    """As ``hint``, and the reward gets the term ``invalid`` of -``invalid_penalty`` a move."""
    END = "end"
    """The episode terminates without an answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The budgets of an episode.

    Raises:
        ValueError: a budget is out of range.
    """

    max_turns: int = 8
    """Moves an episode may take, the answer included; at least 1."""
    max_calls: Mapping[str, int] = field(default_factory=dict)
    """Calls a tool may get in an episode; a tool not named is bounded by ``max_turns`` alone."""
    max_observation: int = 4000
    """Length of the rendered result of one call, marks included, in units of ``counter``."""
    counter: Callable[[str], int] = len
    """Measures a text: characters by default, or the tokens of a tokenizer."""
    on_limit: OnLimit = OnLimit.END
    on_invalid: OnInvalid = OnInvalid.HINT
    invalid_penalty: float = 0.1
    """What an invalid move costs when ``on_invalid`` is ``penalty``; at least 0."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.max_turns < 1:
            raise ValueError(f"max_turns must be >= 1, got {self.max_turns}")
        for tool, calls in self.max_calls.items():
            if calls < 0:
                raise ValueError(f"max_calls[{tool!r}] must be >= 0, got {calls}")
        if self.max_observation < 1:
            raise ValueError(f"max_observation must be >= 1, got {self.max_observation}")
        if self.invalid_penalty < 0:
            raise ValueError(f"invalid_penalty must be >= 0, got {self.invalid_penalty}")
        object.__setattr__(self, "on_limit", OnLimit(self.on_limit))
        object.__setattr__(self, "on_invalid", OnInvalid(self.on_invalid))
