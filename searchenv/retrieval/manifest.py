"""What an index folder says about itself, and where named indexes live.

An index folder holds ``manifest.json``, ``passages.arrow`` and one folder named after its engine.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from searchenv.errors import IndexMismatchError, IndexNotFoundError
from searchenv.retrieval.encoder_settings import EncoderSettings

__all__ = ["DenseSettings", "Engine", "Manifest", "index_home", "read_manifest"]

MANIFEST_FILE = "manifest.json"
PASSAGES_FILE = "passages.arrow"
_FORMAT = 1


class Engine(StrEnum):
    """What ranks the passages."""

    LUCENE = "lucene"
    """Pyserini's BM25 on Lucene; needs Java, which comes from pip."""
    BM25S = "bm25s"
    """BM25 in numpy and numba; no Java. It cuts words and measures lengths a little differently, so
    it ranks differently."""
    FAISS = "faiss"
    """Vectors of an encoder in Pyserini's FAISS format."""


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """What a manifest says of an index of vectors."""

    encoder: str
    """What people call the encoder."""
    encoder_fingerprint: str
    """Of its weights, vocabulary and settings."""
    settings: EncoderSettings | None
    """From which it is loaded again; None for an encoder that is an object of the user's own."""
    dim: int
    kind: str
    """``"flat"``, ``"hnsw"``, or the class of an index that others built."""
    metric: str
    """``"ip"``, inner product, or ``"l2"``."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Of HNSW: ``m``, ``ef_construction``, ``ef_search``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The identity of an index."""

    name: str
    engine: Engine
    engine_version: str
    """All that can change the ranking: the versions of engine, analyzer and jar."""
    corpus_sha256: str
    """Of the passages as indexed, in their order."""
    num_passages: int
    searchenv_version: str
    created: str
    """UTC, ISO 8601."""
    analyzer: str | None = None
    """How texts and queries become terms; a query analyzer must be the same."""
    k1: float | None = None
    b: float | None = None
    dense: DenseSettings | None = None
    """Of engine ``faiss``, which has no analyzer, k1 and b."""

    @property
    def fingerprint(self) -> str:
        """Returns a digest of what decides a search's result: not of name and date."""
        ignored = {"name", "searchenv_version", "created"}
        identity = {key: value for key, value in self._fields().items() if key not in ignored}
        if (
            self.dense is not None
        ):  # the encoder's own fingerprint covers its settings, not its place
            named = {"encoder", "settings"}
            identity["dense"] = {k: v for k, v in asdict(self.dense).items() if k not in named}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """Returns the text of ``manifest.json``."""
        fields = {"format": _FORMAT, "fingerprint": self.fingerprint, **self._fields()}
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    def _fields(self) -> dict[str, object]:
        return {key: value for key, value in asdict(self).items() if value is not None}


def read_manifest(folder: Path) -> Manifest:
    """Returns the manifest of an index folder.

    Raises:
        IndexNotFoundError: there is none.
        IndexMismatchError: it cannot be read, is of another format, or was changed after the build.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise IndexNotFoundError(
            f"no {MANIFEST_FILE} in {folder}: not an index that searchenv built"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        format_, fingerprint = fields.pop("format"), fields.pop("fingerprint")
        manifest = Manifest(
            **{**fields, "engine": Engine(fields["engine"]), "dense": _dense(fields.get("dense"))}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexMismatchError(
            f"{path} is not a readable manifest ({error}): build the index again"
        ) from error
    if format_ != _FORMAT:
        raise IndexMismatchError(
            f"{path} has format {format_}, expected {_FORMAT}: build the index again"
        )
    if manifest.fingerprint != fingerprint:
        raise IndexMismatchError(
            f"{path} was changed after the build: its fields give the fingerprint "
            f"{manifest.fingerprint}, it says {fingerprint}. Build the index again"
        )
    return manifest


def _dense(fields: dict[str, Any] | None) -> DenseSettings | None:
    if fields is None:
        return None
    settings = fields["settings"]
    loaded = None if settings is None else EncoderSettings(**settings)
    return DenseSettings(**{**fields, "settings": loaded})


def index_home() -> Path:
    """Returns ``$SEARCHENV_HOME/indexes``, by default ``~/.cache/searchenv/indexes``."""
    home = os.environ.get("SEARCHENV_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "searchenv") / "indexes"
