"""What a model is trained on: token ids, what the loss sees of them, and how they are batched."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from searchenv.tokens import TokenSample

if TYPE_CHECKING:
    import torch

__all__ = ["Batch", "Kind", "TrainItem", "make_batch"]


class Kind(StrEnum):
    """What a loss makes of an item."""

    POLICY = "policy"
    """Its tokens become more or less probable, as its advantage says."""
    SFT = "sft"
    """Its tokens become more probable."""


@dataclass(frozen=True, slots=True)
class TrainItem:
    """One sequence of ids.

    Raises:
        ValueError: ``mask`` or ``token_advantages`` is not as long as ``ids``.
    """

    ids: tuple[int, ...]
    mask: tuple[float, ...]
    """What each id counts in the loss; 0: the loss does not see it. The first id is never seen."""
    kind: Kind = Kind.SFT
    weight: float = 1.0
    """What the item counts among those of its kind."""
    advantage: float = 0.0
    """Of a policy item: that of all its tokens."""
    token_advantages: tuple[float, ...] | None = None
    """Of a policy item: one for each id, instead of ``advantage``."""

    def __post_init__(self) -> None:
        """Checks the lengths."""
        if len(self.ids) != len(self.mask):
            raise ValueError(
                f"expected a mask of {len(self.ids)} numbers, one for each id, got {len(self.mask)}"
            )
        if self.token_advantages is not None and len(self.token_advantages) != len(self.ids):
            raise ValueError(
                f"expected {len(self.ids)} token_advantages, one for each id, "
                f"got {len(self.token_advantages)}"
            )

    @classmethod
    def of(
        cls,
        sample: TokenSample,
        *,
        kind: Kind = Kind.SFT,
        weight: float = 1.0,
        advantage: float = 0.0,
        prompt: float = 0.0,
        observed: float = 0.0,
    ) -> "TrainItem":
        """Returns an episode as an item.

        Trained ids count 1, those of the prompt ``prompt`` and all others ``observed``.
        """
        opening = (prompt,) * len(sample.prompt_ids)
        response = tuple(1.0 if bit else observed for bit in sample.mask)
        ids = sample.prompt_ids + sample.response_ids
        return cls(ids, opening + response, kind, weight, advantage)


@dataclass(frozen=True, slots=True)
class Batch:
    """Items as tensors, filled up at the right, where a causal model does not look back."""

    ids: "torch.Tensor"  # (num_items, length)
    mask: "torch.Tensor"  # (num_items, length - 1), of the ids from the second on
    advantages: "torch.Tensor"  # (num_items, length - 1)
    weights: "torch.Tensor"  # (num_items,), already divided by the number of items of the kind
    is_policy: "torch.Tensor"  # (num_items,)


def make_batch(
    items: Sequence[TrainItem], *, num_policy: int | None = None, num_sft: int | None = None
) -> Batch:
    """Returns a batch of at least one item.

    Args:
        items: of any kind.
        num_policy: items among which the mean is taken, where this batch is a part of them.
        num_sft: likewise.
    """
    import torch

    length = max(len(item.ids) for item in items)
    policy = [item.kind is Kind.POLICY for item in items]
    among = (
        (len(items) - sum(policy)) if num_sft is None else num_sft,
        sum(policy) if num_policy is None else num_policy,
    )
    weights = [item.weight / among[is_one] for item, is_one in zip(items, policy, strict=True)]
    masks = [[*item.mask[1:], *[0.0] * (length - len(item.ids))] for item in items]
    advantages = [
        [item.advantage] * (length - 1)
        if item.token_advantages is None
        else [*item.token_advantages[1:], *[0.0] * (length - len(item.ids))]
        for item in items
    ]
    return Batch(
        ids=torch.tensor([[*item.ids, *[0] * (length - len(item.ids))] for item in items]),
        mask=torch.tensor(masks),
        advantages=torch.tensor(advantages),
        weights=torch.tensor(weights),
        is_policy=torch.tensor(policy),
    )
