"""What retrievers over other retrievers share: fingerprints, corpora, and results with a flaw."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from searchenv.errors import RetrievalError
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.manifest import MANIFEST_FILE, Engine, read_manifest
from searchenv.types import Hit

__all__ = ["DegradedHits", "corpus_of", "derived_fingerprint", "search_aligned"]


class DegradedHits(list[Hit]):
    """The hits of one query from a search that could not do all it was set up to do.

    It is a list like any other result, so that an episode goes on; whoever cares asks
    ``isinstance(hits, DegradedHits)``. Retrievers over other retrievers pass the mark on, and a
    cache does not keep such a result.

    Args:
        hits: ranked as in every result.
        reason: what failed.
    """

    def __init__(self, hits: Iterable[Hit], reason: str) -> None:
        super().__init__(hits)
        self.reason = reason

    def __reduce__(self) -> tuple[type["DegradedHits"], tuple[list[Hit], str]]:
        return DegradedHits, (list(self), self.reason)


def derived_fingerprint(kind: str, parts: Sequence[str], **parameters: object) -> str:
    """Returns a digest of the fingerprints below and of the parameters, in JSON's types."""
    identity = json.dumps([kind, list(parts), parameters], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def search_aligned(retriever: Retriever, queries: Sequence[str], k: int) -> list[list[Hit]]:
    """Returns ``retriever.search(queries, k)``, checked to hold one result a query.

    Raises:
        RetrievalError: it does not.
    """
    found = retriever.search(queries, k)
    if len(found) != len(queries):
        raise RetrievalError(
            f"{type(retriever).__name__} gave {len(found)} results for {len(queries)} queries"
        )
    return found


def corpus_of(retriever: Retriever) -> str | None:
    """Returns the hash of the corpus that a retriever searches; None where it does not say.

    It is read from the manifest above the engine's folder; a retriever over another one has the
    corpus of that one, which it calls ``inner``.
    """
    folder = getattr(retriever, "folder", None)
    if isinstance(folder, Path):
        home = folder.parent
        own = folder.name in list(Engine) and (home / MANIFEST_FILE).is_file()
        return read_manifest(home).corpus_sha256 if own else None
    inner = getattr(retriever, "inner", None)
    return None if inner is None else corpus_of(inner)
