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
from searchenv.retrieval.java import java
from searchenv.retrieval.lucene import Analyzer, LuceneRetriever
from searchenv.retrieval.manifest import (
    MANIFEST_FILE,
    PASSAGES_FILE,
    Engine,
    Manifest,
    index_home,
    read_manifest,
)
from searchenv.retrieval.passages import PassageStore

__all__ = ["named_indexes", "open_index"]

logger = logging.getLogger(__name__)


def open_index(
    path_or_name: str | Path,
    *,
    engine: str | None = None,
    analyzer: str | None = None,
    download: bool = False,
) -> LuceneRetriever | Bm25sRetriever:
    """Returns a retriever over an index; nothing heavy is opened before its first search.

    Args:
        path_or_name: a folder that searchenv built; a Lucene folder that Anserini or Pyserini
            built; the name of an index under :func:`searchenv.retrieval.index_home`; or the name of
            one of Pyserini's prebuilt indexes. A string without a separator is looked up as a name
            first, then as a folder.
        engine: refuse an index of another engine; None takes what there is.
        analyzer: refuse an index of another analyzer. A Lucene folder without a manifest does not
            say which one it was built with: give it here, or Anserini's default for English is
            taken, and the log says so.
        download: fetch the index of this name from Pyserini's servers, unless it is already there.
            Starts Java.

    Raises:
        IndexNotFoundError: nothing of this path or name is here.
        MissingDependencyError: ``download`` without the whole of Pyserini.
        IndexMismatchError: the index has another engine or analyzer than asked for.
    """
    folder = _find(path_or_name)
    if folder is None and download:
        folder = _download(str(path_or_name))
    if folder is None:
        raise IndexNotFoundError(_not_found(str(path_or_name)))
    if not (folder / MANIFEST_FILE).is_file():
        _check(engine, Engine.LUCENE, "engine", folder)
        return _open_foreign(folder, analyzer)
    manifest = read_manifest(folder)
    _check(engine, manifest.engine, "engine", folder)
    _check(analyzer, manifest.analyzer, "analyzer", folder)
    return _open_own(folder, manifest)


def named_indexes(home: Path | None = None) -> list[str]:
    """Returns the names of the indexes under ``home`` (None: the index home), sorted."""
    home = index_home() if home is None else home
    return sorted(path.parent.name for path in home.glob(f"[!.]*/{MANIFEST_FILE}"))


def _find(path_or_name: str | Path) -> Path | None:
    path = Path(path_or_name).expanduser()
    is_name = isinstance(path_or_name, str) and path.name == path_or_name and path_or_name != ".."
    candidates = [index_home() / path, path] if is_name else [path]
    return next((folder.absolute() for folder in candidates if _is_index(folder)), None)


def _is_index(folder: Path) -> bool:
    return (folder / MANIFEST_FILE).is_file() or any(folder.glob("segments_*"))


def _not_found(path_or_name: str) -> str:
    if os.sep in path_or_name:
        return (
            f"no index at {path_or_name}: it holds no {MANIFEST_FILE} and no Lucene segments file"
        )
    known = named_indexes()
    hint = did_you_mean(path_or_name, known) if known else "There are no named indexes yet."
    return (
        f"no index named {path_or_name!r} in {index_home()}. {hint} Build one with "
        "`searchenv index build`; one of Pyserini's prebuilt indexes is fetched with download=True"
    )


def _check(asked: str | None, has: str, what: str, folder: Path) -> None:
    if asked is not None and asked != has:
        raise IndexMismatchError(
            f"the index {folder} has the {what} '{has}', not '{asked}': "
            f"ask for '{has}', or build it again"
        )


def _open_own(folder: Path, manifest: Manifest) -> LuceneRetriever | Bm25sRetriever:
    passages = PassageStore(folder / PASSAGES_FILE)
    if manifest.engine is Engine.BM25S:
        return Bm25sRetriever(
            folder / manifest.engine, passages=passages, fingerprint=manifest.fingerprint
        )
    return LuceneRetriever(
        folder / manifest.engine,
        passages=passages,
        fingerprint=manifest.fingerprint,
        analyzer=Analyzer(manifest.analyzer),
        k1=manifest.k1,
        b=manifest.b,
    )


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
