"""How much of the supporting passages was found, turn by turn."""

from collections.abc import Sequence
from dataclasses import replace

from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.rewards import gold_recall

__all__ = ["recall_by_turn", "recall_of_turns"]


def recall_of_turns(record: Record) -> tuple[float, ...] | None:
    """Returns the share of gold passages found up to and with each turn; None where unknown.

    The definition is that of :func:`searchenv.rewards.gold_recall`, so the last value is the
    record's ``gold_recall``. An episode without a turn gives no values.
    """
    if record.outcome.gold_recall is None:
        return None
    turns = record.result.turns
    upto = (replace(record.result, turns=turns[:end]) for end in range(1, len(turns) + 1))
    return tuple(recall for result in upto if (recall := gold_recall(result)) is not None)


def recall_by_turn(records: Sequence[Record]) -> tuple[Mean, ...]:
    """Returns the mean recall after each turn, over all records whose gold passages are known.

    An episode that is over keeps its last value, one without a turn 0: every mean is over the same
    records, and the last one is the mean of their ``gold_recall``. Empty where none is known.
    """
    known = [recalls for record in records if (recalls := recall_of_turns(record)) is not None]
    return tuple(
        Mean.of((recalls[: turn + 1] or (0.0,))[-1] for recalls in known)
        for turn in range(max(map(len, known), default=0))
    )
