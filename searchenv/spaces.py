"""Gymnasium spaces for any Unicode text.

``gymnasium.spaces.Text`` takes a fixed set of characters, and its strings never change when an
``AsyncVectorEnv`` shares memory (seen in Gymnasium 1.4.0). ``UnicodeText`` holds any ``str``, lone
surrogates included, and registers what vector environments need, so that ``SyncVectorEnv`` and
``AsyncVectorEnv`` work with their defaults.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ctypes import c_byte
from multiprocessing.sharedctypes import SynchronizedArray
from typing import Protocol, SupportsIndex, cast, overload

import numpy as np
from gymnasium import Space
from gymnasium.vector.utils import (
    create_empty_array,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)

__all__ = ["UnicodeText"]

_LENGTH_BYTES = 8
_MAX_BYTES_PER_CHAR = 4
# Samples mix scripts, markup and white space, so that random agents exercise every path.
_SAMPLE_CHARS = "abcdefghij ABC 0123 .,?!'\"<>/|{}[]\n\tßéÅñ中文日本語עבריתعربى🙂\u0301\u200b\u2028"


class UnicodeText(Space[str]):
    """All strings of at most ``max_length`` characters.

    Args:
        max_length: in code points, at least ``min_length``. ``AsyncVectorEnv`` reserves four bytes
            each.
        min_length: in code points, at least 0.
        seed: seeds ``sample``.

    Raises:
        ValueError: the lengths are out of range.
    """

    def __init__(
        self,
        max_length: int,
        *,
        min_length: int = 0,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if not 0 <= min_length <= max_length:
            raise ValueError(
                f"expected 0 <= min_length <= max_length, got {min_length} and {max_length}"
            )
        self.min_length = min_length
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: a text has no fixed shape."""
        return False

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Returns a random text of at most 200 characters in mixed scripts; takes no masks."""
        if mask is not None or probability is not None:
            raise ValueError("UnicodeText.sample takes no mask and no probability")
        longest = min(self.max_length, max(self.min_length, 200))
        length = int(self.np_random.integers(self.min_length, longest + 1))
        picks = self.np_random.integers(0, len(_SAMPLE_CHARS), size=length)
        return "".join(_SAMPLE_CHARS[i] for i in picks)

    def contains(self, x: object) -> bool:
        """Returns whether ``x`` is a string of a permitted length."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Returns the texts as they are."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[str]) -> list[str]:
        """Returns the texts as they are."""
        return list(sample_n)

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length}, min_length={self.min_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and (self.min_length, self.max_length) == (
            other.min_length,
            other.max_length,
        )

    def __hash__(self) -> int:
        return hash((self.min_length, self.max_length))


@create_empty_array.register(UnicodeText)
def _empty(space: UnicodeText, n: int = 1, fn: object = np.zeros) -> tuple[str, ...]:
    return (" " * space.min_length,) * n


class _Context(Protocol):
    """The part of ``multiprocessing`` and its contexts that makes shared arrays."""

    def Array(self, typecode: type, size: int) -> "SynchronizedArray[int]": ...  # noqa: N802


@create_shared_memory.register(UnicodeText)
def _create(
    space: UnicodeText, n: int = 1, ctx: _Context | None = None
) -> "SynchronizedArray[int]":
    assert ctx is not None
    return ctx.Array(c_byte, n * _slot_bytes(space))


@write_to_shared_memory.register(UnicodeText)
def _write(
    space: UnicodeText, index: int, value: str, shared_memory: "SynchronizedArray[int]"
) -> None:
    if not space.contains(value):
        raise ValueError(
            f"an observation of {len(value)} characters is not in {space}: "
            "raise max_chars or lower Limits.max_observation"
        )
    encoded = value.encode("utf-8", "surrogatepass")
    slot = _slots(shared_memory, _slot_bytes(space))[index]
    slot[:_LENGTH_BYTES] = np.frombuffer(len(encoded).to_bytes(_LENGTH_BYTES, "little"), np.uint8)
    slot[_LENGTH_BYTES : _LENGTH_BYTES + len(encoded)] = np.frombuffer(encoded, np.uint8)


@read_from_shared_memory.register(UnicodeText)
def _read(
    space: UnicodeText, shared_memory: "SynchronizedArray[int]", n: int = 1
) -> "_SharedTexts":
    return _SharedTexts(_slots(shared_memory, _slot_bytes(space)))


class _SharedTexts(Sequence[str]):
    """The current texts in shared memory; a deep copy is a plain tuple.

    ``AsyncVectorEnv`` reads its shared memory once and expects a live view of it.
    """

    def __init__(self, slots: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
        self._slots = slots  # (num_envs, slot_bytes)

    def __len__(self) -> int:
        return len(self._slots)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        slot = self._slots[index]
        length = int.from_bytes(slot[:_LENGTH_BYTES].tobytes(), "little")
        raw: bytes = slot[_LENGTH_BYTES : _LENGTH_BYTES + length].tobytes()
        return raw.decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __deepcopy__(self, memo: Mapping[int, object]) -> tuple[str, ...]:
        return tuple(self)


def _slot_bytes(space: UnicodeText) -> int:
    return _LENGTH_BYTES + _MAX_BYTES_PER_CHAR * space.max_length


def _slots(
    shared_memory: "SynchronizedArray[int]", slot_bytes: int
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    flat = np.frombuffer(cast(bytes, shared_memory.get_obj()), dtype=np.uint8)
    return flat.reshape(-1, slot_bytes)
