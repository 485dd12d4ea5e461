"""Rewards of finished episodes, made of named terms.

A reward is pure: it sees the agent's moves, the agent's own text and the ids of hits. What tools
returned is blanked before a reward is called, unless the reward says ``reads_transcript = True``,
which only rewards that must copy a published flaw do. So retrieved text cannot score.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from searchenv.metrics import get_scorer
from searchenv.results import Result
from searchenv.types import Gold, Terms

__all__ = [
    "CallCost",
    "Composite",
    "Format",
    "GoldRecall",
    "GroupReward",
    "Outcome",
    "Reward",
    "found_share",
    "gold_recall",
    "score",
    "score_group",
]


class Reward(Protocol):
    """Maps a finished episode to named terms that sum to its reward."""

    @property
    def reads_transcript(self) -> bool:
        """Whether the text that tools returned is left in the result."""
        ...

    def __call__(self, result: Result) -> Terms:
        """Returns the terms; a term that cannot be known is left out, it is not 0."""
        ...


class GroupReward(Protocol):
    """Maps all finished samples of one question to the terms of each.

    For rewards that compare siblings, such as one for the fewest searches among the right ones.
    """

    @property
    def reads_transcript(self) -> bool:
        """Whether the text that tools returned is left in the results."""
        ...

    def __call__(self, results: Sequence[Result]) -> Sequence[Terms]:
        """Returns one mapping for each result; failed samples are not among them."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The term ``outcome``: ``weight`` times a score of the answer; no answer scores 0."""

    scorer: str = "em"
    """A name in :data:`searchenv.metrics.SCORERS`."""
    weight: float = 1.0
    reads_transcript: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Fails early on an unknown scorer."""
        get_scorer(self.scorer)

    def __call__(self, result: Result) -> Terms:
        """Returns the term."""
        if result.answer is None:
            return {"outcome": 0.0}
        value = get_scorer(self.scorer)(result.answer, result.question.answers)
        return {"outcome": self.weight * value}


@dataclass(frozen=True, slots=True)
class Format:
    """The term ``format``: ``weight`` if all moves were valid and the last an answer, else 0."""

    weight: float = 0.2
    reads_transcript: ClassVar[bool] = False

    def __call__(self, result: Result) -> Terms:
        """Returns the term."""
        well_formed = result.num_invalid == 0 and result.answer is not None
        return {"format": self.weight if well_formed else 0.0}


@dataclass(frozen=True, slots=True)
class CallCost:
    """The term ``calls``: minus ``cost`` for every call that was run beyond the first ``free``."""

    cost: float = 0.05
    free: int = 0
    reads_transcript: ClassVar[bool] = False

    def __call__(self, result: Result) -> Terms:
        """Returns the term."""
        return {"calls": 0.0 - self.cost * max(0, result.num_calls - self.free)}


@dataclass(frozen=True, slots=True)
class GoldRecall:
    """The term ``gold_recall``: ``weight`` times the share of gold passages that were retrieved.

    Left out where the gold passages of a question are not known.
    """

    weight: float = 0.5
    reads_transcript: ClassVar[bool] = False

    def __call__(self, result: Result) -> Terms:
        """Returns the term."""
        recall = gold_recall(result)
        return {} if recall is None else {"gold_recall": self.weight * recall}


class Composite:
    """Several rewards together.

    Raises:
        ValueError: on a call, if two rewards use the same name for a term.
    """

    def __init__(self, *rewards: Reward) -> None:
        self.rewards = rewards

    @property
    def reads_transcript(self) -> bool:
        """Whether any part reads what tools returned; the others see the blanked result."""
        return any(reward.reads_transcript for reward in self.rewards)

    def __call__(self, result: Result) -> Terms:
        """Returns the terms of all parts."""
        terms: dict[str, float] = {}
        blanked = result.without_retrieved_text()
        for reward in self.rewards:
            shown = result if reward.reads_transcript else blanked
            for name, value in reward(shown).items():
                if name in terms:
                    raise ValueError(f"two rewards have a term named {name!r}; rename one of them")
                terms[name] = value
        return terms


def gold_recall(result: Result) -> float | None:
    """Returns the share of gold passages that any call returned; None where none are known.

    A gold passage with several ids is found by any of them. One that is linked to no id counts as
    not found.
    """
    return found_share(result.question.gold, result.found_ids)


def found_share(gold: Sequence[Gold], ids: Container[str]) -> float | None:
    """Returns the share of gold passages among ``ids``, counted as :func:`gold_recall` does."""
    if not any(passage.ids for passage in gold):
        return None
    return sum(any(i in ids for i in passage.ids) for passage in gold) / len(gold)


def score(reward: Reward, result: Result) -> Terms:
    """Returns the terms of a finished episode, as every driver does.

    An episode that a failure ended, a tool's or the policy's, is unscored: it has no terms. The
    penalty of invalid moves, if the limits set one, is the term ``invalid``.
    """
    if result.stop.is_failure:
        return {}
    terms = dict(reward(result if reward.reads_transcript else result.without_retrieved_text()))
    if result.penalty:
        terms["invalid"] = -result.penalty
    return terms


def score_group(reward: GroupReward, results: Sequence[Result]) -> list[Terms]:
    """Returns the terms of each sample of a question; those that failed have none and do not count.

    Raises:
        ValueError: the reward did not return one mapping for each result that it got.
    """
    whole = [result for result in results if not result.stop.is_failure]
    shown = whole if reward.reads_transcript else [r.without_retrieved_text() for r in whole]
    found = reward(shown) if shown else ()
    if len(found) != len(shown):
        raise ValueError(
            f"{type(reward).__name__} must return terms for each of {len(shown)} results, "
            f"got {len(found)}"
        )
    terms = iter(found)
    return [{} if result.stop.is_failure else dict(next(terms)) for result in results]
