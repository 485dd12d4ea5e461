"""verl's replay buffer with a short poll, for steps of less than the two seconds of its own."""

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

__all__ = ["QuickReplayBuffer"]

_POLL_S = 0.1


class QuickReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """Looks every 0.1 seconds whether the trajectories of a step are there.

    Args:
        **options: what verl 0.9.1 gives a custom sampler.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(poll_interval=_POLL_S, **options)
