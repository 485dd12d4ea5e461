"""Saved episodes: questions, moves, tool results and segments as JSON-able data, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from searchenv.types import (
    Act,
    Answer,
    Fault,
    Gold,
    Hit,
    Invalid,
    Move,
    Observation,
    Passage,
    Question,
    Segment,
    Source,
    ToolCall,
    ToolFailure,
    ToolResult,
)

__all__ = [
    "hits_of",
    "hits_state",
    "move_of",
    "move_state",
    "question_of",
    "result_of",
    "result_state",
    "segment_of",
    "segment_state",
]


def result_state(result: ToolResult) -> dict[str, object]:
    """Returns a tool result as JSON-able data."""
    if isinstance(result, ToolFailure):
        return {"failure": result.message, "retryable": result.retryable}
    return {
        "hits": hits_state(result.hits),
        "text": result.text,
        "images": list(result.images),
    }


def result_of(state: Mapping[str, object]) -> ToolResult:
    """Returns the tool result that :func:`result_state` saved."""
    if "failure" in state:
        return ToolFailure(cast(str, state["failure"]), bool(state["retryable"]))
    images = tuple(cast(Sequence[str], state["images"]))
    return Observation(hits_of(state["hits"]), cast(str | None, state["text"]), images)


def hits_state(hits: Sequence[Hit]) -> list[list[object]]:
    """Returns hits as JSON-able data: id, title, text, score and rank of each."""
    return [[*hit.passage, hit.score, hit.rank] for hit in hits]


def hits_of(state: object) -> tuple[Hit, ...]:
    """Returns the hits that :func:`hits_state` saved."""
    rows = cast(Sequence[tuple[str, str, str, float, int]], state)
    return tuple(Hit(Passage(*row[:3]), row[3], row[4]) for row in rows)


def move_state(move: Move) -> dict[str, object]:
    """Returns a move as JSON-able data."""
    if isinstance(move, Act):
        return {"act": [asdict(call) for call in move.calls]}
    if isinstance(move, Answer):
        return {"answer": move.text}
    return {"invalid": move.fault.value, "detail": move.detail}


def move_of(state: Mapping[str, object]) -> Move:
    """Returns the move that :func:`move_state` saved."""
    if "act" in state:
        calls = cast(Sequence[Mapping[str, Any]], state["act"])
        return Act(tuple(ToolCall(**call) for call in calls))
    if "answer" in state:
        return Answer(cast(str, state["answer"]))
    return Invalid(Fault(cast(str, state["invalid"])), cast(str, state["detail"]))


def segment_state(segment: Segment) -> list[object]:
    """Returns a segment as JSON-able data: source, text, trained, and token ids where known."""
    state: list[object] = [segment.source.value, segment.text, segment.trained]
    return state if segment.token_ids is None else [*state, list(segment.token_ids)]


def segment_of(state: Sequence[object]) -> Segment:
    """Returns the segment that :func:`segment_state` saved."""
    source, text, trained, *ids = state
    token_ids = tuple(cast(Sequence[int], ids[0])) if ids else None
    return Segment(Source(cast(str, source)), cast(str, text), bool(trained), token_ids)


def question_of(state: Mapping[str, object]) -> Question:
    """Returns the question whose ``dataclasses.asdict`` is ``state``."""
    gold = cast(Sequence[Mapping[str, object]], state["gold"])
    return Question(
        id=cast(str, state["id"]),
        text=cast(str, state["text"]),
        answers=tuple(cast(Sequence[str], state["answers"])),
        images=tuple(cast(Sequence[str], state["images"])),
        gold=tuple(Gold(cast(str, g["title"]), tuple(cast(Sequence[str], g["ids"]))) for g in gold),
        metadata=cast(Mapping[str, object], state["metadata"]),
    )
