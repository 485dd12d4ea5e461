"""Whole index folders of vectors: from shards, and from FAISS files that others built."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import searchenv
from searchenv.errors import IndexMismatchError
from searchenv.indexing.corpus import Corpus, add_to_hash
from searchenv.indexing.faiss_check import check_rows, check_vectors
from searchenv.indexing.faiss_writer import (
    Hnsw,
    check_faiss,
    faiss_version,
    write_docids,
    write_faiss,
)
from searchenv.indexing.publish import new_folder, sole_builder
from searchenv.indexing.vectors import Shard, encode_shard, open_shards
from searchenv.retrieval.dense import INDEX_FILE, DenseRetriever, read_faiss
from searchenv.retrieval.encoders import Encoder, TransformersEncoder
from searchenv.retrieval.manifest import (
    MANIFEST_FILE,
    PASSAGES_FILE,
    DenseSettings,
    Engine,
    Manifest,
)
from searchenv.retrieval.passages import Passages, PassageStore, PassageWriter

__all__ = [
    "adopt_faiss",
    "as_encoder",
    "dense_manifest",
    "dense_settings",
    "merge_shards",
    "remove_scratches",
    "scratch",
    "write_dense",
]


def as_encoder(encoder: Encoder | str | None) -> Encoder:
    """Returns an encoder; a string is what :class:`TransformersEncoder` takes.

    Raises:
        ValueError: None.
    """
    if encoder is None:
        raise ValueError(
            'engine "faiss" needs an encoder: a name on the hub, a folder, "minilm", or an object '
            "(encoder=..., --encoder)"
        )
    return TransformersEncoder(encoder) if isinstance(encoder, str) else encoder


def scratch(out: Path, corpus_sha256: str, encoder: Encoder) -> Path:
    """Returns the hidden folder beside ``out`` that keeps vectors until the index is whole."""
    key = hashlib.sha256(f"{corpus_sha256} {encoder.fingerprint}".encode()).hexdigest()[:16]
    return out.absolute().parent / f"{_scratch_prefix(out)}{key}"


def remove_scratches(out: Path) -> None:
    """Removes the vectors of all builds of ``out``; hold its lock."""
    for folder in out.absolute().parent.glob(f"{_scratch_prefix(out)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _scratch_prefix(out: Path) -> str:
    return f".{out.name}.vectors-"


def write_dense(
    passages: Path, folder: Path, kept: Path, encoder: Encoder, faiss_type: str, hnsw: Hnsw
) -> Iterator[int]:
    """Indexes an Arrow file of passages; yields how many more are encoded.

    Args:
        passages: the file.
        folder: the FAISS folder to make.
        kept: where vectors stay for the next attempt if this one is interrupted.
        encoder: makes the vectors.
        faiss_type: ``"flat"`` or ``"hnsw"``.
        hnsw: parameters of the latter.
    """
    store = PassageStore(passages)
    yield from encode_shard(store, encoder, kept, range(len(store)))
    _, vectors = open_shards([kept])
    write_faiss(vectors, folder, dim=encoder.dim, faiss_type=faiss_type, hnsw=hnsw)
    write_docids((p.id for batch in store.batches() for p in batch), folder)


def dense_settings(encoder: Encoder, faiss_type: str, hnsw: Hnsw) -> DenseSettings:
    """Returns what the manifest says of encoder and index."""
    parameters = {}
    if faiss_type == "hnsw":
        parameters = {
            "m": hnsw.m,
            "ef_construction": hnsw.ef_construction,
            "ef_search": hnsw.ef_search,
        }
    return DenseSettings(
        encoder=encoder.name,
        encoder_fingerprint=encoder.fingerprint,
        settings=encoder.settings if isinstance(encoder, TransformersEncoder) else None,
        dim=encoder.dim,
        kind=faiss_type,
        metric="ip",
        parameters=parameters,
    )


def merge_shards(
    shards: Sequence[str | Path],
    passages: Passages,
    out: str | Path,
    *,
    encoder: Encoder | str,
    faiss_type: str = "flat",
    hnsw: Hnsw | None = None,
    name: str | None = None,
    replace: bool = False,
) -> Manifest:
    """Makes an index of shards that ``encode_corpus`` wrote, and returns its manifest.

    Give all shards for one index, or one of them for an index of its passages alone.

    Args:
        shards: their folders.
        passages: the corpus that was encoded, all of it.
        out: the folder to make.
        encoder: the one that made the vectors.
        faiss_type: ``"flat"`` or ``"hnsw"``.
        hnsw: parameters of the latter.
        name: what the manifest calls the index; None takes the name of the folder.
        replace: put the new index in the place of one that is there.

    Raises:
        IndexMismatchError: shards are missing, unfinished, of other passages or another encoder.
        FileExistsError: ``out`` is there and ``replace`` is False.
    """
    encoder, out, hnsw = as_encoder(encoder), Path(out), hnsw or Hnsw()
    check_faiss(faiss_type)
    found, vectors = open_shards(list(map(Path, shards)))
    if found[0].encoder != encoder.fingerprint:
        raise IndexMismatchError(
            f"the shards were made by an encoder of fingerprint {found[0].encoder}, "
            f"{encoder.name} has {encoder.fingerprint}: give the one that made them"
        )
    with sole_builder(out), new_folder(out, replace=replace) as folder:
        digest = _copy_passages(passages, found, folder / PASSAGES_FILE)
        store, target = PassageStore(folder / PASSAGES_FILE), folder / Engine.FAISS
        write_faiss(vectors, target, dim=encoder.dim, faiss_type=faiss_type, hnsw=hnsw)
        write_docids((p.id for batch in store.batches() for p in batch), target)
        dense = dense_settings(encoder, faiss_type, hnsw)
        manifest = dense_manifest(name or out.absolute().name, digest, len(store), dense)
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _copy_passages(passages: Passages, shards: Sequence[Shard], path: Path) -> str:
    """Writes the passages of shards and returns their digest; raises where a shard has others."""
    whole = hashlib.sha256()
    with PassageWriter(path) as writer:
        for shard in shards:
            own = hashlib.sha256()
            for row in range(shard.first, min(shard.first + shard.count, len(passages))):
                passage = passages.passage(row)
                add_to_hash(own, passage)
                add_to_hash(whole, passage)
                writer.add(passage)
            if own.hexdigest() != shard.passages:
                raise IndexMismatchError(
                    f"the shard of row {shard.first} was made of other passages than these"
                )
    return whole.hexdigest()


def adopt_faiss(
    index: str | Path,
    corpus: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    encoder: Encoder | str,
    name: str | None = None,
    replace: bool = False,
) -> Manifest:
    """Makes an index folder of a FAISS index that others built and its corpus.

    Row n of the index must be passage n of the corpus, as in Search-R1's E5 index. The FAISS file
    is linked where the file system can, else copied. The encoder is tried on a few passages:
    whether it made the vectors is checked, not believed.

    Args:
        index: the FAISS file, or a folder with a file ``index``.
        corpus: its corpus files.
        out: the folder to make.
        encoder: the one that made the vectors.
        name: what the manifest calls the index; None takes the name of the folder.
        replace: put the new index in the place of one that is there.

    Raises:
        CorpusError: the corpus has broken records.
        FileExistsError: ``out`` is there and ``replace`` is False.
        IndexMismatchError: index, corpus and encoder do not belong together.
    """
    encoder, out = as_encoder(encoder), Path(out)
    file = Path(index) / INDEX_FILE if Path(index).is_dir() else Path(index)
    opened = read_faiss(file)
    with sole_builder(out), new_folder(out, replace=replace) as folder:
        passages = Corpus(corpus)
        with PassageWriter(folder / PASSAGES_FILE) as writer:
            for passage in passages:
                writer.add(passage)
        store, target = PassageStore(folder / PASSAGES_FILE), folder / Engine.FAISS
        target.mkdir()
        _link(file, target / INDEX_FILE)
        write_docids((p.id for batch in store.batches() for p in batch), target)
        check_rows(target, store)
        check_vectors(DenseRetriever(target, encoder=encoder, passages=store))
        dense = DenseSettings(
            encoder=encoder.name,
            encoder_fingerprint=encoder.fingerprint,
            settings=encoder.settings if isinstance(encoder, TransformersEncoder) else None,
            dim=opened.d,
            kind=type(opened).__name__,
            metric="ip" if opened.metric_type == 0 else "l2",
        )
        manifest = dense_manifest(name or out.absolute().name, passages.sha256, len(store), dense)
        (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def dense_manifest(name: str, corpus_sha256: str, count: int, dense: DenseSettings) -> Manifest:
    """Returns the manifest of an index of vectors."""
    return Manifest(
        name=name,
        engine=Engine.FAISS,
        engine_version=faiss_version(),
        corpus_sha256=corpus_sha256,
        num_passages=count,
        searchenv_version=searchenv.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dense=dense,
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
