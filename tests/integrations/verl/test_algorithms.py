"""Advantages in verl are the numbers of the driver in one process."""

import math

import pytest
import torch
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from searchenv.integrations.verl import algorithms  # noqa: F401  (registers them)

REWARDS = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 9.0]])
MASK = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]])  # the last one is padding
UIDS = ["a", "a", "a", "pad"]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("group_mean", [1 / 3, -2 / 3, 1 / 3]),
        ("rloo", [0.5, -1.0, 0.5]),
        ("grpo", [math.sqrt(1 / 3), -2 * math.sqrt(1 / 3), math.sqrt(1 / 3)]),
        ("reinforce++_baseline", [math.sqrt(1 / 3), -2 * math.sqrt(1 / 3), math.sqrt(1 / 3)]),
        ("reinforce++", [math.sqrt(1 / 3), -2 * math.sqrt(1 / 3), math.sqrt(1 / 3)]),
    ],
)
def test_by_hand(name: str, numbers: list[float]) -> None:
    estimator = get_adv_estimator_fn(f"searchenv_{name}")
    found, returns = estimator(
        token_level_rewards=REWARDS, response_mask=MASK, index=UIDS, config=None
    )
    expected = torch.tensor([*numbers, 0.0]).unsqueeze(-1) * MASK
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(found, returns)


def test_a_group_that_lost_its_siblings_teaches_nothing() -> None:
    estimator = get_adv_estimator_fn("searchenv_grpo")
    found, _ = estimator(
        token_level_rewards=REWARDS, response_mask=MASK, index=["a", "b", "c", "d"]
    )
    assert torch.equal(found, torch.zeros(4, 3))
