"""Episodes as examples of supervised fine-tuning: text with its trained parts, or token ids.

An example says exactly what the loss sees: the segments that are marked as trained. These are what
the policy wrote, and what its system trains beside it; the prompt, retrieved text and the marks of
a chat template are never trained, so the mark that ends a turn is not either.
"""

import json
import os
from collections.abc import Sequence
from itertools import accumulate

from searchenv.errors import MissingDependencyError
from searchenv.evaluation import Record
from searchenv.exports.messages import messages_of
from searchenv.exports.whole import whole_file
from searchenv.tokens import Tokenizer, encode_segments
from searchenv.types import Segment

__all__ = ["Tokenizer", "export_sft", "load_tokenizer", "sft_example"]


def export_sft(
    records: Sequence[Record], path: str | os.PathLike[str], *, tokenizer: Tokenizer | None = None
) -> None:
    """Writes one :func:`sft_example` a line.

    Raises:
        ValueError: as for :func:`sft_example`.
    """
    with whole_file(path) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(json.dumps(sft_example(record, tokenizer)) + "\n" for record in records)


def sft_example(record: Record, tokenizer: Tokenizer | None = None) -> dict[str, object]:
    """Returns an episode as an example, JSON-able.

    It has ``id``, ``sample``, ``protocol`` and ``scores`` of the record, and

    - ``messages``: :func:`searchenv.exports.messages_of`.
    - ``text``: all that the policy saw and wrote; ``spans``: ``[start, end]`` of each trained part
      of it, in characters (Unicode code points, as Python counts).
    - with a tokenizer, ``input_ids`` and ``loss_mask`` (1 where trained): see
      :func:`searchenv.tokens.encode_segments`.

    Raises:
        ValueError: an id that was sampled is not in the tokenizer's vocabulary.
    """
    result = record.result
    example: dict[str, object] = {
        "id": result.question.id,
        "sample": record.sample,
        "protocol": result.protocol,
        "scores": dict(record.scores),
        "messages": messages_of(result),
        "text": "".join(segment.text for segment in result.segments),
        "spans": _spans(result.segments),
    }
    if tokenizer is not None:
        pieces = encode_segments(result.segments, tokenizer)
        example["input_ids"] = [i for piece in pieces for i in piece.ids]
        example["loss_mask"] = [int(piece.trained) for piece in pieces for _ in piece.ids]
    return example


def load_tokenizer(folder: str | os.PathLike[str]) -> Tokenizer:
    """Returns the Hugging Face tokenizer in a folder.

    Raises:
        MissingDependencyError: transformers is not installed.
        ValueError: there is no tokenizer.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            f'tokenizers need transformers: pip install "searchenv[dense]" ({error})'
        ) from error
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            os.fspath(folder), local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no tokenizer in {folder}: expected a folder as save_pretrained writes it ({error})"
        ) from error
    return tokenizer


def _spans(segments: Sequence[Segment]) -> list[list[int]]:
    ends = accumulate(len(segment.text) for segment in segments)
    return [
        [end - len(segment.text), end]
        for segment, end in zip(segments, ends, strict=True)
        if segment.trained and segment.text
    ]
