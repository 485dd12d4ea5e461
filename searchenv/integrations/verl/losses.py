"""The clipped policy loss as verl's, with room for supervised tokens in the same batch.

``verl.actor_rollout_ref.actor.policy_loss.loss_mode: searchenv_clip`` is equation 7 of Schulman et
al. 2017 (arXiv 1707.06347), which R1-Searcher's trainer has (Song et al. 2025, arXiv 2503.05592).
Differences from verl's ``vanilla``:

1. No second clip: where the advantage is negative, ``vanilla`` lets no loss grow above
   ``clip_ratio_c`` (3) times its size, and such a token has no gradient.
2. Tokens that are marked with :data:`SUPERVISED` get weight times negative log-likelihood. See
   :mod:`searchenv.integrations.verl.auxiliary`, which puts them into the batch.

``searchenv train verl`` lets verl import this module.
"""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss
from verl.utils.torch_functional import masked_mean

__all__ = ["CLIP_LOSS", "SUPERVISED", "clip_loss"]

CLIP_LOSS = "searchenv_clip"
"""What verl knows :func:`clip_loss` by."""
SUPERVISED = 1.0
"""Stands for the old log-probability of a supervised token, whose advantage is its weight. Nothing
that was sampled has one above 0."""
_LARGEST = 20.0  # log of a ratio; as in verl


@register_policy_loss(CLIP_LOSS)  # type: ignore[untyped-decorator]
def clip_loss(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Returns the loss of a part of an update, and what verl logs of it.

    The tensors are (samples, tokens).

    Args:
        old_log_prob: before the first update; :data:`SUPERVISED` marks supervised tokens.
        log_prob: now.
        advantages: of trained tokens; the weights of supervised ones.
        response_mask: true where a token is trained by its advantage; elsewhere only supervised
            tokens are seen.
        loss_agg_mode: how verl means the losses of trained tokens; ``seq-mean-token-mean`` is the
            mean over each episode's tokens. Supervised ones are added up.
        config: of verl's actor, with ``clip_ratio_low``, ``clip_ratio_high`` and the
            ``global_batch_info`` of the update.
        rollout_is_weights: multiply the losses of trained tokens.
    """
    trained = response_mask.bool()
    log_ratio = (log_prob - old_log_prob).clamp(-_LARGEST, _LARGEST)
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - config.clip_ratio_low, 1 + config.clip_ratio_high)
    losses = -torch.minimum(ratio * advantages, clipped * advantages)
    if rollout_is_weights is not None:
        losses = losses * rollout_is_weights
    policy = agg_loss(losses, trained, loss_agg_mode, **config.global_batch_info)
    supervised = (old_log_prob == SUPERVISED) & ~trained
    # verl means the gradients of its data-parallel ranks, each of which has its own tokens
    ranks = config.global_batch_info.get("dp_size", 1)
    nll = -torch.where(supervised, log_prob * advantages, 0.0).sum() * ranks
    is_clipped = clipped * advantages < ratio * advantages
    return policy + nll, {
        "actor/pg_clipfrac": float(masked_mean(is_clipped.float(), trained).detach()),
        "actor/ppo_kl": float(masked_mean(-log_ratio, trained).detach()),
    }
