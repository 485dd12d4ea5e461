"""Whether an index folder is what its manifest says; and which named indexes there are."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from searchenv.errors import SearchEnvError
from searchenv.indexing.corpus import add_to_hash
from searchenv.indexing.faiss_check import check_rows, check_vectors
from searchenv.indexing.lucene_writer import check_order
from searchenv.retrieval.bm25 import DOCID_RANKS_FILE
from searchenv.retrieval.dense import DenseRetriever
from searchenv.retrieval.encoders import Encoder
from searchenv.retrieval.manifest import PASSAGES_FILE, Engine, Manifest, index_home, read_manifest
from searchenv.retrieval.opening import named_indexes, open_index
from searchenv.retrieval.passages import PassageStore

__all__ = ["IndexReport", "list_indexes", "verify_index"]

_SEARCHES = 20
_QUERY_CHARS = 200


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What :func:`verify_index` found."""

    manifest: Manifest
    problems: tuple[str, ...]
    """One sentence each; empty for a sound index."""

    @property
    def ok(self) -> bool:
        """Returns whether the index is sound."""
        return not self.problems


def verify_index(folder: Path, *, encoder: Encoder | None = None) -> IndexReport:
    """Returns what is wrong with an index that searchenv built.

    It reads all passages again and compares their digest, compares the engine's documents with
    them, and makes twenty searches. Engine ``lucene`` starts Java. Of engine ``faiss``, twenty
    passages are encoded again and compared with their stored vectors.

    Args:
        folder: the index.
        encoder: of an index of engine ``faiss``; None loads the one that the manifest names.

    Raises:
        IndexNotFoundError: there is no manifest.
        IndexMismatchError: the manifest cannot be read, or was changed.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    problems = []
    for check in (_check_passages, _check_engine, _check_searches):
        try:
            check(folder, manifest, encoder)
        except (SearchEnvError, OSError, ValueError) as error:
            problems.append(str(error))
    return IndexReport(manifest, tuple(problems))


def list_indexes(home: Path | None = None) -> list[Manifest]:
    """Returns the manifests of the named indexes under ``home`` (None: the index home), by name."""
    home = index_home() if home is None else home
    return [read_manifest(home / name) for name in named_indexes(home)]


def _check_passages(folder: Path, manifest: Manifest, _: Encoder | None) -> None:
    digest, count = hashlib.sha256(), 0
    for batch in PassageStore(folder / PASSAGES_FILE).batches():
        count += len(batch)
        for passage in batch:
            add_to_hash(digest, passage)
    if (count, digest.hexdigest()) != (manifest.num_passages, manifest.corpus_sha256):
        raise ValueError(
            f"{PASSAGES_FILE} holds {count} passages with digest {digest.hexdigest()}, the "
            f"manifest says {manifest.num_passages} with {manifest.corpus_sha256}: "
            "build the index again"
        )


def _check_engine(folder: Path, manifest: Manifest, _: Encoder | None) -> None:
    if manifest.engine is Engine.FAISS:
        check_rows(folder / manifest.engine, PassageStore(folder / PASSAGES_FILE))
        return
    if manifest.engine is Engine.LUCENE:
        check_order(folder / manifest.engine, PassageStore(folder / PASSAGES_FILE))
        return
    count = len(np.load(folder / manifest.engine / DOCID_RANKS_FILE, mmap_mode="r"))
    if count != manifest.num_passages:
        raise ValueError(
            f"the bm25s index holds {count} documents, the manifest says {manifest.num_passages}"
        )


def _check_searches(folder: Path, manifest: Manifest, encoder: Encoder | None) -> None:
    """Searches the beginnings of passages spread over the corpus; some must be found."""
    store = PassageStore(folder / PASSAGES_FILE)
    if manifest.engine is Engine.FAISS:
        retriever = open_index(folder, encoder=encoder)
        if isinstance(retriever, DenseRetriever):
            check_vectors(retriever)
        return
    step = max(manifest.num_passages // _SEARCHES, 1)
    wanted = [store.passage(row) for row in range(0, len(store), step)][:_SEARCHES]
    queries = [f"{passage.title} {passage.text}"[:_QUERY_CHARS] for passage in wanted]
    found = open_index(folder).search(queries, 10)
    hit = sum(p in [h.passage for h in hits] for p, hits in zip(wanted, found, strict=True))
    if 2 * hit < len(wanted):
        raise ValueError(f"only {hit} of {len(wanted)} passages were found by their own words")
