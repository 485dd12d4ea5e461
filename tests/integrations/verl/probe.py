"""What a test of the trainer puts into verl's processes: a reward, and a loss that takes notes."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from verl.trainer.ppo.core_algos import get_policy_loss_fn, register_policy_loss

from searchenv.results import Result
from searchenv.types import Terms


class Length:
    """What even texts of a model of random weights differ in: a hundredth for each character."""

    reads_transcript = False

    def __call__(self, result: Result) -> Terms:
        return {"length": sum(len(s.text) for s in result.segments if s.trained) / 100}


@register_policy_loss("probe")  # type: ignore[untyped-decorator]
def probe(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    **others: Any,
) -> Any:
    """Returns verl's own loss; appends the largest gradients to the file that PROBE_FILE names."""

    def note(gradient: torch.Tensor) -> None:
        trained = response_mask.bool()
        line = {
            "trained": float(gradient[trained].abs().max()),
            "untrained": float(gradient[~trained].abs().max()),
            "num_untrained": int((~trained & (log_prob != 0)).sum()),
        }
        with Path(os.environ["PROBE_FILE"]).open("a", encoding="ascii") as stream:
            stream.write(json.dumps(line) + "\n")

    log_prob.register_hook(note)  # type: ignore[no-untyped-call]
    loss = get_policy_loss_fn("vanilla")
    return loss(old_log_prob, log_prob, advantages, response_mask, **others)
