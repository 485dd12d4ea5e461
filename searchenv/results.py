"""Finished episodes, as rewards and reports see them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from searchenv.types import Answer, Invalid, Move, Question, Segment, Source, StopReason

__all__ = ["Result", "Turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One move and what it found."""

    move: Move
    overshoot: int
    """Characters of plain text that the agent wrote after its action."""
    hit_ids: tuple[tuple[str, ...], ...] = ()
    """The passage ids that each call of the move returned; empty for a call that was not run."""


@dataclass(frozen=True)
class Result:
    """A finished episode, as rewards and reports see it."""

    question: Question
    protocol: str
    stop: StopReason
    turns: tuple[Turn, ...]
    segments: tuple[Segment, ...]
    calls: Mapping[str, int]
    """Calls that were run, by tool."""
    penalty: float
    """What the invalid moves cost; 0 unless ``on_invalid`` is ``penalty``."""
    error: str | None = None
    """What failed, where ``stop`` is a failure."""

    @property
    def tool_error(self) -> str | None:
        """What a tool failed with, or None."""
        return self.error if self.stop is StopReason.TOOL_ERROR else None

    @property
    def answer(self) -> str | None:
        """What the agent answered, or None."""
        last = self.turns[-1].move if self.turns else None
        return last.text if isinstance(last, Answer) else None

    @property
    def num_calls(self) -> int:
        """Calls that were run, all tools together."""
        return sum(self.calls.values())

    @property
    def num_invalid(self) -> int:
        """Moves that were no valid move."""
        return sum(isinstance(turn.move, Invalid) for turn in self.turns)

    @property
    def overshoot(self) -> int:
        """Characters written after actions, all turns together."""
        return sum(turn.overshoot for turn in self.turns)

    @cached_property
    def found_ids(self) -> frozenset[str]:
        """Ids of all passages that any call returned."""
        return frozenset(i for turn in self.turns for ids in turn.hit_ids for i in ids)

    def without_retrieved_text(self) -> "Result":
        """Returns a copy whose environment segments are empty, which is what a reward may see."""
        segments = tuple(
            Segment(s.source, "", s.trained) if s.source is Source.ENVIRONMENT else s
            for s in self.segments
        )
        return replace(self, segments=segments)
