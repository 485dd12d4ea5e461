"""Saved episodes: questions and tool results as JSON-able data, and back."""

from collections.abc import Mapping, Sequence
from typing import cast

from searchenv.types import Gold, Hit, Observation, Passage, Question, ToolFailure, ToolResult

__all__ = ["question_of", "result_of", "result_state"]


def result_state(result: ToolResult) -> dict[str, object]:
    """Returns a tool result as JSON-able data."""
    if isinstance(result, ToolFailure):
        return {"failure": result.message, "retryable": result.retryable}
    return {
        "hits": [[*hit.passage, hit.score, hit.rank] for hit in result.hits],
        "text": result.text,
        "images": list(result.images),
    }


def result_of(state: Mapping[str, object]) -> ToolResult:
    """Returns the tool result that :func:`result_state` saved."""
    if "failure" in state:
        return ToolFailure(cast(str, state["failure"]), bool(state["retryable"]))
    rows = cast(Sequence[tuple[str, str, str, float, int]], state["hits"])
    hits = tuple(Hit(Passage(*row[:3]), row[3], row[4]) for row in rows)
    images = tuple(cast(Sequence[str], state["images"]))
    return Observation(hits, cast(str | None, state["text"]), images)


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
