"""What our agent loop is told: the task, and how much a policy may write."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from searchenv.loading import load_object
from searchenv.rewards import GroupReward, Reward
from searchenv.training.grpo import Auxiliary
from searchenv.training.rewards import reward_of
from searchenv.types import Limits

__all__ = ["TRAINER", "LoopSettings"]

TRAINER = "searchenv_sync"
"""What ``verl.trainer.v1.trainer_mode`` calls the trainer that learns auxiliary texts."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How questions are played in verl; the keys of the table ``task`` in a configuration.

    Raises:
        ValueError: a value is out of range.
    """

    index: str = "demo"
    """A folder, a name, or the URL of a service, which all workers then share."""
    engine: str = ""
    """``lucene`` or ``bm25s``; empty: what the index is."""
    retrieval: str = "process"
    """Where an index is searched that is no URL: ``process``, in each worker, or ``node``, by one
    service on each node, which its workers share."""
    protocol: str = "search_r1"
    """A name, or ``package.module:Name``."""
    reward: str = "em"
    """Terms joined by ``+``; see :func:`searchenv.training.rewards.reward_of`."""
    group_reward: str = ""
    """``package.module:Name`` of a :class:`searchenv.rewards.GroupReward` whose terms are added."""
    auxiliary: str = ""
    """``package.module:Name`` of a callable that takes the model's tokenizer and returns a
    :data:`searchenv.training.grpo.Auxiliary`: from the step and one finished episode of it to
    texts, as items of the kind ``sft``, that are learnt in the same update. It is called for each
    episode that is trained on, in a thread."""
    scorers: tuple[str, ...] = ("em", "f1_squad")
    """Also measured, and shown by verl's validation."""
    k: int = 3
    """Hits a search returns."""
    max_turns: int = 5
    """Moves an episode may take, the answer included."""
    max_searches: int = -1
    """Searches an episode may run; -1: as many as it has moves."""
    max_observation: int = 500
    """Tokens that the result of a search may have."""
    max_tokens: int = 500
    """Tokens that a move may have."""
    on_limit: str = "end"
    on_invalid: str = "hint"
    invalid_penalty: float = 0.1
    max_failed: float = 0.5
    """Share of a step's samples that may be lost to failed tools. More of them, and at least 4, end
    the training before the step is learnt: those that are left did not search."""
    seed: int = 0
    """What samples are drawn from, where the rollout backend takes seeds."""
    log: str = ""
    """A folder for one line an episode; empty: none is written."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("k", "max_turns", "max_observation", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.max_searches < -1:
            raise ValueError(f"max_searches must be >= -1, got {self.max_searches}")
        if not 0 <= self.max_failed <= 1:
            raise ValueError(f"max_failed must be in [0, 1], got {self.max_failed}")
        if self.retrieval not in ("process", "node"):
            raise ValueError(f"retrieval must be process or node, got {self.retrieval!r}")
        self.limits(len)

    def limits(self, counter: Callable[[str], int]) -> Limits:
        """Returns the budgets of an episode; observations are measured by ``counter``."""
        searches = {} if self.max_searches < 0 else {"search": self.max_searches}
        return Limits(
            max_turns=self.max_turns,
            max_calls=searches,
            max_observation=self.max_observation,
            counter=counter,
            on_limit=self.on_limit,  # type: ignore[arg-type]
            on_invalid=self.on_invalid,  # type: ignore[arg-type]
            invalid_penalty=self.invalid_penalty,
        )

    def make_reward(self) -> Reward:
        """Returns the reward of single episodes."""
        return reward_of(self.reward)

    def make_group_reward(self) -> GroupReward | None:
        """Returns the reward of groups, if there is one."""
        if not self.group_reward:
            return None
        found = load_object(self.group_reward)
        reward = found() if isinstance(found, type) else found
        return cast(GroupReward, reward)

    def make_auxiliary(self, tokenizer: Any) -> Auxiliary | None:
        """Returns what makes texts of episodes, if anything does."""
        if not self.auxiliary:
            return None
        make = cast(Callable[[Any], Auxiliary], load_object(self.auxiliary))
        return make(tokenizer)
