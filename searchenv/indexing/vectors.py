"""Encoding a corpus into files of vectors: in bounded memory, by several processes, resumable.

A shard is a folder that holds ``vectors.f32`` (float32, row after row) and ``progress.json``, which
says how many rows are safe. A killed process loses the block that it was at, nothing more.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from searchenv.errors import IndexMismatchError, RetrievalError
from searchenv.indexing.corpus import add_to_hash
from searchenv.retrieval.encoders import Encoder, Vectors
from searchenv.retrieval.passages import Passages
from searchenv.types import Passage

__all__ = ["Shard", "encode_corpus", "encode_shard", "open_shards", "shard_rows"]

VECTORS_FILE = "vectors.f32"
_PROGRESS = "progress.json"
_BLOCK = 1024
"""Passages between two times that the work is made safe."""


def shard_rows(count: int, shard: int, num_shards: int) -> range:
    """Returns the rows of one shard: neighbours, and the shards differ by at most one row.

    >>> [shard_rows(10, shard, 3) for shard in range(3)]
    [range(0, 3), range(3, 6), range(6, 10)]
    """
    if not 0 <= shard < num_shards:
        raise ValueError(f"shard must be >= 0 and < num_shards, got {shard} of {num_shards}")
    return range(count * shard // num_shards, count * (shard + 1) // num_shards)


def encode_corpus(
    passages: Passages, encoder: Encoder, out: str | Path, *, shard: int = 0, num_shards: int = 1
) -> Path:
    """Encodes one shard of the passages below ``out`` and returns its folder.

    Run it once for each shard, in as many processes or on as many machines as you like; a call that
    was interrupted goes on where it stopped. :func:`searchenv.indexing.merge_shards` makes an index
    of all.

    Raises:
        IndexMismatchError: the folder holds vectors of other passages or of another encoder.
        ValueError: there is no such shard.
    """
    folder = Path(out) / f"shard-{shard:05d}-of-{num_shards:05d}"
    for _ in encode_shard(passages, encoder, folder, shard_rows(len(passages), shard, num_shards)):
        pass
    return folder


def encode_shard(passages: Passages, encoder: Encoder, folder: Path, rows: range) -> Iterator[int]:
    """Encodes some rows into a folder; yields how many more are safe, earlier work first."""
    folder.mkdir(parents=True, exist_ok=True)
    planned = Shard(
        first=rows.start,
        count=len(rows),
        done=0,
        dim=encoder.dim,
        encoder=encoder.fingerprint,
        passages=_digest(passages, rows),
    )
    shard = _resume(folder, planned)
    shard.write(folder)
    with (folder / VECTORS_FILE).open("ab") as file:
        file.truncate(shard.done * shard.dim * 4)
        yield shard.done
        while shard.done < shard.count:
            start = rows.start + shard.done
            block = [passages.passage(row) for row in range(start, min(start + _BLOCK, rows.stop))]
            file.write(_encode(encoder, block).tobytes())
            file.flush()
            os.fsync(file.fileno())
            shard = replace(shard, done=shard.done + len(block))
            shard.write(folder)
            yield len(block)


@dataclass(frozen=True, slots=True)
class Shard:
    """What ``progress.json`` says."""

    first: int
    """The first row of the corpus that is in it."""
    count: int
    done: int
    """How many of ``count`` are encoded and safe on disk."""
    dim: int
    encoder: str
    """The encoder's fingerprint."""
    passages: str
    """Digest of its passages."""

    @classmethod
    def read(cls, folder: Path) -> "Shard":
        """Returns the progress of a shard; IndexMismatchError where there is none."""
        path = folder / _PROGRESS
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise IndexMismatchError(f"no shard of vectors in {folder}: {error}") from error

    def write(self, folder: Path) -> None:
        """Replaces the file in one step."""
        new = folder / f"{_PROGRESS}.new"
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(folder / _PROGRESS)


def open_shards(folders: Sequence[Path]) -> tuple[list[Shard], list[Vectors]]:
    """Returns finished shards in the order of the corpus and their vectors, mapped into memory.

    Raises:
        IndexMismatchError: a shard is not finished, of another encoder, or not beside the last.
    """
    opened = sorted(((Shard.read(f), f) for f in folders), key=lambda pair: pair[0].first)
    if not opened:
        raise IndexMismatchError("no shards of vectors were given")
    expected, encoder = opened[0][0].first, opened[0][0].encoder
    for shard, folder in opened:
        if shard.done != shard.count:
            raise IndexMismatchError(
                f"{folder} holds {shard.done} of {shard.count} vectors: run encode_corpus for this "
                "shard again, it goes on where it stopped"
            )
        if (shard.first, shard.encoder) != (expected, encoder):
            raise IndexMismatchError(
                f"{folder} begins with row {shard.first} and encoder {shard.encoder}, expected row "
                f"{expected} and encoder {encoder}: give all shards of one corpus and encoder"
            )
        expected += shard.count
    vectors: list[Vectors] = [
        np.memmap(folder / VECTORS_FILE, "<f4", "r", shape=(shard.count, shard.dim))
        for shard, folder in opened
        if shard.count
    ]
    return [shard for shard, _ in opened], vectors


def _resume(folder: Path, planned: Shard) -> Shard:
    if not (folder / _PROGRESS).exists():
        return planned
    found = Shard.read(folder)
    if replace(found, done=0) != planned:
        raise IndexMismatchError(
            f"{folder} holds vectors of other passages or of another encoder: remove it, or choose "
            "another folder"
        )
    return found


def _digest(passages: Passages, rows: range) -> str:
    digest = hashlib.sha256()
    for row in rows:
        add_to_hash(digest, passages.passage(row))
    return digest.hexdigest()


def _encode(encoder: Encoder, block: Sequence[Passage]) -> Vectors:
    vectors = encoder.encode_passages([p.title for p in block], [p.text for p in block])
    if vectors.shape != (len(block), encoder.dim):
        raise RetrievalError(
            f"the encoder {encoder.name} gave an array of shape {vectors.shape}, expected "
            f"({len(block)}, {encoder.dim})"
        )
    if not np.isfinite(vectors).all():
        raise RetrievalError(f"the encoder {encoder.name} gave a vector that is not finite")
    return np.ascontiguousarray(vectors, "<f4")
