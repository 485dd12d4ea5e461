"""A tokenizer whose words are the words of a world, and which still reads any text exactly."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from searchenv.errors import MissingDependencyError
from searchenv.protocols import TextProtocol
from searchenv.types import Act, Answer, Fault, Invalid, Limits, Question, ToolCall
from searchenv.worlds import FactWorld

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["make_tokenizer", "world_tokenizer"]

END, PAD, UNKNOWN = "<|end|>", "<|pad|>", "<|unknown|>"
_WORD = re.compile(r"\s*<[^<>]+>\n*|\n* ?'?\w+|\n* ?[^\w\s<]|\s")
_MARK = "\x00"


def world_tokenizer(world: FactWorld, protocol: TextProtocol) -> "PreTrainedTokenizerFast":
    """Returns a tokenizer of all that an episode in a world may hold.

    Each tag of the protocol, with the white space around it, each name and each relation is one
    token; so are the instructions before the question and each answer to a mistake.
    """
    opening = _opening(protocol)
    hints = [m.content for fault in Fault for m in protocol.remark(protocol.hint(Invalid(fault)))]
    fixed = [part.rstrip(" ") for part in opening if part.strip()] + hints
    texts = [f" {name} 's {relation}" for name in world.names for relation in world.relations]
    limits = Limits()
    for passage in world.passages:
        shown = protocol.render_passages([passage] * 5, limits.max_observation, limits.counter)
        texts += [shown, passage.text, f" {passage.text}"]
    moves = (Act((ToolCall("search", "."),)), Answer("."), Act((ToolCall("search", "'s"),)))
    for written in (protocol.render(m, thought) for m in moves for thought in ("", " . ", ".")):
        closing = "".join(segment.text for segment in protocol.reply(written, []))
        texts += [written, closing, written + closing]
    return make_tokenizer(fixed, [*texts, *opening[1:], "\n", " "])


def make_tokenizer(fixed: Iterable[str], texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    r"""Returns a tokenizer of given words.

    A text is cut into as few tokens as it can be; what no token fits is cut into bytes. Decoding
    joins tokens as they are, so that every text comes back unaltered.

    Args:
        fixed: texts that are one token each.
        texts: whose words, with one space before them, and whose tags are one token each.

    Raises:
        MissingDependencyError: transformers is not installed.

    >>> tokenizer = make_tokenizer([], ["<answer> Bado </answer>"])
    >>> ids = tokenizer.encode("<answer> Bado </answer> ✓", add_special_tokens=False)
    >>> len(ids), tokenizer.decode(ids)
    (7, '<answer> Bado </answer> ✓')
    """
    try:
        from tokenizers import (  # type: ignore[import-untyped]
            Tokenizer,
            decoders,
            models,
        )
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingDependencyError(
            'tiny models need transformers: pip install "searchenv[local]"'
        ) from error

    words = dict.fromkeys(fixed)
    words |= dict.fromkeys(word for text in texts for word in _WORD.findall(text))
    pieces = [(special, 0.0) for special in (PAD, END, UNKNOWN)]
    pieces += [(f"<0x{byte:02X}>", -100.0) for byte in range(256)]
    pieces += [(word, -1.0) for word in words]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def _opening(protocol: TextProtocol) -> list[str]:
    """Returns what stands before and after a question."""
    segments = protocol.opening(Question("", _MARK, ("",)))
    return "".join(segment.text for segment in segments).split(_MARK)
