"""Advantages of tokens: REINFORCE++ and its relatives as OpenRLHF computes them.

Hu 2025 (arXiv 2501.03262); written from the description of R1-Searcher's trainer (Song et al. 2025,
arXiv 2503.05592; code RUCAIBox/R1-Searcher at commit 631167c, ``openrlhf/trainer/ppo_utils``). The
divergence from the reference model is part of the reward, token by token, so that the tokens of an
episode have different advantages. In :mod:`searchenv.training.advantages` it is part of the loss.
Differences:

1. A group of one has nothing to be compared with and gets 0, also with GRPO and RLOO.
2. GRPO adds 1e-6 to the deviation and not 1e-9.
3. Tokens that are not trained get exactly 0; after whitening, the reference leaves a number there
   that its loss masks.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from searchenv.training.advantages import Advantage, grouped_advantages

if TYPE_CHECKING:
    import torch

__all__ = ["token_advantages"]

_BASELINES = {
    Advantage.GRPO: Advantage.GRPO,
    Advantage.GROUP_MEAN: Advantage.GROUP_MEAN,
    Advantage.RLOO: Advantage.RLOO,
    Advantage.REINFORCE_PP_BASELINE: Advantage.GROUP_MEAN,
}
_WHITENED = (Advantage.RLOO, Advantage.REINFORCE_PP, Advantage.REINFORCE_PP_BASELINE)
_SMALLEST = 1e-8  # variance


def token_advantages(
    rewards: Sequence[float],
    groups: Sequence[Hashable],
    mask: "torch.Tensor",
    kind: Advantage,
    *,
    divergence: "torch.Tensor | None" = None,
    kl: float = 0.0,
    clip: float = 10.0,
) -> "torch.Tensor":
    """Returns the advantage of each token of a whole roll-out, (num_episodes, length).

    1. Each reward is compared with those of its group, as ``kind`` says, and clipped.
    2. The reward of a trained token is ``-kl`` times its divergence; the last one also gets that of
       the episode. The return of a token is the sum from it to the end, without discount.
    3. Unless ``kind`` is GRPO or the group's mean alone, the mean over all trained tokens is
       subtracted, and all is divided by their deviation.

    Args:
        rewards: one an episode.
        groups: which question each is of; samples of a question need not stand together.
        mask: 1 where a token is trained, else 0; (num_episodes, length). Episodes are filled up at
            the right with 0.
        kind: of advantage.
        divergence: log-probability under the policy that sampled minus that under the reference
            (k1), in the form of ``mask``; None: 0 everywhere.
        kl: weight of the divergence.
        clip: largest size of a compared reward.

    Raises:
        ValueError: rewards, groups and mask are not of the same number of episodes.
    """
    import torch

    if not len(rewards) == len(groups) == len(mask):
        raise ValueError(
            f"expected one reward, one group and one row of the mask for each episode, got "
            f"{len(rewards)}, {len(groups)} and {len(mask)}"
        )
    if kind in _BASELINES:
        rewards = grouped_advantages(rewards, groups, _BASELINES[kind])
    compared = torch.tensor(rewards, dtype=mask.dtype, device=mask.device)
    returns = compared.clamp(-clip, clip)[:, None] * torch.ones_like(mask)
    if divergence is not None:
        costs = kl * divergence * mask
        returns = returns - costs.flip(1).cumsum(1).flip(1)
    found = returns * mask
    if kind not in _WHITENED:
        return found
    count = mask.sum().clamp(min=1)
    centred = (found - found.sum() / count) * mask
    variance = centred.square().sum() / count
    return centred * variance.clamp(min=_SMALLEST).rsqrt()
