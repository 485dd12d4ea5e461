"""Index specs: one flat TOML file says what an index is built from and how."""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from searchenv.errors import CorpusError, did_you_mean
from searchenv.indexing.build import build_index
from searchenv.retrieval.manifest import Manifest, index_home

__all__ = ["IndexSpec", "build_spec", "load_spec"]


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """How to build one index."""

    name: str
    engine: str
    """``"lucene"``, ``"bm25s"`` or ``"faiss"``."""
    corpus: tuple[Path, ...]
    k1: float = 0.9
    b: float = 0.4
    encoder: str | None = None
    """Of engine ``faiss``: what :class:`searchenv.retrieval.TransformersEncoder` takes."""
    faiss_type: str = "flat"
    """``"flat"`` or ``"hnsw"``."""
    skip_broken: bool = False


def load_spec(path: Path) -> IndexSpec:
    """Returns the spec in a TOML file.

    ``corpus`` is a path or a list of paths: relative to the spec's own folder, and ``$NAME`` stands
    for the environment variable of that name (``$SEARCHENV_DATA/2wikimultihopqa/corpus.json.gz``).

    Raises:
        CorpusError: not TOML, a key is missing, unknown or of the wrong type, or a variable is not
            set.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} is no readable index spec: {error}") from error
    known = [field.name for field in fields(IndexSpec)]
    for key in given:
        if key not in known:
            raise CorpusError(f"{path}: unknown key {key!r}. {did_you_mean(key, known)}")
    for key in ("name", "engine", "corpus"):
        if key not in given:
            raise CorpusError(f"{path}: the key {key!r} is missing")
    files = [given["corpus"]] if isinstance(given["corpus"], str) else given["corpus"]
    if not (isinstance(files, list) and files and all(isinstance(file, str) for file in files)):
        raise CorpusError(f"{path}: corpus must be a path or a list of paths, got {files!r}")
    return IndexSpec(**{**given, "corpus": tuple(_resolve(file, path) for file in files)})


def build_spec(
    spec: IndexSpec, out: Path | None = None, *, replace: bool = False, progress: bool = False
) -> Manifest:
    """Builds the index of a spec and returns its manifest.

    Args:
        spec: what to build.
        out: the folder to make; None: the spec's name under the index home, where
            ``open_index(name)`` finds it.
        replace: as for :func:`searchenv.indexing.build_index`.
        progress: the same.
    """
    return build_index(
        spec.corpus,
        index_home() / spec.name if out is None else out,
        engine=spec.engine,
        k1=spec.k1,
        b=spec.b,
        encoder=spec.encoder,
        faiss_type=spec.faiss_type,
        name=spec.name,
        skip_broken=spec.skip_broken,
        replace=replace,
        progress=progress,
    )


def _resolve(file: str, spec: Path) -> Path:
    expanded = os.path.expandvars(file)
    if "$" in expanded:
        raise CorpusError(f"{spec}: {file} names an environment variable that is not set")
    return spec.parent / Path(expanded).expanduser()
