"""Advantages of episodes from their rewards: how much better than expected each one was.

Every episode has one number, which all of its trained tokens share. Rewards come in groups, the
samples of one question; samples that failed are not in them, so that groups may differ in size.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from enum import StrEnum

import numpy as np

__all__ = ["Advantage", "advantages", "grouped_advantages"]

_TINY = 1e-6  # added to deviations


class Advantage(StrEnum):
    """What a reward is compared with, and how the difference is scaled."""

    GRPO = "grpo"
    """Minus the mean of the group, divided by its deviation: Shao et al. 2024 (arXiv 2402.03300),
    section 4.1.2."""
    GROUP_MEAN = "group_mean"
    """Minus the mean of the group: GRPO without the deviation, Liu et al. 2025 (arXiv
    2503.20783)."""
    RLOO = "rloo"
    """Minus the mean of the others of the group: Ahmadian et al. 2024 (arXiv 2402.14740)."""
    REINFORCE_PP = "reinforce++"
    """Minus the mean of the batch, divided by its deviation: Hu 2025 (arXiv 2501.03262). All tokens
    of an episode share it: the penalty on the divergence is in the loss, not in the reward."""
    REINFORCE_PP_BASELINE = "reinforce++_baseline"
    """Minus the mean of the group, then divided by the deviation of the batch: the same paper's
    variant with a group baseline."""


def advantages(groups: Sequence[Sequence[float]], kind: Advantage) -> list[list[float]]:
    """Returns the advantage of every sample, in the form of ``groups``.

    Deviations are those of samples (n - 1). A group of one has nothing to be compared with: with a
    baseline of the group it gets 0, and so does an empty batch's nothing.

    >>> advantages([[1.0, 0.0, 0.0, 0.0]], Advantage.GROUP_MEAN)
    [[0.75, -0.25, -0.25, -0.25]]
    >>> advantages([[1.0, 0.0, 0.0]], Advantage.RLOO)
    [[1.0, -0.5, -0.5]]
    """
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    if kind is Advantage.REINFORCE_PP:
        every = np.concatenate(arrays) if arrays else np.zeros(0)
        centred = [group - every.mean() for group in arrays]
    elif kind is Advantage.RLOO:
        centred = [
            (group - group.mean()) * len(group) / (len(group) - 1) if len(group) > 1 else group * 0
            for group in arrays
        ]
    else:
        centred = [group - group.mean() if len(group) else group for group in arrays]
    if kind is Advantage.GRPO:
        centred = [group / (_deviation(group) + _TINY) for group in centred]
    elif kind in (Advantage.REINFORCE_PP, Advantage.REINFORCE_PP_BASELINE) and centred:
        scale = _deviation(np.concatenate(centred)) + _TINY
        centred = [group / scale for group in centred]
    return [[float(value) for value in group] for group in centred]


def grouped_advantages(
    rewards: Sequence[float], groups: Sequence[Hashable], kind: Advantage
) -> list[float]:
    """Returns the advantage of every sample where ``groups`` names the group of each.

    >>> grouped_advantages([1.0, 0.0, 0.0], ["a", "b", "a"], Advantage.GROUP_MEAN)
    [0.5, 0.0, -0.5]
    """
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        places[group].append(place)
    found = advantages([[rewards[i] for i in members] for members in places.values()], kind)
    values = [0.0] * len(rewards)
    for members, numbers in zip(places.values(), found, strict=True):
        for place, number in zip(members, numbers, strict=True):
            values[place] = number
    return values


def _deviation(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
