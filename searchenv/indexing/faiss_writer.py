"""Writes a FAISS folder in Pyserini's format: ``index`` and ``docid`` (one id a line).

A flat index is written straight to its file, from vectors that are mapped into memory: it needs no
memory of its own, however many there are. HNSW is a graph that FAISS builds in memory: all vectors
and about ``8 * m`` bytes for each.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from searchenv.errors import MissingDependencyError, RetrievalError, did_you_mean
from searchenv.retrieval.dense import DOCID_FILE, INDEX_FILE, read_faiss
from searchenv.retrieval.encoders import Vectors

__all__ = ["FAISS_TYPES", "Hnsw", "check_faiss", "faiss_version", "write_docids", "write_faiss"]

FAISS_TYPES = ("flat", "hnsw")
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Hnsw:
    """The parameters of a HNSW graph (Malkov and Yashunin, 2016)."""

    m: int = 32
    """Neighbours of a vector."""
    ef_construction: int = 200
    """Candidates looked at for each vector that is added."""
    ef_search: int = 128
    """Candidates looked at for each query."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.m < 2 or self.ef_construction < 1 or self.ef_search < 1:
            raise ValueError(f"expected m >= 2 and ef_construction, ef_search >= 1, got {self}")


def check_faiss(faiss_type: str) -> None:
    """Raises unless FAISS is installed and this is a type that can be written.

    Raises:
        MissingDependencyError: FAISS is not installed.
        ValueError: unknown type.
    """
    if faiss_type not in FAISS_TYPES:
        raise ValueError(
            f"unknown faiss_type {faiss_type!r}. {did_you_mean(faiss_type, FAISS_TYPES)}"
        )
    faiss_version()


def faiss_version() -> str:
    """Returns the version of FAISS, for example ``faiss-1.15.1``."""
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError(
            f'engine "faiss" needs faiss: pip install "searchenv[dense]" ({error})'
        ) from error
    return f"faiss-{faiss.__version__}"


def write_faiss(
    vectors: Sequence[Vectors], folder: Path, *, dim: int, faiss_type: str, hnsw: Hnsw
) -> None:
    """Writes the file ``index`` of vectors that come in parts, one after the other."""
    folder.mkdir(exist_ok=True)
    write = _write_hnsw if faiss_type == "hnsw" else _write_flat
    write(vectors, folder / INDEX_FILE, dim, hnsw)
    count = sum(map(len, vectors))
    if read_faiss(folder / INDEX_FILE).ntotal != count:
        raise RetrievalError(f"FAISS reads another number of vectors than the {count} written")


def write_docids(ids: Iterable[str], folder: Path) -> None:
    """Writes the file ``docid``."""
    with (folder / DOCID_FILE).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{id_}\n" for id_ in ids)


def _write_flat(vectors: Sequence[Vectors], path: Path, dim: int, _: Hnsw) -> None:
    import faiss

    # the file of an empty index is the header of a full one: name (4 bytes), dim (4), count (8),
    # ..., length of the data in floats (8)
    header = bytearray(faiss.serialize_index(faiss.IndexFlatIP(dim)).tobytes())
    count = sum(map(len, vectors))
    struct.pack_into("<q", header, 8, count)
    struct.pack_into("<Q", header, len(header) - 8, count * dim)
    with path.open("wb") as file:
        file.write(header)
        for part in vectors:
            for start in range(0, len(part), _BLOCK):
                file.write(np.ascontiguousarray(part[start : start + _BLOCK], "<f4").tobytes())


def _write_hnsw(vectors: Sequence[Vectors], path: Path, dim: int, hnsw: Hnsw) -> None:
    import faiss

    index: Any = faiss.IndexHNSWFlat(dim, hnsw.m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = hnsw.ef_construction
    index.hnsw.efSearch = hnsw.ef_search
    for part in vectors:
        for start in range(0, len(part), _BLOCK):
            index.add(np.ascontiguousarray(part[start : start + _BLOCK], np.float32))
    faiss.write_index(index, str(path))
