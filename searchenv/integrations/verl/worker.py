"""What the trajectories of one process share: tools, limits, rewards, and the log."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from searchenv.integrations.verl.groups import GroupBarrier
from searchenv.integrations.verl.log import EpisodeLog
from searchenv.integrations.verl.node import node_service
from searchenv.integrations.verl.pooling import search_pool
from searchenv.integrations.verl.settings import LoopSettings
from searchenv.protocols import get_protocol

__all__ = ["Worker", "shared_worker"]

_MIN_FAILED = 4
_TEXTS = 4096


class CachedTokenizer:
    """A tokenizer that remembers the ids of texts: siblings share prompts, turns share the past.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._size = len(tokenizer)
        self.all_special_ids = frozenset(tokenizer.all_special_ids)
        self._encode = lru_cache(maxsize=_TEXTS)(self._encode_once)

    def __len__(self) -> int:
        return self._size

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text."""
        return list(self._encode(text, add_special_tokens))

    def decode(self, token_ids: list[int], **options: Any) -> str:
        """Returns the text of ids."""
        return str(self._tokenizer.decode(token_ids, **options))

    def _encode_once(self, text: str, special: bool) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=special))


class Worker:
    """The parts of a task that are made once in a process, in its event loop.

    Args:
        settings: of the loop.
        tokenizer: measures observations.
    """

    def __init__(self, settings: LoopSettings, tokenizer: Any) -> None:
        index = node_service(settings) if settings.retrieval == "node" else settings.index
        self.settings = settings
        self.tokenizer = CachedTokenizer(tokenizer)
        self.protocol = get_protocol(settings.protocol)
        self.limits = settings.limits(
            lambda text: len(self.tokenizer.encode(text, add_special_tokens=False))
        )
        self.reward = settings.make_reward()
        group_reward = settings.make_group_reward()
        self.barrier = None if group_reward is None else GroupBarrier(group_reward)
        self.auxiliary = settings.make_auxiliary(tokenizer)
        self.pool = search_pool(index, settings.engine or None, settings.k)
        self.log = EpisodeLog(settings.log, self.spent)
        self._environment_s = 0.0
        self._played: Counter[tuple[str, int]] = Counter()
        self._failed: Counter[tuple[str, int]] = Counter()

    def is_outage(self, step: tuple[str, int], *, failed: bool) -> bool:
        """Counts an episode of a step; returns whether too many of the step have failed.

        Args:
            step: split and number.
            failed: whether this one has.
        """
        self._played[step] += 1
        self._failed[step] += failed
        lost = self._failed[step]
        return (
            failed and lost >= _MIN_FAILED and lost > self.settings.max_failed * self._played[step]
        )

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts the time inside the block as the environment's."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._environment_s += time.perf_counter() - started

    def spent(self) -> dict[str, float]:
        """Returns the seconds that this process has spent so far; waiting is not among them."""
        return {"environment": self._environment_s, "retrieval": self.pool.seconds}


@lru_cache(maxsize=8)
def shared_worker(settings: LoopSettings, tokenizer: Any) -> Worker:
    """Returns the worker of this process; verl makes a loop for every trajectory."""
    return Worker(settings, tokenizer)
