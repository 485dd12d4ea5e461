"""``open_index``: from a folder or a name to a retriever."""

import logging
import os
from pathlib import Path

from searchenv.errors import (
    IndexMismatchError,
    IndexNotFoundError,
    MissingDependencyError,
    did_you_mean,
)
from searchenv.retrieval.bm25 import Bm25sRetriever
from searchenv.retrieval.dense import DenseRetriever, is_faiss_folder
from searchenv.retrieval.encoders import Encoder, TransformersEncoder
from searchenv.retrieval.java import java
from searchenv.retrieval.lucene import Analyzer, LuceneRetriever
from searchenv.retrieval.manifest import (
    MANIFEST_FILE,
    PASSAGES_FILE,
    DenseSettings,
    Engine,
    Manifest,
    index_home,
    read_manifest,
)
from searchenv.retrieval.passages import Passages, PassageStore
from searchenv.retrieval.sharded import SHARDS_FILE, ShardedRetriever, shard_folders

__all__ = ["named_indexes", "open_index"]

logger = logging.getLogger(__name__)


def open_index(
    path_or_name: str | Path,
    *,
    engine: str | None = None,
    analyzer: str | None = None,
    encoder: Encoder | str | None = None,
    passages: Passages | None = None,
    download: bool = False,
) -> LuceneRetriever | Bm25sRetriever | DenseRetriever | ShardedRetriever:
    """Returns a retriever over an index; nothing heavy is opened before its first search.

    Args:
        path_or_name: a folder that searchenv built, also one of shards; a Lucene or FAISS folder
            that Anserini or Pyserini built; a FAISS file; the name of an index under
            :func:`searchenv.retrieval.index_home`; or the name of one of Pyserini's prebuilt
            indexes. A string without a separator is a name or a folder here, and not both.
        engine: refuse an index of another engine; None takes what there is.
        analyzer: refuse an index of another analyzer. A Lucene folder without a manifest does not
            say which one it was built with: give it here, or Anserini's default for English is
            taken, and the log says so.
        encoder: of a FAISS index, an object or what :class:`TransformersEncoder` takes; None loads
            the one that the manifest names. Another one than the index was built with is refused.
        passages: the texts of a FAISS index that others built, which holds none. Row n of an index
            without a ``docid`` file is passage n.
        download: fetch the index of this name from Pyserini's servers, unless it is already there.
            Starts Java.

    Raises:
        IndexNotFoundError: nothing of this path or name is here.
        MissingDependencyError: ``download`` without the whole of Pyserini.
        IndexMismatchError: the index has another engine, analyzer or encoder than asked for, or
            encoder or passages are missing; or a name is that of an index and of another one in a
            folder here.
    """
    folder = _find(path_or_name)
    if folder is None and download:
        folder = _download(str(path_or_name))
    if folder is None:
        raise IndexNotFoundError(_not_found(str(path_or_name)))
    if isinstance(encoder, str):
        encoder = TransformersEncoder(encoder)
    if (folder / SHARDS_FILE).is_file():
        parts = [
            open_index(shard, engine=engine, analyzer=analyzer, encoder=encoder)
            for shard in shard_folders(folder)
        ]
        return ShardedRetriever(parts)
    if is_faiss_folder(folder):
        _check(engine, Engine.FAISS, "engine", folder)
        return _open_foreign_faiss(folder, encoder, passages)
    if not (folder / MANIFEST_FILE).is_file():
        _check(engine, Engine.LUCENE, "engine", folder)
        return _open_foreign(folder, analyzer)
    manifest = read_manifest(folder)
    _check(engine, manifest.engine, "engine", folder)
    _check(analyzer, manifest.analyzer, "analyzer", folder)
    if encoder is not None and manifest.engine is not Engine.FAISS:
        raise IndexMismatchError(
            f"the index {folder} is of engine '{manifest.engine}', which has no encoder: leave "
            "encoder out, or open an index of engine 'faiss'"
        )
    return _open_own(folder, manifest, encoder)


def named_indexes(home: Path | None = None) -> list[str]:
    """Returns the names of the indexes under ``home`` (None: the index home), sorted."""
    home = index_home() if home is None else home
    return sorted(path.parent.name for path in home.glob(f"[!.]*/{MANIFEST_FILE}"))


def _find(path_or_name: str | Path) -> Path | None:
    path = Path(path_or_name).expanduser()
    is_name = isinstance(path_or_name, str) and path.name == path_or_name and path_or_name != ".."
    candidates = [index_home() / path, path] if is_name else [path]
    found = [folder.absolute() for folder in candidates if _is_index(folder)]
    if len(found) > 1 and not found[0].samefile(found[1]):
        raise IndexMismatchError(
            f"{path_or_name!r} is the name of an index, {found[0]}, and a folder here with another "
            f"one: give './{path}' for the folder, or the path of the other"
        )
    return found[0] if found else None


def _is_index(folder: Path) -> bool:
    return (
        (folder / MANIFEST_FILE).is_file()
        or (folder / SHARDS_FILE).is_file()
        or any(folder.glob("segments_*"))
        or is_faiss_folder(folder)
    )


def _not_found(path_or_name: str) -> str:
    if os.sep in path_or_name:
        return (
            f"no index at {path_or_name}: it holds no {MANIFEST_FILE} and no Lucene segments file, "
            "nor the file `index` of a FAISS folder"
        )
    known = named_indexes()
    hint = did_you_mean(path_or_name, known) if known else "There are no named indexes yet."
    return (
        f"no index named {path_or_name!r} in {index_home()}. {hint} Build one with "
        "`searchenv index build`; one of Pyserini's prebuilt indexes is fetched with download=True"
    )


def _check(asked: str | None, has: str | None, what: str, folder: Path) -> None:
    if asked is not None and asked != has:
        raise IndexMismatchError(
            f"the index {folder} has the {what} '{has}', not '{asked}': "
            f"ask for '{has}', or build it again"
        )


def _open_own(
    folder: Path, manifest: Manifest, encoder: Encoder | None
) -> LuceneRetriever | Bm25sRetriever | DenseRetriever:
    passages = PassageStore(folder / PASSAGES_FILE)
    if manifest.engine is Engine.FAISS and manifest.dense is not None:
        return DenseRetriever(
            folder / manifest.engine,
            encoder=encoder or _encoder_of(folder, manifest.dense),
            passages=passages,
            fingerprint=manifest.fingerprint,
            encoder_fingerprint=manifest.dense.encoder_fingerprint,
            check_encoder_now=encoder is not None,
        )
    if manifest.engine is Engine.BM25S:
        return Bm25sRetriever(
            folder / manifest.engine, passages=passages, fingerprint=manifest.fingerprint
        )
    return LuceneRetriever(
        folder / manifest.engine,
        passages=passages,
        fingerprint=manifest.fingerprint,
        analyzer=Analyzer(manifest.analyzer or Analyzer.PORTER),
        k1=0.9 if manifest.k1 is None else manifest.k1,
        b=0.4 if manifest.b is None else manifest.b,
    )


def _encoder_of(folder: Path, dense: DenseSettings) -> Encoder:
    if dense.settings is None:
        raise IndexMismatchError(
            f"the index {folder} was built with an encoder of its user's own, {dense.encoder!r}, "
            "which cannot be loaded by name: give the object, open_index(..., encoder=...)"
        )
    return TransformersEncoder.from_settings(dense.settings)


def _open_foreign_faiss(
    folder: Path, encoder: Encoder | None, passages: Passages | None
) -> DenseRetriever:
    if encoder is None:
        raise IndexMismatchError(
            f"the FAISS index {folder} does not say which encoder made its vectors: give it, "
            "open_index(..., encoder=...)"
        )
    if passages is None:
        raise IndexMismatchError(
            f"the FAISS index {folder} holds no texts: give them, open_index(..., passages=...), "
            "or make a whole index of it and its corpus once, with searchenv.indexing.adopt_faiss"
        )
    return DenseRetriever(folder, encoder=encoder, passages=passages)


def _open_foreign(folder: Path, analyzer: str | None) -> LuceneRetriever:
    if analyzer is None:
        logger.warning(
            "%s has no manifest: taking Anserini's default analyzer for English (%s) for its own",
            folder,
            Analyzer.PORTER,
        )
        return LuceneRetriever(folder)
    if analyzer not in list(Analyzer):
        raise IndexMismatchError(
            f"unknown analyzer {analyzer!r}. {did_you_mean(analyzer, [a.value for a in Analyzer])}"
        )
    return LuceneRetriever(folder, analyzer=Analyzer(analyzer))


def _download(name: str) -> Path:
    """Returns the folder of a Pyserini prebuilt index, fetched into Pyserini's own cache."""
    with java():  # before any import of Pyserini: its own way of starting Java can end the process
        try:
            from pyserini.prebuilt_index_info import TF_INDEX_INFO
            from pyserini.util import download_prebuilt_index
        except ImportError as error:
            raise MissingDependencyError(
                f'a download needs all of Pyserini: pip install "searchenv[pyserini]" ({error})'
            ) from error

    if name not in TF_INDEX_INFO:
        raise IndexNotFoundError(
            f"Pyserini has no BM25 index named {name!r}. {did_you_mean(name, TF_INDEX_INFO)}"
        )
    return Path(download_prebuilt_index(name, verbose=False))
