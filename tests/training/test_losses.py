"""Losses, advantages and batches, with values worked out by hand; gradients."""

from collections.abc import Sequence
from math import exp, log
from pathlib import Path

import pytest
import torch

from searchenv.tokens import TokenSample
from searchenv.training.advantages import Advantage, advantages
from searchenv.training.items import Kind, TrainItem, make_batch
from searchenv.training.losses import PolicyLoss, score_tokens, token_means, total_loss
from searchenv.training.models import load_model
from searchenv.training.optimizer import Updater

GROUPS = ((1.0, 0.0, 0.0, 0.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Advantage.GROUP_MEAN, [[0.75, -0.25, -0.25, -0.25], [0.0, 0.0]]),
        (Advantage.RLOO, [[1.0, -1 / 3, -1 / 3, -1 / 3], [0.0, 0.0]]),
        (Advantage.GRPO, [[1.5, -0.5, -0.5, -0.5], [0.0, 0.0]]),  # deviation 0.5
        # mean 0.5, deviation sqrt(6 * 0.25 / 5)
        (Advantage.REINFORCE_PP, [[0.9128709, *[-0.9128709] * 3], [0.9128709] * 2]),
        # after the group mean: deviation sqrt(0.75 / 5)
        (Advantage.REINFORCE_PP_BASELINE, [[1.9364917, *[-0.6454972] * 3], [0.0, 0.0]]),
    ],
)
def test_advantages_by_hand(kind: Advantage, expected: list[list[float]]) -> None:
    for found, wanted in zip(advantages(GROUPS, kind), expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("kind", list(Advantage))
def test_advantages_of_groups_that_lost_samples(kind: Advantage) -> None:
    found = advantages([[], [1.0], [0.0, 1.0]], kind)
    assert [len(group) for group in found] == [0, 1, 2]
    assert advantages([], kind) == []
    if kind is not Advantage.REINFORCE_PP:
        assert found[1] == [0.0]


def losses(ratio: float, advantage: float, **options: float) -> float:
    old = torch.tensor([[log(0.5)]])
    new = torch.tensor([[log(0.5 * ratio)]])
    reference = torch.tensor([[log(0.25)]]) if "kl" in options else None
    loss = PolicyLoss(**options)(new, old, reference, torch.tensor([[advantage]]))
    return float(loss)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, -2.0),
        (1.1, 2.0, -2.2),
        (1.5, 2.0, -2.4),  # clipped at 1.2
        (0.5, 2.0, -1.0),  # a better episode made less probable is not clipped
        (0.5, -2.0, 1.6),  # clipped at 0.8
        (1.5, -2.0, 3.0),
    ],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, expected: float) -> None:
    assert losses(ratio, advantage, clip=0.2) == pytest.approx(expected, abs=1e-6)


def test_policy_loss_divergence_by_hand() -> None:
    d = log(0.25 / 0.5)
    assert losses(1.0, 0.0, kl=0.5) == pytest.approx(0.5 * (exp(d) - d - 1), abs=1e-6)


def test_policy_loss_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="clip must be >= 0, got -1"):
        PolicyLoss(clip=-1)


def test_token_means_are_over_trained_tokens() -> None:
    values = torch.tensor([[1.0, 2.0, 9.0], [4.0, 5.0, 6.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert token_means(values, mask).tolist() == [1.5, 6.0, 0.0]


def item(
    kind: Kind,
    ids: Sequence[int],
    mask: Sequence[float],
    weight: float = 1.0,
    advantage: float = 0.0,
) -> TrainItem:
    return TrainItem(tuple(ids), tuple(mask), kind, weight, advantage)


def test_total_loss_by_hand() -> None:
    batch = make_batch(
        [
            item(Kind.POLICY, [1, 2, 3], [0, 1, 1], advantage=1.0),
            item(Kind.POLICY, [1, 2], [0, 1], advantage=-0.5),
            item(Kind.SFT, [1, 2, 3], [0, 0, 1], weight=0.1),
        ]
    )
    assert batch.ids.tolist() == [[1, 2, 3], [1, 2, 0], [1, 2, 3]]
    assert batch.mask.tolist() == [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    loss = total_loss(batch, logprobs, logprobs, None, PolicyLoss())
    # policy: mean of -1 and 0.5; supervised: 0.1 * 6
    assert float(loss) == pytest.approx(-0.25 + 0.6)


def test_item_of_a_sample_and_its_mask() -> None:
    sample = TokenSample((5, 6), (7, 8, 9), (1, 0, 1), None)
    assert TrainItem.of(sample) == TrainItem((5, 6, 7, 8, 9), (0.0, 0.0, 1.0, 0.0, 1.0))
    assert TrainItem.of(sample, prompt=0.1, observed=0.5).mask == (0.1, 0.1, 1.0, 0.5, 1.0)


def test_item_mask_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a mask of 2 numbers, one for each id, got 1"):
        TrainItem((1, 2), (1.0,))


def test_score_tokens_is_the_models_own(random_model: Path) -> None:
    model, _ = load_model(random_model)
    ids = torch.tensor([[300, 301, 302, 303], [300, 305, 0, 0]])
    scored = score_tokens(model, ids)
    alone = torch.log_softmax(model(ids[1:, :2]).logits[0, 0].detach(), -1)
    assert float(scored.logprobs[1, 0].detach()) == pytest.approx(float(alone[305]), abs=1e-5)
    assert float(scored.entropy()[1, 0]) == pytest.approx(
        float(-(alone.exp() * alone).sum()), abs=1e-5
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_untrained_tokens_have_no_gradient(kind: Kind) -> None:
    batch = make_batch([item(kind, [1, 2, 3, 4], [0, 1, 0, 1], advantage=1.0)])
    logprobs = torch.tensor([[-1.0, -2.0, -3.0]], requires_grad=True)
    loss = total_loss(batch, logprobs, logprobs.detach(), None, PolicyLoss())
    loss.backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[-0.5, 0.0, -0.5]]


def test_update_without_advantage_changes_nothing(random_model: Path) -> None:
    model, _ = load_model(random_model)
    before = [parameter.clone() for parameter in model.parameters()]
    updater = Updater(model, learning_rate=0.1)
    learnt = updater.learn([[item(Kind.POLICY, [300, 301, 302], [0, 1, 1])]])
    assert learnt["grad_norm"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_update_follows_the_advantage(random_model: Path) -> None:
    good = item(Kind.POLICY, [300, 301, 302], [0, 1, 1], advantage=1.0)
    bad = item(Kind.POLICY, [300, 304, 305], [0, 1, 1], advantage=-1.0)
    model, _ = load_model(random_model)
    updater = Updater(
        model,
        learning_rate=1e-2,
        loss=PolicyLoss(kl=0.01),
        reference=load_model(random_model)[0],
    )
    ids = torch.tensor([good.ids, bad.ids])
    before = score_tokens(model, ids).logprobs.sum(1).tolist()
    first = updater.learn([[good], [bad]])
    after = score_tokens(model, ids).logprobs.sum(1).tolist()
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert first["kl"] >= 0
    assert first["grad_norm"] > 0
    assert updater.learn([]) == {}
