"""The advantages of :mod:`searchenv.training` as verl's estimators.

``verl.algorithm.adv_estimator: searchenv_rloo`` gives every token the very number that the driver
in one process gives it, also where samples failed, so that what was studied there goes on here.
Each value of :class:`searchenv.training.advantages.Advantage` has two names:

- ``searchenv_rloo``: one advantage an episode. A divergence in the reward (``use_kl_in_reward``) is
  part of what is compared with the group, as in verl's own estimators.
- ``searchenv_token_rloo``: :func:`searchenv.training.token_advantages.token_advantages`, where the
  divergence is a cost of each token, and all is whitened over the trained tokens of the step.
  R1-Searcher's is ``searchenv_token_reinforce++_baseline``.

Difference of the second from that function: verl adds the cost of the last trained token to the
reward of the episode before an estimator sees either, so that this one token's cost is compared
with the group, too. Advantages differ by the mean cost of the last tokens of the group.

``searchenv train verl`` lets verl import this module.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from searchenv.training.advantages import Advantage, grouped_advantages
from searchenv.training.token_advantages import token_advantages

__all__ = ["estimate", "estimate_tokens"]


class _Estimate(Protocol):
    def __call__(
        self,
        kind: Advantage,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Sequence[Hashable],
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


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
    real, names = _real(response_mask, index)
    found = grouped_advantages(rewards[real].tolist(), names, kind)
    values = torch.zeros_like(rewards)
    values[real] = values.new_tensor(found)
    spread = values[:, None] * response_mask
    return spread, spread


def estimate_tokens(
    kind: Advantage,
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Hashable],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns advantages and returns of tokens, in the form of :func:`estimate`.

    Args:
        kind: what the rewards of episodes are compared with, and whether all is whitened.
        token_level_rewards: (samples, tokens); what stands at the last trained token and after it
            is the sample's reward, what stands before are costs (below 0) of single tokens.
        response_mask: as for :func:`estimate`.
        index: likewise.
    """
    real, names = _real(response_mask, index)
    mask = response_mask[real].to(token_level_rewards.dtype)
    rewards = token_level_rewards[real]
    # ones up to and with the last trained token, less that one: all tokens before it
    before = mask.flip(-1).cumsum(-1).flip(-1) - mask > 0
    found = token_advantages(
        (rewards * ~before).sum(-1).tolist(),
        names,
        mask,
        kind,
        divergence=-rewards * before,
        kl=1.0,
    )
    advantages = torch.zeros_like(token_level_rewards)
    advantages[real] = found
    return advantages, advantages


def _real(
    response_mask: torch.Tensor, index: Sequence[Hashable]
) -> tuple[torch.Tensor, list[Hashable]]:
    """Returns which samples are no padding, and the groups of those."""
    real = response_mask.any(dim=-1)
    return real, [name for name, is_real in zip(index, real.tolist(), strict=True) if is_real]


def _register(name: str, kind: Advantage, function: _Estimate) -> None:
    @register_adv_est(name)  # type: ignore[untyped-decorator]
    def estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Sequence[Hashable],
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            return function(kind, token_level_rewards, response_mask, index)


for _kind in Advantage:
    _register(f"searchenv_{_kind.value}", _kind, estimate)
    _register(f"searchenv_token_{_kind.value}", _kind, estimate_tokens)
