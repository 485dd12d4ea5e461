"""Transcripts as token ids: what a trainer of language models reads of an episode.

Ids that a model sampled stand as they are and are never made again from text. All else is encoded:
the same stretches of text by the generator that continues an episode and by the trainer that
learns from it, so that both read the same ids.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from searchenv.types import Segment, Source

__all__ = ["Piece", "TokenSample", "Tokenizer", "encode_segments", "token_sample"]


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text."""
        ...

    def __len__(self) -> int: ...


class Piece(NamedTuple):
    """A stretch of ids that has one origin."""

    ids: Sequence[int]
    trained: bool
    """Whether the loss sees it."""
    opening: bool
    """Whether it stands before the agent's first move."""
    sampled: bool
    """Whether a model sampled the ids."""


@dataclass(frozen=True, slots=True)
class TokenSample:
    """An episode as a trainer reads it; the last three are of equal length."""

    prompt_ids: tuple[int, ...]
    """What the policy read before its first move."""
    response_ids: tuple[int, ...]
    """All that followed: moves, observations, template."""
    mask: tuple[int, ...]
    """1 where the loss sees the id of the response, else 0."""
    logprobs: tuple[float, ...] | None
    """Of the sampled ids, as they were given, and 0.0 elsewhere; None where they were not given."""


def encode_segments(segments: Iterable[Segment], tokenizer: Tokenizer) -> list[Piece]:
    """Returns the ids of a transcript in pieces.

    Neighbours without ids of their own are encoded as one text, unless they differ in ``trained``
    or the agent's first move begins between them. Special tokens are added where the tokenizer puts
    them before a text, and nowhere else. An end token that a model sampled is not repeated by the
    template that follows it.

    Raises:
        ValueError: an id that was sampled is not in the tokenizer's vocabulary.
    """
    pieces: list[Piece] = []
    for (ids, trained, opening, _), members in groupby(_marked(segments), key=itemgetter(0)):
        if ids:
            _check(ids, len(tokenizer))
            pieces.append(Piece(ids, trained, opening, sampled=True))
            continue
        text = "".join(text for _, text in members)
        text = text.encode("utf-8", "replace").decode("utf-8")  # no lone surrogates
        encoded = tokenizer.encode(text, add_special_tokens=not pieces) if text else []
        if pieces and pieces[-1].sampled and _repeats_end(pieces[-1].ids, encoded, tokenizer):
            encoded = encoded[1:]
        if encoded:
            pieces.append(Piece(encoded, trained, opening, sampled=False))
    return pieces


def token_sample(
    segments: Iterable[Segment],
    tokenizer: Tokenizer,
    logprobs: Sequence[Sequence[float]] | None = None,
) -> TokenSample:
    """Returns an episode as ids, the mask of the loss, and the log-probabilities of its sampling.

    Args:
        segments: of a :class:`searchenv.Result`.
        tokenizer: of the model that played.
        logprobs: for each of the agent's moves in order, one number for each of its ids.

    Raises:
        ValueError: an id is not in the vocabulary, or ``logprobs`` do not belong to the moves.
    """
    pieces = encode_segments(segments, tokenizer)
    prompt = [i for piece in pieces if piece.opening for i in piece.ids]
    response = [piece for piece in pieces if not piece.opening]
    given = None
    if logprobs is not None:
        lengths = [len(piece.ids) for piece in response if piece.sampled]
        moves = [move for move in logprobs if len(move)]  # an empty move has no piece
        if (got := [len(move) for move in moves]) != lengths:
            raise ValueError(f"expected logprobs for moves of {lengths} ids, got {got}")
        found = iter(moves)
        rows = (next(found) if piece.sampled else [0.0] * len(piece.ids) for piece in response)
        given = tuple(value for row in rows for value in row)
    return TokenSample(
        prompt_ids=tuple(prompt),
        response_ids=tuple(i for piece in response for i in piece.ids),
        mask=tuple(int(piece.trained) for piece in response for _ in piece.ids),
        logprobs=given,
    )


_Origin = tuple[tuple[int, ...] | None, bool, bool, int]


def _marked(segments: Iterable[Segment]) -> Iterator[tuple[_Origin, str]]:
    """Yields each text with what it must share with a neighbour to be encoded with it."""
    opening = True
    for number, segment in enumerate(segments):
        opening = opening and segment.source is not Source.AGENT
        own = number if segment.token_ids else -1  # equal moves in a row stay two
        if segment.token_ids or segment.text:
            yield (segment.token_ids, segment.trained, opening, own), segment.text


def _check(ids: Sequence[int], vocabulary: int) -> None:
    if (largest := max(ids)) >= vocabulary:
        raise ValueError(
            f"a model sampled the id {largest}, but the tokenizer has {vocabulary} tokens: "
            "give the tokenizer of the model that played"
        )


def _repeats_end(sampled: Sequence[int], encoded: Sequence[int], tokenizer: Tokenizer) -> bool:
    """Returns whether a text begins with the special token that a model ended its move with."""
    special = getattr(tokenizer, "all_special_ids", ())
    return bool(encoded) and encoded[0] in special and sampled[-1:] == (encoded[0],)
