"""What an evaluation found: one result a question, and means over the questions."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from searchenv.metrics import get_scorer
from searchenv.results import Result
from searchenv.rewards import gold_recall
from searchenv.types import StopReason, Terms

__all__ = ["EvaluationReport", "Mean", "QuestionResult"]

_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over questions with its interval."""

    mean: float
    low: float
    high: float
    n: int
    """The questions that the mean is over."""

    @classmethod
    def of(cls, values: Iterable[float]) -> "Mean":
        """Returns the mean with a 95 % percentile bootstrap interval.

        The questions are resampled 1,000 times with replacement by ``numpy``'s default generator
        seeded with 0, so that the same values in the same order give the same interval.

        Raises:
            ValueError: there are no values.
        """
        array = np.fromiter(values, dtype=np.float64)
        n = len(array)
        if n == 0:
            raise ValueError("a mean needs at least one value, got none")
        rng = np.random.default_rng(0)
        means = [array[rng.integers(n, size=n)].mean() for _ in range(_RESAMPLES)]
        low, high = np.percentile(means, (2.5, 97.5))
        return cls(float(array.mean()), float(low), float(high), n)


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """What became of one question."""

    question_id: str
    answer: str | None
    """What the agent answered; None where the episode ended otherwise."""
    stop: StopReason
    terms: Terms
    """The terms of the reward; empty after a failure."""
    scores: Mapping[str, float]
    """By scorer; 0 where there is no answer."""
    gold_recall: float | None
    """The share of gold passages that were retrieved; None where they are not known."""
    calls: Mapping[str, int]
    """Calls that were run, by tool."""
    turns: int
    invalid: int
    overshoot: int
    error: str | None
    """What a tool or the policy failed with, if one did."""

    @classmethod
    def of(cls, result: Result, terms: Terms, scorers: Iterable[str]) -> "QuestionResult":
        """Scores a finished episode."""
        answer, gold = result.answer, result.question.answers
        return cls(
            question_id=result.question.id,
            answer=answer,
            stop=result.stop,
            terms=terms,
            scores={
                name: 0.0 if answer is None else get_scorer(name)(answer, gold) for name in scorers
            },
            gold_recall=gold_recall(result),
            calls=result.calls,
            turns=len(result.turns),
            invalid=result.num_invalid,
            overshoot=result.overshoot,
            error=result.error,
        )

    @property
    def failed(self) -> bool:
        """Whether a tool or the policy failed, so that the score says nothing about the agent."""
        return self.stop.is_failure

    def to_dict(self) -> dict[str, object]:
        """Returns the fields as JSON-able data."""
        return {**asdict(self), "stop": self.stop.value}


@dataclass(frozen=True)
class EvaluationReport:
    """The results of an evaluation, in the order of its questions; there is at least one."""

    results: tuple[QuestionResult, ...]

    @property
    def num_failed(self) -> int:
        """Questions that a failure ended, a tool's or the policy's; they score 0 in the means."""
        return sum(result.failed for result in self.results)

    @cached_property
    def stops(self) -> Mapping[StopReason, int]:
        """How many questions ended for each reason."""
        return Counter(result.stop for result in self.results)

    @cached_property
    def means(self) -> Mapping[str, Mean]:
        """Means over the questions: each scorer, ``gold_recall``, ``searches``, ``turns``.

        ``gold_recall`` is over the questions whose gold passages are known, and left out where
        there are none.
        """
        results = self.results
        recalls = [r.gold_recall for r in results if r.gold_recall is not None]
        return {
            **{name: Mean.of(r.scores[name] for r in results) for name in results[0].scores},
            **({"gold_recall": Mean.of(recalls)} if recalls else {}),
            "searches": Mean.of(r.calls.get("search", 0) for r in results),
            "turns": Mean.of(r.turns for r in results),
        }

    def table(self) -> str:
        """Returns the means and counts as plain text, one a line."""
        width = max(len(name) for name in self.means)
        lines = [
            f"{name:<{width}}  {m.mean:7.3f}  [{m.low:.3f}, {m.high:.3f}]  n={m.n}"
            for name, m in self.means.items()
        ]
        ends = ", ".join(f"{stop.value} {n}" for stop, n in sorted(self.stops.items()))
        lines.append(f"{len(self.results)} questions, {self.num_failed} failed; ended by: {ends}")
        return "\n".join(lines)

    def write_jsonl(self, path: str | os.PathLike[str]) -> None:
        """Writes one result a line; the file appears under its name when it is whole."""
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="ascii", newline="\n") as stream:
                stream.writelines(json.dumps(result.to_dict()) + "\n" for result in self.results)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
