"""A random stream that is the same on every machine and every Python version.

Only ``Random.seed(int)`` and ``Random.getrandbits`` are used: their output is that of the Mersenne
Twister, while ``choice``, ``sample`` and ``shuffle`` may change between Python versions.
"""

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

__all__ = ["Stream"]

T = TypeVar("T")


class Stream:
    """Draws from a seed and a name; streams with different names do not disturb each other.

    >>> Stream(0, "example").sample("abcdef", 3) == Stream(0, "example").sample("abcdef", 3)
    True
    """

    def __init__(self, seed: int, name: str) -> None:
        digest = sha256(f"{seed}/{name}".encode()).digest()
        self._random = Random(int.from_bytes(digest[:16], "big"))

    def below(self, n: int) -> int:
        """Returns an integer from 0 to n - 1; ``n`` must be at least 1."""
        if n < 1:
            raise ValueError(f"n must be >= 1, got {n}")
        bits = n.bit_length()
        while (value := self._random.getrandbits(bits)) >= n:
            pass
        return value

    def between(self, low: int, high: int) -> int:
        """Returns an integer from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self._random.getrandbits(53) < probability * 2**53

    def pick(self, items: Sequence[T]) -> T:
        """Returns one of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """Returns ``k`` of the items, all if there are fewer, in random order, none twice."""
        pool = list(items)
        k = min(k, len(pool))
        for i in range(k):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:k]
