"""The role of a generator: a model that continues a text. An agent that uses one is a policy."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from searchenv.types import Segment

__all__ = [
    "Completion",
    "Finish",
    "Generator",
    "Prompt",
    "Sampling",
    "ToolGenerator",
    "Transcript",
    "prompt_text",
    "sample_seed",
]


@dataclass(frozen=True, slots=True)
class Transcript:
    """An episode so far in both forms that models take: a generator reads the one it needs."""

    segments: tuple[Segment, ...]
    """For models that continue a text; ids that were sampled stand in them."""
    messages: tuple[Mapping[str, object], ...]
    """For chat servers."""


Prompt = str | Sequence[int] | Sequence[Mapping[str, object]] | Transcript
"""What is continued: a text, token ids, the messages of a chat, or an episode. None is empty."""


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
    """Up to the stop string; see :meth:`Generator.generate`."""
    finish: Finish
    token_ids: tuple[int, ...] | None = None
    """The sampled ids of the text, where known; never made again from it."""
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
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        """Returns ``n`` completions for each prompt.

        Args:
            prompts: what to continue.
            stop: strings that end a completion.
            include_stop: whether the text holds the stop string that ended it. Where ids are known
                the rest of the token that it ends in follows it.
            forbid: strings that a completion must not hold.
            seeds: one for each prompt, at least 0; None: the model's own randomness.
            n: completions a prompt, at least 1.

        Raises:
            PolicyError: a prompt cannot be continued: it is too long, or the server failed after
                its retries.
        """
        ...


@runtime_checkable
class ToolGenerator(Protocol):
    """A generator that can also call tools through the API of a chat server."""

    def generate_calls(
        self,
        prompts: Sequence[Prompt],
        *,
        tools: Sequence[Mapping[str, object]],
        seeds: Sequence[int] | None = None,
    ) -> list[Completion]:
        """Returns an assistant message for each prompt: JSON with ``content``, ``tool_calls``.

        Raises:
            PolicyError: as for :meth:`Generator.generate`.
        """
        ...


def prompt_text(prompt: Prompt) -> str | None:
    r"""Returns a prompt as the one text that a model continues; None for token ids.

    Messages are joined by blank lines.

    >>> prompt_text([{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}])
    'Be short.\n\nHi'
    """
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Transcript):
        return "".join(segment.text for segment in prompt.segments)
    contents = [message.get("content") for message in prompt if isinstance(message, Mapping)]
    return "\n\n".join(str(content or "") for content in contents) if contents else None


def sample_seed(seed: int, *path: int | str) -> int:
    """Returns the seed of a part of what ``seed`` decides, below 2 ** 31; servers take no more."""
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
