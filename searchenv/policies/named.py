"""Policies by name, as the command line and configurations give them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from searchenv.errors import did_you_mean
from searchenv.loading import load_object
from searchenv.policies.base import Policy
from searchenv.policies.chance import RandomPolicy
from searchenv.policies.human import HumanPolicy
from searchenv.policies.oracle import OraclePolicy
from searchenv.policies.rules import IterativePolicy, OneShotPolicy
from searchenv.types import Question

__all__ = ["POLICIES", "get_policy"]

POLICIES: Mapping[str, Callable[[Sequence[Question]], Policy]] = MappingProxyType(
    {
        "oracle": OraclePolicy,
        "random": lambda _: RandomPolicy(),
        "one_shot": lambda _: OneShotPolicy(),
        "iterative": lambda _: IterativePolicy(),
        "human": lambda _: HumanPolicy(),
    }
)
"""The policies by name; each is made for the questions that will be played."""


def get_policy(policy: str | Policy, questions: Sequence[Question] = ()) -> Policy:
    """Returns a policy by its name, or as ``package.module:Name``; an object as it is.

    Args:
        policy: what is asked for. An imported name may be a policy, or a callable without arguments
            that makes one.
        questions: the questions that will be played; only the oracle looks at them.

    Raises:
        ValueError: nothing usable has this name.

    >>> type(get_policy("one_shot")).__name__
    'OneShotPolicy'
    """
    if not isinstance(policy, str):
        return policy
    if policy in POLICIES:
        return POLICIES[policy](questions)
    if ":" not in policy:
        raise ValueError(
            f"no policy is named {policy!r}. {did_you_mean(policy, POLICIES)} "
            "Others are named package.module:Name."
        )
    return _imported(policy)


def _imported(dotted: str) -> Policy:
    found = load_object(dotted)
    ready = hasattr(found, "act") and not isinstance(found, type)
    made = found() if callable(found) and not ready else found
    if not hasattr(made, "act"):
        raise ValueError(
            f"policy {dotted!r}: expected an object with a method act(views), or a callable "
            f"without arguments that makes one, got {type(made).__name__}"
        )
    return made
