"""Which episodes of a run are worth learning from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from searchenv.errors import did_you_mean
from searchenv.evaluation import Record

__all__ = ["Selection", "select"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Records that were kept, and why others were not."""

    kept: tuple[Record, ...]
    """In their order."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many by reason; each counts for the first reason that it meets."""


def select(
    records: Sequence[Record],
    *,
    min_scores: Mapping[str, float] | None = None,
    answered: bool = False,
    max_turns: int | None = None,
) -> Selection:
    """Returns the records that meet every condition.

    Episodes that a tool's or the policy's failure ended are left out in any case: they are cut off
    where the agent did nothing wrong.

    Args:
        records: of a run.
        min_scores: by scorer, the least score.
        answered: only episodes that ended with an answer.
        max_turns: only episodes of at most so many moves, at least 1.

    Raises:
        ValueError: ``max_turns`` is below 1, or a scorer did not score these records.
    """
    if max_turns is not None and max_turns < 1:
        raise ValueError(f"max_turns must be >= 1, got {max_turns}")
    least = dict(min_scores or {})
    for name in least:
        if records and name not in records[0].scores:
            hint = did_you_mean(name, records[0].scores)
            raise ValueError(f"the records have no score {name!r}. {hint}")
    kept: list[Record] = []
    left_out: Counter[str] = Counter()
    for record in records:
        reason = _reason(record, least, answered, max_turns)
        if reason is None:
            kept.append(record)
        else:
            left_out[reason] += 1
    return Selection(tuple(kept), dict(left_out))


def _reason(
    record: Record, min_scores: Mapping[str, float], answered: bool, max_turns: int | None
) -> str | None:
    if record.outcome.failed:
        return "failed"
    if answered and record.result.answer is None:
        return "unanswered"
    if max_turns is not None and len(record.result.turns) > max_turns:
        return f"more than {max_turns} turns"
    low = (name for name, least in min_scores.items() if record.scores[name] < least)
    return next((f"{name} below {min_scores[name]:g}" for name in low), None)
