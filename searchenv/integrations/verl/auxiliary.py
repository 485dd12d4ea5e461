"""Supervised texts beside the episodes of an update in verl: ``TrainItem`` of the kind ``sft``.

The agent loop puts the items that ``task.auxiliary`` makes of an episode into the ``extra_fields``
of its trajectory, where nothing reads them: probabilities, comparisons with the group, advantages
and figures are those of the episodes alone. Only when all that is done,
:class:`searchenv.integrations.verl.trainer.SearchTrainer` makes rows of the items, which join the
same updates, and :func:`searchenv.integrations.verl.losses.clip_loss` adds weight times mean
negative log-likelihood of each, as :func:`searchenv.training.losses.total_loss` does.

Here is what needs no verl: how items travel, and how they are spread over updates and processes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchenv.training.items import Kind, TrainItem

__all__ = ["FIELD", "Layout", "Text", "interleave", "pack", "texts_of", "unpack"]

FIELD = "searchenv_auxiliary"
"""What ``extra_fields`` calls the items of a trajectory."""


@dataclass(frozen=True, slots=True)
class Text:
    """A row of an update: ids, and what the loss makes of each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    """Of the log-likelihood of each id from the second on."""

    def row(self, source: Mapping[str, Any], marker: float) -> dict[str, Any]:
        """Returns the text as a row of verl's, without anything that the policy's loss sees.

        Args:
            source: a row of an episode; what depends on its length is made anew, all else is kept.
            marker: the old log-probability that marks a supervised token.
        """
        import torch

        total, response = len(source["input_ids"]), len(source["responses"])
        lengths = {total: len(self.ids), response: len(self.ids) - 1}
        ids, weights = torch.tensor(self.ids), torch.tensor(self.weights)
        old, advantages = source["old_log_probs"], source["advantages"]
        positions = torch.arange(len(ids)).expand(*source["position_ids"].shape[:-1], -1)
        return {
            **{name: _emptied(value, lengths) for name, value in source.items()},
            "input_ids": ids,
            "prompts": ids[:1],
            "responses": ids[1:],
            "position_ids": positions.to(source["position_ids"].dtype).clone(),
            "advantages": weights.to(advantages.dtype),
            "old_log_probs": (weights != 0).to(old.dtype) * marker,
            "extra_fields": {},
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a step are divided."""

    updates: int
    """Updates of the weights."""
    ranks: int
    """Data-parallel processes, each of which has its share of every update."""
    multiple: int
    """Rows of one process and update come in multiples of this."""


def pack(items: Sequence[TrainItem]) -> str:
    """Returns items as text that any store keeps as it is."""
    return json.dumps([[item.ids, item.mask, item.weight] for item in items])


def unpack(text: str) -> list[TrainItem]:
    """Returns the items that :func:`pack` was given."""
    return [
        TrainItem(tuple(ids), tuple(mask), Kind.SFT, weight)
        for ids, mask, weight in json.loads(text)
    ]


def texts_of(items: Sequence[TrainItem], layout: Layout, filler: Sequence[int]) -> list[list[Text]]:
    """Returns the rows of each process and update, equally many; all updates of a process first.

    An update takes every so-many-th item and means over its own, so that some have one more.

    Args:
        items: of the kind ``sft``, in any number.
        layout: of the step.
        filler: two ids or more, for rows that fill up and have no weight.
    """
    shares = [items[update :: layout.updates] for update in range(layout.updates)]
    blocks = [
        [_text(item, len(share)) for item in share[rank :: layout.ranks]]
        for rank in range(layout.ranks)
        for share in shares
    ]
    size = -(-max(map(len, blocks)) // layout.multiple) * layout.multiple
    empty = Text(tuple(filler[:2]), (0.0,))
    return [block + [empty] * (size - len(block)) for block in blocks]


def interleave(keys: Sequence[str], blocks: Sequence[Sequence[str]]) -> list[str]:
    """Returns keys with a block after each of as many equal stretches of them."""
    size = len(keys) // len(blocks)
    stretches = [keys[number * size :][:size] for number in range(len(blocks))]
    return [
        key for stretch, block in zip(stretches, blocks, strict=True) for key in (*stretch, *block)
    ]


def _text(item: TrainItem, num_items: int) -> Text:
    seen = item.mask[1:]
    scale = item.weight / num_items / max(sum(seen), 1e-9)
    return Text(item.ids, tuple(scale * value for value in seen))


def _emptied(value: Any, lengths: Mapping[int, int]) -> Any:
    """Returns a value of a row; one number for each token becomes 0 for each of another row's."""
    import torch

    if isinstance(value, torch.Tensor) and value.dim() and value.shape[0] in lengths:
        return value.new_zeros((lengths[value.shape[0]], *value.shape[1:]))
    return value
