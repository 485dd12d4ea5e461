"""Updates of a model's weights from batches of items."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from searchenv.training.items import Batch, Kind, TrainItem, make_batch
from searchenv.training.losses import PolicyLoss, Scored, divergence, score_tokens, total_loss

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["Updater"]

_ROWS = 64  # sequences that go through the model at once
_MAX_NORM = 1.0  # of the gradient


class Updater:
    """A model with its optimiser.

    Args:
        model: is changed in place.
        learning_rate: of AdamW, constant, without weight decay.
        loss: of policy items.
        reference: what divergences are measured from; needed where ``loss.kl`` is above 0.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        *,
        learning_rate: float,
        loss: PolicyLoss | None = None,
        reference: "PreTrainedModel | None" = None,
    ) -> None:
        import torch

        self.model = model
        self._loss = loss or PolicyLoss()
        self._reference = reference
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )

    def state(self) -> dict[str, object]:
        """Returns all that the next update depends on, for ``torch.save``."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over a saved state."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def learn(self, shares: Sequence[Sequence[TrainItem]]) -> dict[str, float]:
        """Makes one update for each share and returns means over what was seen.

        The probabilities that ratios are taken to are those before the first update. The means are
        ``loss`` and ``grad_norm`` over updates, and ``kl`` (to the reference), ``entropy`` and
        ``clipped`` (the share of tokens without gradient) over the trained tokens of policy items;
        {} where there are no items.
        """
        shares = [share for share in shares if share]
        # no dropout: ratios are of the probabilities that the episodes were drawn with
        self.model.eval()  # type: ignore[no-untyped-call]
        prepared = [self._prepare(share, only=len(shares) == 1) for share in shares]
        sums: dict[str, float] = defaultdict(float)
        for parts in prepared:
            self._optimizer.zero_grad()
            for part in parts:
                self._backward(part, sums)
            sums["grad_norm"] += self._apply() / len(prepared)
        sums["loss"] /= max(1, len(prepared))
        tokens = sums.pop("tokens", 0.0)
        for name in ("kl", "entropy", "clipped"):
            if name in sums:
                sums[name] /= tokens
        return dict(sums) if shares else {}

    def divergences(self, items: Sequence[TrainItem]) -> list[tuple[float, ...]]:
        """Returns log-probability minus that under the reference (k1) for each id of each item.

        The first id has none: 0.

        Raises:
            ValueError: there is no reference.
        """
        import torch

        if self._reference is None:
            raise ValueError("divergences need a reference model, got none")
        self.model.eval()  # type: ignore[no-untyped-call]
        found: list[tuple[float, ...]] = []
        with torch.no_grad():
            for start in range(0, len(items), _ROWS):
                part = items[start : start + _ROWS]
                ids = make_batch(part).ids
                difference = (
                    score_tokens(self.model, ids).logprobs
                    - score_tokens(self._reference, ids).logprobs
                )
                for item, row in zip(part, difference.tolist(), strict=True):
                    found.append((0.0, *row[: len(item.ids) - 1]))
        return found

    def _apply(self) -> float:
        import torch

        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_NORM)
        self._optimizer.step()
        return float(norm)

    def _prepare(self, share: Sequence[TrainItem], *, only: bool) -> "list[_Part]":
        """Returns the share in parts; with ``only`` one, its own probabilities are the old ones."""
        import torch

        policy = sum(item.kind is Kind.POLICY for item in share)
        ordered = sorted(share, key=lambda item: len(item.ids))  # so that little is filled up
        parts = []
        for start in range(0, len(ordered), _ROWS):
            batch = make_batch(
                ordered[start : start + _ROWS], num_policy=policy, num_sft=len(share) - policy
            )
            with torch.no_grad():
                old = None if only else score_tokens(self.model, batch.ids).logprobs
                reference = (
                    None
                    if self._reference is None
                    else score_tokens(self._reference, batch.ids).logprobs
                )
            parts.append(_Part(batch, old, reference))
        return parts

    def _backward(self, part: "_Part", sums: dict[str, float]) -> None:
        scored = score_tokens(self.model, part.batch.ids)
        old = scored.logprobs.detach() if part.old is None else part.old
        loss = total_loss(part.batch, scored.logprobs, old, part.reference, self._loss)
        loss.backward()  # type: ignore[no-untyped-call]
        sums["loss"] += loss.item()
        self._measure(part, scored, old, sums)

    def _measure(
        self, part: "_Part", scored: Scored, old: "torch.Tensor", sums: dict[str, float]
    ) -> None:
        import torch

        with torch.no_grad():
            seen = part.batch.mask * part.batch.is_policy[:, None]
            if not seen.any():
                return
            ratio = torch.exp(scored.logprobs - old)
            advantages = part.batch.advantages
            clip = self._loss.clip
            clipped = ((advantages > 0) & (ratio > 1 + clip)) | (
                (advantages < 0) & (ratio < 1 - clip)
            )
            sums["tokens"] += float(seen.sum())
            sums["entropy"] += float((scored.entropy() * seen).sum())
            sums["clipped"] += float((clipped * seen).sum())
            if part.reference is not None:
                kl = divergence(scored.logprobs, part.reference)
                sums["kl"] += float((kl * seen).sum())


@dataclass(frozen=True, slots=True)
class _Part:
    """As many items as go through the model at once."""

    batch: Batch
    old: "torch.Tensor | None"
    reference: "torch.Tensor | None"
