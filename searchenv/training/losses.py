"""The losses of language models that learn from text and from rewards.

Every loss is a mean over sequences of the mean over their trained tokens, so that a long episode
counts as much as a short one. What the mask leaves out has no gradient.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from searchenv.training.items import Batch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["PolicyLoss", "Scored", "score_tokens", "token_means", "total_loss"]


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """The clipped surrogate of PPO with a penalty on the distance from a reference model.

    Schulman et al. 2017 (arXiv 1707.06347), equation 7; the penalty is GRPO's, Shao et al. 2024
    (arXiv 2402.03300), equation 4: the estimate ``exp(d) - d - 1`` (k3) of the divergence, with d =
    log-probability under the reference minus that under the policy.

    Raises:
        ValueError: a value is below 0.
    """

    clip: float = 0.2
    """How far the ratio of new to old probability may go before it has no gradient."""
    kl: float = 0.0
    """Weight of the penalty; 0: no reference model is needed."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("clip", "kl"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")

    def __call__(
        self,
        logprobs: "torch.Tensor",
        old: "torch.Tensor",
        reference: "torch.Tensor | None",
        advantages: "torch.Tensor",
    ) -> "torch.Tensor":
        """Returns the loss of each token; all arguments are (num_items, length)."""
        import torch

        ratio = torch.exp(logprobs - old)
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        loss = -torch.minimum(ratio * advantages, clipped * advantages)
        if reference is None:
            return loss
        return loss + self.kl * divergence(logprobs, reference)


def divergence(logprobs: "torch.Tensor", reference: "torch.Tensor") -> "torch.Tensor":
    """Returns the k3 estimate of the divergence from the reference for each token."""
    import torch

    difference = reference - logprobs
    return torch.exp(difference) - difference - 1


class Scored(NamedTuple):
    """What a model says of a batch, of the ids from the second on."""

    logprobs: "torch.Tensor"  # (num_items, length - 1)
    logits: "torch.Tensor"  # (num_items, length - 1, vocabulary), without gradient

    def entropy(self) -> "torch.Tensor":
        """Returns the entropy of what each id was drawn from, (num_items, length - 1)."""
        import torch

        every = torch.log_softmax(self.logits, dim=-1)
        return -(every.exp() * every).sum(-1)


def score_tokens(model: "PreTrainedModel", ids: "torch.Tensor") -> Scored:
    """Returns the log-probability of each id given those before it, at temperature 1."""
    import torch

    logits = model(ids, use_cache=False).logits[:, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    return Scored(-losses, logits.detach())


def token_means(values: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
    """Returns the mean over the trained tokens of each row; 0 for a row that has none."""
    total = (values * mask).sum(1)
    return total / mask.sum(1).clamp(min=1e-9)


def total_loss(
    batch: Batch,
    logprobs: "torch.Tensor",
    old: "torch.Tensor",
    reference: "torch.Tensor | None",
    policy_loss: PolicyLoss,
) -> "torch.Tensor":
    """Returns the mean loss of the policy items plus that of the supervised items, weighted."""
    import torch

    policy = policy_loss(logprobs, old, reference, batch.advantages)
    tokens = torch.where(batch.is_policy[:, None], policy, -logprobs)
    return (token_means(tokens, batch.mask) * batch.weights).sum()
