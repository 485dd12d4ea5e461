"""Rewards by name, as configurations and the command line give them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from searchenv.errors import did_you_mean
from searchenv.loading import load_object
from searchenv.metrics import SCORERS
from searchenv.rewards import CallCost, Composite, Format, GoldRecall, Outcome, Reward

__all__ = ["reward_of"]

_TERMS: Mapping[str, Callable[[], Reward]] = MappingProxyType(
    {"format": Format, "gold_recall": GoldRecall, "calls": CallCost}
)


def reward_of(terms: str) -> Reward:
    """Returns the reward that terms joined by ``+`` name.

    A term is a scorer (the outcome), ``format``, ``gold_recall``, ``calls``, or
    ``package.module:Name`` of a reward or of a callable without arguments that makes one.

    Raises:
        ValueError: nothing usable has such a name.

    >>> reward_of("em")
    Outcome(scorer='em', weight=1.0)
    >>> reward_of("f1_squad+format").rewards
    (Outcome(scorer='f1_squad', weight=1.0), Format(weight=0.2))
    """
    rewards = [_term(name.strip()) for name in terms.split("+")]
    return rewards[0] if len(rewards) == 1 else Composite(*rewards)


def _term(name: str) -> Reward:
    if name in SCORERS:
        return Outcome(name)
    if name in _TERMS:
        return _TERMS[name]()
    if ":" not in name:
        known = [*SCORERS, *_TERMS]
        raise ValueError(f"no term of a reward is named {name!r}. {did_you_mean(name, known)}")
    found = load_object(name)
    is_made = hasattr(found, "reads_transcript") and not isinstance(found, type)
    reward = found() if callable(found) and not is_made else found
    if not (callable(reward) and hasattr(reward, "reads_transcript")):
        raise ValueError(
            f"reward {name!r}: expected an object with reads_transcript that can be called with a "
            f"result, got {type(reward).__name__}"
        )
    return cast(Reward, reward)
