"""Whether the shards of a folder are sound, and belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from searchenv.errors import SearchEnvError
from searchenv.indexing.shards import count_words
from searchenv.indexing.verify import verify_index
from searchenv.retrieval.encoders import Encoder
from searchenv.retrieval.manifest import PASSAGES_FILE, Engine, Manifest
from searchenv.retrieval.passages import PassageStore
from searchenv.retrieval.sharded import shard_folders

__all__ = ["ShardsReport", "verify_shards"]


@dataclass(frozen=True, slots=True)
class ShardsReport:
    """What :func:`verify_shards` found."""

    manifests: tuple[Manifest, ...]
    """Of the shards that have one, in their order."""
    problems: tuple[str, ...]
    """One sentence each; empty where all is sound."""

    @property
    def ok(self) -> bool:
        """Returns whether every shard is sound and they belong together."""
        return not self.problems


def verify_shards(folder: str | Path, *, encoder: Encoder | None = None) -> ShardsReport:
    """Returns what is wrong with a folder that :func:`searchenv.indexing.build_shards` made.

    Each shard is checked as :func:`searchenv.indexing.verify_index` does. Where all are sound by
    themselves: whether they were built alike, whether no passage is in two of them, and, of engine
    ``bm25s``, whether their scores rest on the statistics of exactly these passages. The ids of all
    passages are held in memory.

    Args:
        folder: holds ``shards.json``.
        encoder: of engine ``faiss``; None loads the one that the manifests name.

    Raises:
        IndexNotFoundError: there is no ``shards.json``.
        IndexMismatchError: it cannot be read.
    """
    manifests, problems = [], []
    folders = shard_folders(folder)
    for shard in folders:
        try:
            report = verify_index(shard, encoder=encoder)
        except SearchEnvError as error:
            problems.append(f"{shard.name}: {error}")
        else:
            manifests.append(report.manifest)
            problems += [f"{shard.name}: {problem}" for problem in report.problems]
    if not problems:
        stores = [PassageStore(shard / PASSAGES_FILE) for shard in folders]
        problems = [*_alike(manifests), *_disjoint(stores), *_statistics(manifests, stores)]
    return ShardsReport(tuple(manifests), tuple(problems))


def _alike(manifests: Sequence[Manifest]) -> list[str]:
    ways = [
        f"{m.engine} {m.engine_version}, analyzer {m.analyzer}, k1 {m.k1}, b {m.b}, {m.dense}"
        for m in manifests
    ]
    other = next((n for n, way in enumerate(ways) if way != ways[0]), None)
    if other is None:
        return []
    return [
        f"the scores of shard {other} do not compare with those of shard 0: it was built with "
        f"{ways[other]}, that with {ways[0]}. Build all of them with one call of build_shards"
    ]


def _disjoint(stores: Sequence[PassageStore]) -> list[str]:
    ids = pa.chunked_array([chunk for store in stores for chunk in store.ids().chunks])
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(twice):
        return []
    return [f"{len(twice)} passages are in more than one shard, first: {twice[0].as_py()!r}"]


def _statistics(manifests: Sequence[Manifest], stores: Sequence[PassageStore]) -> list[str]:
    if manifests[0].engine is not Engine.BM25S:
        return []
    mark = count_words(stores).mark
    if manifests[0].engine_version.endswith(mark):
        return []
    return [
        "the scores do not rest on the statistics of these passages: the shards were built one by "
        "one, or belong to another corpus. Build them with build_shards"
    ]
