"""Policies by name, as the command line and configurations give them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from searchenv.errors import did_you_mean
from searchenv.loading import load_object
from searchenv.policies.base import Policy
from searchenv.policies.baselines import STRATEGIES
from searchenv.policies.chance import RandomPolicy
from searchenv.policies.generation import Generator
from searchenv.policies.human import HumanPolicy
from searchenv.policies.models import ModelPolicy
from searchenv.policies.oracle import OraclePolicy
from searchenv.policies.rules import IterativePolicy, OneShotPolicy
from searchenv.policies.strategies import StrategyPolicy
from searchenv.types import Question

__all__ = ["MODEL_POLICIES", "POLICIES", "describe_policy", "get_policy"]

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

MODEL_POLICIES: Mapping[str, Callable[[Generator], Policy]] = MappingProxyType(
    {
        "model": ModelPolicy,
        **{name: partial(StrategyPolicy, strategy) for name, strategy in STRATEGIES.items()},
    }
)
"""The policies with a language model by name; each is made for the model that writes."""


def get_policy(
    policy: str | Policy,
    questions: Sequence[Question] = (),
    *,
    generator: Generator | None = None,
) -> Policy:
    """Returns a policy by its name, or as ``package.module:Name``; an object as it is.

    Args:
        policy: what is asked for. An imported name may be a policy, or a callable without arguments
            that makes one.
        questions: the questions that will be played; only the oracle looks at them.
        generator: the model of a policy that has one.

    Raises:
        ValueError: nothing usable has this name, or it needs a model and there is none.

    >>> type(get_policy("one_shot")).__name__
    'OneShotPolicy'
    """
    if not isinstance(policy, str):
        return policy
    if policy in POLICIES:
        return POLICIES[policy](questions)
    if policy in MODEL_POLICIES:
        if generator is None:
            raise ValueError(f"policy {policy!r} needs a model: give --model, or generator=")
        return MODEL_POLICIES[policy](generator)
    if ":" not in policy:
        known = {**POLICIES, **MODEL_POLICIES}
        raise ValueError(
            f"no policy is named {policy!r}. {did_you_mean(policy, known)} "
            "Others are named package.module:Name."
        )
    return _imported(policy)


def describe_policy(name: str, policy: Policy) -> dict[str, object]:
    """Returns what the header of a run says of a policy: its name, its model, its options.

    >>> describe_policy("one_shot", get_policy("one_shot"))
    {'name': 'one_shot'}
    """
    describe = getattr(policy, "describe", None)
    return {"name": name, **(describe() if describe else {})}


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
