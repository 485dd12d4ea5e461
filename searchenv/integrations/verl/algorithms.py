"""The advantages of :mod:`searchenv.training.advantages` as verl's estimators.

``verl.algorithm.adv_estimator: searchenv_rloo`` gives every token the very number that the driver
in one process gives it, also where samples failed, so that what was studied there goes on here.
Each value of :class:`searchenv.training.advantages.Advantage` has a name with ``searchenv_`` before
it. ``searchenv train verl`` lets verl import this module.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from searchenv.training.advantages import Advantage, grouped_advantages

__all__ = ["estimate"]


def estimate(
    kind: Advantage,
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Hashable],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns advantages and returns, both (samples, tokens) and 0 where the mask is 0.

    Args:
        kind: which ones.
        token_level_rewards: (samples, tokens); their sum is a sample's reward.
        response_mask: (samples, tokens); a sample without any 1 is verl's padding, and in no group.
        index: for each sample what its group is called.
    """
    rewards = token_level_rewards.sum(dim=-1)
    real = response_mask.any(dim=-1)
    names = [name for name, is_real in zip(index, real.tolist(), strict=True) if is_real]
    found = grouped_advantages(rewards[real].tolist(), names, kind)
    values = torch.zeros_like(rewards)
    values[real] = values.new_tensor(found)
    spread = values[:, None] * response_mask
    return spread, spread


def _register(kind: Advantage) -> None:
    @register_adv_est(f"searchenv_{kind.value}")  # type: ignore[untyped-decorator]
    def estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Sequence[Hashable],
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            return estimate(kind, token_level_rewards, response_mask, index)


for _kind in Advantage:
    _register(_kind)
