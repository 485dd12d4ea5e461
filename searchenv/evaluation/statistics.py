"""Means over questions, with intervals, of the records of a run.

Every question counts once, however often it was played: its samples are averaged first, and the
bootstrap draws questions. Records are ordered by id, so that their order, or the parts that they
came in, change no figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean

__all__ = ["Summary", "best_of", "measures", "question_means", "summarize"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the records of some questions come to."""

    questions: int
    failed: int
    """Records that a failure ended, a tool's or the policy's; they score 0 in the means."""
    means: Mapping[str, Mean]
    """By measure: each scorer, ``gold_recall``, ``searches``, ``turns``, then pass@k."""

    def text(self) -> str:
        """Returns the means and counts as plain text, one a line."""
        width = max(len(name) for name in self.means)
        lines = [
            f"{name:<{width}}  {m.mean:7.3f}  [{m.low:.3f}, {m.high:.3f}]  n={m.n}"
            for name, m in self.means.items()
        ]
        return "\n".join([*lines, f"{self.questions} questions, {self.failed} failed"])


def summarize(records: Sequence[Record], *, pass_at: Sequence[int] = ()) -> Summary:
    """Returns the means over the questions of ``records``.

    ``gold_recall`` is over the questions whose gold passages are known, and left out where there
    are none.

    Args:
        records: at least one.
        pass_at: adds ``SCORER pass@k`` for each k, see :func:`best_of`.

    Raises:
        ValueError: there are no records, or a question has fewer than k samples.
    """
    if not records:
        raise ValueError("expected at least one record, got none")
    names = dict.fromkeys(name for record in records for name in measures(record))
    means = {name: Mean.of(question_means(records, name).values()) for name in names}
    for k in pass_at:
        for scorer in records[0].scores:
            samples = _by_question(records, scorer).values()
            means[f"{scorer} pass@{k}"] = Mean.of(best_of(values, k) for values in samples)
    return Summary(
        questions=len({record.result.question.id for record in records}),
        failed=sum(record.outcome.failed for record in records),
        means=means,
    )


def measures(record: Record) -> dict[str, float]:
    """Returns all that is known of one record, by measure."""
    outcome = record.outcome
    known = {} if outcome.gold_recall is None else {"gold_recall": outcome.gold_recall}
    counts = {"searches": float(outcome.calls.get("search", 0)), "turns": float(outcome.turns)}
    found = {**outcome.scores, **known, **counts}
    return {name: value for name, value in found.items() if name not in record.untold}


def question_means(records: Sequence[Record], measure: str) -> dict[str, float]:
    """Returns the mean over the samples of each question that has the measure, ordered by id."""
    return {id_: fmean(values) for id_, values in _by_question(records, measure).items()}


def best_of(values: Sequence[float], k: int) -> float:
    """Returns what the best of k samples is expected to score, drawn without replacement.

    Of scores that are 0 or 1 this is the unbiased pass@k of Chen et al. 2021, "Evaluating Large
    Language Models Trained on Code" (arXiv 2107.03374), section 2.1.

    Raises:
        ValueError: k is below 1, or above the number of values.

    >>> best_of([0.0, 1.0, 0.0, 0.0], 2)
    0.5
    """
    if not 1 <= k <= len(values):
        raise ValueError(f"pass@k needs 1 <= k <= {len(values)} samples of a question, got k={k}")
    ways = (value * comb(below, k - 1) for below, value in enumerate(sorted(values)))
    return sum(ways) / comb(len(values), k)


def _by_question(records: Sequence[Record], measure: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for record in sorted(records, key=lambda record: record.key):
        measured = measures(record)
        if measure in measured:
            found.setdefault(record.result.question.id, []).append(measured[measure])
    return found
