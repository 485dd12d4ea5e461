"""A played question with all that is needed to score it again, read it and train on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from searchenv.episode import Episode
from searchenv.evaluation.report import QuestionResult
from searchenv.results import Result, Turn
from searchenv.rewards import Reward, score
from searchenv.saved import (
    hits_of,
    hits_state,
    move_of,
    move_state,
    question_of,
    segment_of,
    segment_state,
)
from searchenv.types import Hit, StopReason

__all__ = ["Record"]

Hits = tuple[tuple[tuple[Hit, ...], ...], ...]


@dataclass(frozen=True)
class Record:
    """One sample of one question."""

    result: Result
    """The finished episode, with its question."""
    hits: Hits
    """What each call that was run found, by turn."""
    outcome: QuestionResult
    """Scores, reward terms and counts."""
    sample: int = 0
    """Counts the samples of a question from 0."""
    untold: tuple[str, ...] = ()
    """Measures that an imported record cannot tell, such as ``searches``: they are not 0."""

    @classmethod
    def of(
        cls, episode: Episode, reward: Reward, scorers: Sequence[str], sample: int = 0
    ) -> "Record":
        """Returns the record of a finished episode."""
        result = episode.result
        outcome = QuestionResult.of(result, score(reward, result), scorers)
        return cls(result, episode.hits, outcome, sample)

    @property
    def key(self) -> tuple[str, int]:
        """The id of the question and the sample, unique in a run."""
        return self.result.question.id, self.sample

    @property
    def scores(self) -> Mapping[str, float]:
        """By scorer; 0 where there is no answer, and after a failure."""
        return self.outcome.scores

    def to_dict(self) -> dict[str, object]:
        """Returns the record as JSON-able data; equal records give equal data."""
        result, outcome = self.result, self.outcome
        return {
            "id": result.question.id,
            "sample": self.sample,
            **({"untold": list(self.untold)} if self.untold else {}),
            "question": asdict(result.question),
            "protocol": result.protocol,
            "stop": result.stop.value,
            "answer": result.answer,
            "error": result.error,
            "scores": dict(outcome.scores),
            "terms": dict(outcome.terms),
            "gold_recall": outcome.gold_recall,
            "calls": dict(result.calls),
            "penalty": result.penalty,
            "turns": [
                _turn_state(turn, hits) for turn, hits in zip(result.turns, self.hits, strict=True)
            ],
            "segments": [segment_state(segment) for segment in result.segments],
        }

    @classmethod
    def of_dict(cls, state: Mapping[str, Any]) -> "Record":
        """Returns the record whose :meth:`to_dict` is ``state``.

        Raises:
            KeyError, TypeError, ValueError: ``state`` is no record.
        """
        turns = [_turn_of(turn) for turn in state["turns"]]
        result = Result(
            question=question_of(state["question"]),
            protocol=state["protocol"],
            stop=StopReason(state["stop"]),
            turns=tuple(turn for turn, _ in turns),
            segments=tuple(segment_of(segment) for segment in state["segments"]),
            calls=state["calls"],
            penalty=state["penalty"],
            error=state["error"],
        )
        outcome = QuestionResult.of(result, state["terms"], ())
        outcome = replace(outcome, scores=state["scores"], gold_recall=state["gold_recall"])
        hits = tuple(hits for _, hits in turns)
        return cls(result, hits, outcome, state["sample"], tuple(state.get("untold", ())))


def _turn_state(turn: Turn, hits: Sequence[Sequence[Hit]]) -> dict[str, object]:
    return {
        **move_state(turn.move),
        "overshoot": turn.overshoot,
        "hits": [hits_state(found) for found in hits],
        "refused": len(turn.hit_ids) - len(hits),
    }


def _turn_of(state: Mapping[str, object]) -> tuple[Turn, tuple[tuple[Hit, ...], ...]]:
    hits = tuple(hits_of(found) for found in cast(Sequence[object], state["hits"]))
    ids = tuple(tuple(hit.passage.id for hit in found) for found in hits)
    ids += ((),) * cast(int, state["refused"])
    return Turn(move_of(state), cast(int, state["overshoot"]), ids), hits
