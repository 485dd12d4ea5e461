"""What a test of the trainer puts into verl's processes.

A reward, texts to be learnt beside the episodes, and a loss that takes notes.
"""

import json
import os
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn, register_policy_loss

from searchenv.evaluation import Record
from searchenv.integrations.verl.losses import CLIP_LOSS, SUPERVISED
from searchenv.results import Result
from searchenv.training.items import TrainItem
from searchenv.types import Terms


class Length:
    """What even texts of a model of random weights differ in: a hundredth for each character."""

    reads_transcript = False

    def __call__(self, result: Result) -> Terms:
        return {"length": sum(len(s.text) for s in result.segments if s.trained) / 100}


def memory(tokenizer: Any) -> Callable[[int, Sequence[Record]], list[TrainItem]]:
    """Returns what makes a text of every third episode: its question, without all the rest."""
    episodes = count()

    def texts(step: int, records: Sequence[Record]) -> list[TrainItem]:
        (record,) = records
        ids = tuple(tokenizer.encode(record.result.question.text, add_special_tokens=False))
        item = TrainItem(ids, (0.0, 0.0, *[1.0] * (len(ids) - 2)), weight=0.3)
        return [] if next(episodes) % 3 else [item]

    return texts


@register_policy_loss("probe")  # type: ignore[untyped-decorator]
def probe(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    **others: Any,
) -> Any:
    """Returns the clipped loss; appends what it sees to the file that PROBE_FILE names."""

    def note(gradient: torch.Tensor) -> None:
        trained, supervised = response_mask.bool(), old_log_prob == SUPERVISED
        untrained = ~trained & ~supervised
        line = {
            "trained": float(gradient.abs()[trained].sum()),
            "untrained": float(gradient.abs()[untrained].sum()),
            "num_untrained": int((untrained & (log_prob != 0)).sum()),
            "supervised": gradient[supervised].tolist(),
            "texts": int(supervised.any(-1).sum()),
            "both": int((trained & supervised).sum()),
            "advantages": advantages[trained.any(-1)].abs().amax(-1).tolist(),
            "rows": len(log_prob),
        }
        with Path(os.environ["PROBE_FILE"]).open("a", encoding="ascii") as stream:
            stream.write(json.dumps(line) + "\n")

    log_prob.register_hook(note)  # type: ignore[no-untyped-call]
    loss = get_policy_loss_fn(CLIP_LOSS)
    return loss(old_log_prob, log_prob, advantages, response_mask, **others)
