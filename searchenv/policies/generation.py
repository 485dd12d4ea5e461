"""The role of a generator: a model that continues a text. An agent that uses one is a policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Completion", "Finish", "Generator", "Prompt", "Sampling"]

Prompt = str | Sequence[int] | Sequence[Mapping[str, object]]
"""What is continued: a text, token ids, or the messages of a chat."""


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    """It came to a stop string or to its end token."""
    LENGTH = "length"
    """It was cut at ``max_tokens``."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote after a prompt."""

    text: str
    """Up to the stop string, with it where the generator says so."""
    finish: Finish
    token_ids: tuple[int, ...] | None = None
    """The sampled ids, where known; never made again from the text."""
    logprobs: tuple[float, ...] | None = None
    """Natural logarithms of the probabilities of ``token_ids``, where known."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model draws its tokens.

    Raises:
        ValueError: a value is out of range.
    """

    max_tokens: int = 512
    """Tokens a completion may have, at least 1."""
    temperature: float = 0.0
    """0 takes the most probable token; at least 0."""
    top_p: float = 1.0
    """Draws from the most probable tokens that together have this probability; in (0, 1]."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be >= 1, got {self.max_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be >= 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")


class Generator(Protocol):
    """Continues prompts, many at a time."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        """Returns ``n`` completions for each prompt.

        Args:
            prompts: what to continue.
            stop: strings that end a completion. The text ends with the stop string that ended it.
            forbid: strings that a completion must not hold.
            seeds: one for each prompt, at least 0; None: the model's own randomness.
            n: completions a prompt, at least 1.

        Raises:
            PolicyError: a prompt cannot be continued: it is too long, or the server failed after
                its retries.
        """
        ...
