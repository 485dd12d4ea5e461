"""Advantages of tokens, worked out by hand; the gradient of the loss by finite differences."""

from math import sqrt

import pytest
import torch

from searchenv.training.advantages import Advantage
from searchenv.training.items import Kind, TrainItem, make_batch
from searchenv.training.losses import PolicyLoss, token_means, total_loss
from searchenv.training.token_advantages import token_advantages

# two questions with two samples each, not side by side; retrieved tokens in the middle; filled up
REWARDS = [1.0, 3.0, 0.0, 3.0]
GROUPS = ["a", "b", "a", "b"]
MASK = torch.tensor(
    [
        [1.0, 0.0, 0.0, 1.0],
        [1.0, 1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0],
        [1.0, 0.0, 1.0, 0.0],
    ]
)
DIVERGENCE = torch.tensor(
    [
        [0.2, 9.0, 9.0, 0.4],
        [0.0, 0.0, 9.0, 9.0],
        [9.0, 0.1, 9.0, 9.0],
        [-0.2, 9.0, 0.2, 9.0],
    ]
)


def test_returns_by_hand_without_whitening() -> None:
    found = token_advantages(
        REWARDS, GROUPS, MASK, Advantage.GROUP_MEAN, divergence=DIVERGENCE, kl=0.5
    )
    expected = [
        [0.5 - 0.3, 0.0, 0.0, 0.5 - 0.2],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, -0.5 - 0.05, 0.0, 0.0],
        [0.0, 0.0, -0.1, 0.0],  # -0.5 * (-0.2 + 0.2), then -0.5 * 0.2
    ]
    for row, wanted in zip(found, expected, strict=True):
        assert row.tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "compared"),
    [
        (Advantage.REINFORCE_PP, [1.0, 3.0, 0.0, 3.0]),
        (Advantage.REINFORCE_PP_BASELINE, [0.5, 0.0, -0.5, 0.0]),
        (Advantage.RLOO, [1.0, 0.0, -1.0, 0.0]),
    ],
)
def test_whitening_is_over_trained_tokens(kind: Advantage, compared: list[float]) -> None:
    found = token_advantages(REWARDS, GROUPS, MASK, kind)
    lengths = [2, 2, 1, 2]
    tokens = [value for value, n in zip(compared, lengths, strict=True) for _ in range(n)]
    mean = sum(tokens) / 7
    deviation = sqrt(sum((value - mean) ** 2 for value in tokens) / 7)
    expected = [(value - mean) / deviation for value in compared]
    for row, mask, value in zip(found, MASK, expected, strict=True):
        assert row.tolist() == pytest.approx((mask * value).tolist(), abs=1e-6)


def test_reinforce_with_baseline_by_hand() -> None:
    # one group, rewards 1 and 0 of one and three tokens: +0.5, and three times -0.5
    mask = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    found = token_advantages([1.0, 0.0], [0, 0], mask, Advantage.REINFORCE_PP_BASELINE)
    # mean -0.25; deviation sqrt((0.75 ** 2 + 3 * 0.25 ** 2) / 4) = 0.4330127
    assert found[0].tolist() == pytest.approx([1.7320508, 0.0, 0.0])
    assert found[1].tolist() == pytest.approx([-0.5773503] * 3)


def test_grpo_is_not_whitened() -> None:
    found = token_advantages(REWARDS, GROUPS, MASK, Advantage.GRPO)
    # the deviation of 1 and 0 is sqrt(0.5)
    expected = [0.7071058, 0.0, -0.7071058, 0.0]
    assert found.amax(1).tolist() == pytest.approx([expected[0], 0.0, 0.0, 0.0], abs=1e-5)
    assert found.amin(1).tolist() == pytest.approx([0.0, 0.0, expected[2], 0.0], abs=1e-5)


def test_compared_rewards_are_clipped_not_the_divergence() -> None:
    mask, divergence = torch.ones(2, 1), torch.full((2, 1), 20.0)
    found = token_advantages(
        [100.0, 0.0], [0, 0], mask, Advantage.GROUP_MEAN, divergence=divergence, kl=1.0
    )
    assert found.tolist() == [[-10.0], [-30.0]]


@pytest.mark.parametrize("kind", list(Advantage))
def test_equal_rewards_teach_nothing(kind: Advantage) -> None:
    found = token_advantages([2.0] * 4, GROUPS, MASK, kind)
    assert found.abs().max() < 1e-6
    assert token_advantages([], [], torch.zeros(0, 3), kind).shape == (0, 3)


@pytest.mark.parametrize("kind", list(Advantage))
def test_retrieved_tokens_change_nothing(kind: Advantage) -> None:
    other = torch.where(MASK == 1, DIVERGENCE, torch.full_like(MASK, -77.0))
    first, second = (
        token_advantages(REWARDS, GROUPS, MASK, kind, divergence=each, kl=0.1)
        for each in (DIVERGENCE, other)
    )
    assert torch.equal(first, second)
    assert bool((first[MASK == 0] == 0).all())


def test_numbers_of_episodes_must_agree() -> None:
    with pytest.raises(ValueError, match="got 1, 2 and 4"):
        token_advantages([1.0], ["a", "b"], MASK, Advantage.GRPO)


def test_loss_of_token_advantages_by_hand() -> None:
    mask = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    advantages = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.0, 0.0]])
    logprobs = torch.log(torch.tensor([[0.6, 0.9, 0.2], [0.5, 0.5, 0.5]]))
    old = torch.log(torch.tensor([[0.4, 0.1, 0.4], [0.5, 0.5, 0.5]]))
    tokens = PolicyLoss(clip=0.2)(logprobs, old, None, advantages)
    # ratio 1.5 clipped at 1.2, times 2; ratio 0.5 clipped at 0.8, times -1; an episode each
    assert float(token_means(tokens, mask).mean()) == pytest.approx(((-2.4 + 0.8) / 2 - 0.5) / 2)


def test_gradient_is_that_of_finite_differences() -> None:
    items = [
        TrainItem(
            (5, 1, 2, 3),
            (0.0, 1.0, 0.0, 1.0),
            Kind.POLICY,
            token_advantages=(0.0, 1.5, 0.0, -0.5),
        ),
        TrainItem((5, 4, 2), (0.0, 1.0, 1.0), Kind.POLICY, token_advantages=(0.0, -2.0, 0.25)),
    ]
    batch = make_batch(items)
    assert batch.advantages.tolist() == [[1.5, 0.0, -0.5], [-2.0, 0.25, 0.0]]
    generator = torch.Generator().manual_seed(0)
    old = -torch.rand(2, 3, generator=generator, dtype=torch.float64)
    # ratios on both sides of the clip, none on its edge
    shift = torch.tensor([[0.1, 0.9, -0.5], [0.05, 0.3, 0.7]], dtype=torch.float64)
    logprobs = (old + shift).requires_grad_()
    reference = old - 0.1

    def loss(values: torch.Tensor) -> torch.Tensor:
        return total_loss(batch, values, old, reference, PolicyLoss(clip=0.2, kl=0.3))

    (gradient,) = torch.autograd.grad(loss(logprobs), logprobs)
    step = 1e-6
    for row in range(2):
        for column in range(3):
            nudge = torch.zeros_like(old)
            nudge[row, column] = step
            rise = (loss(logprobs.detach() + nudge) - loss(logprobs.detach() - nudge)) / (2 * step)
            assert float(gradient[row, column]) == pytest.approx(float(rise), abs=1e-7)
    assert gradient[0, 1] == gradient[1, 2] == 0.0  # retrieved, and filled up


def test_token_advantages_are_as_many_as_ids() -> None:
    with pytest.raises(ValueError, match="expected 2 token_advantages, one for each id, got 1"):
        TrainItem((1, 2), (0.0, 1.0), Kind.POLICY, token_advantages=(1.0,))
