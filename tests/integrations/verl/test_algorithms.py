"""Advantages and losses in verl are the numbers of the driver in one process."""

import math
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from verl import DataProto
from verl.trainer.ppo.core_algos import (
    FixedKLController,
    get_adv_estimator_fn,
    get_policy_loss_fn,
)

from searchenv.integrations.verl import algorithms  # noqa: F401  (registers them)
from searchenv.integrations.verl.losses import CLIP_LOSS, SUPERVISED
from searchenv.training.advantages import Advantage
from searchenv.training.items import Kind, TrainItem, make_batch
from searchenv.training.losses import PolicyLoss, total_loss
from searchenv.training.token_advantages import token_advantages

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from verl.trainer.ppo.ray_trainer import apply_kl_penalty
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

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


# Two questions with two samples each; the reward of an episode stands at its last token, which is a
# retrieved one in the second sample; the fifth row is verl's padding.
TOKEN_MASK = torch.tensor(
    [[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.int64
)
SCORES = torch.tensor(
    [[0, 0, 1.0, 0], [0, 0, 3.0, 0], [0, 0.0, 0, 0], [0, 0, 3.0, 0], [9.0, 0, 0, 0]]
)
DIVERGENCE = torch.tensor(
    [
        [0.2, 9.0, 0.0, 9.0],
        [0.3, 0.0, 9.0, 9.0],
        [9.0, 0.0, 9.0, 9.0],
        [0.1, -0.2, 0.0, 9.0],
        [9.0, 9.0, 9.0, 9.0],
    ]
)
GROUPS = ["a", "b", "a", "b", "pad"]


def verls_advantages(kind: str, divergence: torch.Tensor, kl: float) -> torch.Tensor:
    """Returns what verl's trainer computes with ``use_kl_in_reward`` and ``kl_penalty: kl``."""
    data = DataProto.from_dict(
        tensors={
            "token_level_scores": SCORES,
            "response_mask": TOKEN_MASK,
            "old_log_probs": divergence - 1.0,
            "ref_log_prob": torch.full_like(SCORES, -1.0),
        },
        non_tensors={"uid": np.array(GROUPS, dtype=object)},
    )
    data, _ = apply_kl_penalty(data, kl_ctrl=FixedKLController(kl), kl_penalty="kl")
    keys = [f"{group}_{row}_0" for row, group in enumerate(GROUPS)]
    found = compute_advantage_for_multi_trajectories(data, keys, adv_estimator=kind, config={})
    advantages: torch.Tensor = found.batch["advantages"]
    assert torch.equal(advantages, found.batch["returns"])
    return advantages


def test_divergence_as_a_cost_of_each_token_by_hand() -> None:
    found = verls_advantages("searchenv_token_group_mean", DIVERGENCE, kl=0.5)
    # rewards minus the group's mean: 0.5, 0, -0.5, 0; then minus 0.5 times what is still to come
    expected = [
        [0.5 - 0.1, 0.0, 0.5, 0.0],
        [-0.15, 0.0, 0.0, 0.0],
        [0.0, -0.5, 0.0, 0.0],
        [-0.05 + 0.1, 0.1, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    assert found.tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_r1_searchers_advantages_by_hand() -> None:
    found = verls_advantages("searchenv_token_reinforce++_baseline", DIVERGENCE, kl=0.5)
    # the eight trained tokens of the test above, whitened
    tokens = [0.4, 0.5, -0.15, 0.0, -0.5, 0.05, 0.1, 0.0]
    mean = sum(tokens) / 8
    deviation = math.sqrt(sum((value - mean) ** 2 for value in tokens) / 8)
    white = [(value - mean) / deviation for value in tokens]
    assert found[TOKEN_MASK.bool()].tolist() == pytest.approx(white, abs=1e-5)
    assert not found[~TOKEN_MASK.bool()].any()


@pytest.mark.parametrize("kind", list(Advantage))
def test_tokens_in_verl_are_those_of_the_driver_in_one_process(kind: Advantage) -> None:
    mask = TOKEN_MASK[:4].float()
    expected = token_advantages(
        [1.0, 3.0, 0.0, 3.0], GROUPS[:4], mask, kind, divergence=DIVERGENCE[:4], kl=0.01
    )
    found = verls_advantages(f"searchenv_token_{kind.value}", DIVERGENCE, kl=0.01)
    assert torch.allclose(found[:4], expected, atol=1e-5)


def test_the_cost_of_the_last_tokens_is_compared_with_the_group() -> None:
    last = DIVERGENCE.clone()
    last[0, 2], last[2, 1] = 0.4, 0.2  # the last trained tokens of group a, whose mean is 0.3
    found = verls_advantages("searchenv_token_group_mean", last, kl=0.5)
    exact = token_advantages(
        [1.0, 3.0, 0.0, 3.0],
        GROUPS[:4],
        TOKEN_MASK[:4].float(),
        Advantage.GROUP_MEAN,
        divergence=last[:4],
        kl=0.5,
    )
    shift = torch.tensor([0.15, 0.0, 0.15, 0.0])[:, None] * TOKEN_MASK[:4]
    assert torch.allclose(found[:4], exact + shift, atol=1e-6)


def actor(rows: int, tokens: int) -> SimpleNamespace:
    """Returns what a loss reads of verl's configuration and of the update."""
    return SimpleNamespace(
        clip_ratio=0.2,
        clip_ratio_low=0.2,
        clip_ratio_high=0.2,
        get=lambda key, default=None: default,
        global_batch_info={
            "dp_size": 1,
            "batch_num_tokens": tokens,
            "global_batch_size": rows,
            "loss_scale_factor": None,
        },
    )


def policy_loss(name: str, log_prob: torch.Tensor, **tensors: torch.Tensor) -> Any:
    mask = tensors["response_mask"]
    return get_policy_loss_fn(name)(
        log_prob=log_prob,
        loss_agg_mode="seq-mean-token-mean",
        config=actor(int(mask.any(-1).sum()), int(mask.sum())),
        rollout_is_weights=None,
        **tensors,
    )


def test_clipping_by_hand() -> None:
    old = torch.zeros(2, 2)
    log_prob = torch.tensor([[0.5, -0.5], [0.1, 2.0]], requires_grad=True)
    advantages = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    mask = torch.ones(2, 2, dtype=torch.bool)
    tensors = {"old_log_prob": old, "advantages": advantages, "response_mask": mask}
    loss, metrics = policy_loss(CLIP_LOSS, log_prob, **tensors)
    # the first token is clipped at 1.2; the mean of each row's two tokens, then of the rows
    tokens = [-1.2, -math.exp(-0.5), math.exp(0.1), math.exp(2.0)]
    assert loss.item() == pytest.approx(sum(tokens) / 4)
    assert metrics == {
        "actor/pg_clipfrac": pytest.approx(0.25),
        "actor/ppo_kl": pytest.approx(-2.1 / 4),
    }
    loss.backward()
    assert log_prob.grad is not None
    assert log_prob.grad.flatten().tolist() == pytest.approx([0.0, *(t / 4 for t in tokens[1:])])
    # verl's own cuts what a token of negative advantage can cost at three times its size
    stock, _ = policy_loss("vanilla", log_prob, **tensors)
    assert stock.item() == pytest.approx((sum(tokens[:3]) + 3.0) / 4)


def test_supervised_tokens_beside_the_policys_are_the_drivers_numbers() -> None:
    items = [
        TrainItem((1, 2, 3), (0, 1, 1), Kind.POLICY, advantage=0.7),
        TrainItem((1, 2, 3), (0, 0, 1), Kind.POLICY, advantage=-0.7),
        TrainItem((4, 5, 6), (0, 1, 1), Kind.SFT, weight=0.1),
    ]
    batch = make_batch(items)
    old = torch.tensor([[-1.0, -2.0], [-1.0, -0.5], [-3.0, -3.0]])
    now = torch.tensor([[-1.5, -1.9], [-7.0, -0.6], [-2.5, -2.0]])
    expected, log_prob = now.clone().requires_grad_(), now.clone().requires_grad_()
    total_loss(batch, expected, old, None, PolicyLoss(clip=0.2)).backward()  # type: ignore[no-untyped-call]

    is_policy = batch.is_policy[:, None]
    loss, _ = policy_loss(
        CLIP_LOSS,
        log_prob,
        old_log_prob=torch.where(is_policy, old, SUPERVISED),
        advantages=torch.where(is_policy, batch.advantages, 0.1 / 2),
        response_mask=batch.mask.bool() & is_policy,
    )
    loss.backward()
    assert expected.grad is not None
    assert log_prob.grad is not None
    assert torch.allclose(log_prob.grad, expected.grad, atol=1e-7)
    assert log_prob.grad[2].tolist() == pytest.approx([-0.05, -0.05])
