"""What runs an encoder's model: torch, onnxruntime, or sentence-transformers as a whole.

Import it only where it is called. Each class takes texts and returns one vector a text.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from searchenv.errors import MissingDependencyError
from searchenv.retrieval.encoder_settings import EncoderSettings, Pooling

__all__ = ["Model", "load_model"]

Vectors = NDArray[np.float32]

_loaded_in = 0
"""The process that loaded a model first; its children inherit the number."""


class Model(Protocol):
    """A loaded model."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a text, (num_texts, dim), from one pass through the model."""
        ...


def load_model(folder: Path, settings: EncoderSettings, device: str | None, dtype: str) -> Model:
    """Returns the model of a folder, ready to run.

    Raises:
        MissingDependencyError: the package that runs it is not installed.
    """
    global _loaded_in
    kind = _OnnxModel if settings.onnx else _TorchModel
    try:
        with _quiet():
            if settings.pooling is Pooling.LIBRARY and not settings.onnx:
                return _LibraryModel(folder, settings, device, dtype)
            if _loaded_in not in (0, os.getpid()) and not settings.onnx:
                # threads do not survive a fork, and torch would wait for them for ever
                import torch

                torch.set_num_threads(1)
            _loaded_in = _loaded_in or os.getpid()
            return kind(folder, settings, device, dtype)
    except ImportError as error:
        raise MissingDependencyError(
            f'this encoder cannot run: pip install "searchenv[dense]" ({error})'
        ) from error


class _Tokens:
    """Cuts texts into tokens; several threads may use it, one after the other."""

    def __init__(self, folder: Path, max_length: int) -> None:
        from transformers import AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._max_length = max_length
        self._lock = threading.Lock()  # padding and truncation are states of the tokenizer

    def of(self, texts: Sequence[str], kind: str) -> Any:
        with self._lock:
            return self._tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=self._max_length,
                return_tensors=kind,
            )


class _TorchModel:
    def __init__(
        self, folder: Path, settings: EncoderSettings, device: str | None, dtype: str
    ) -> None:
        import torch
        from transformers import AutoModel

        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model: Any = AutoModel.from_pretrained(str(folder), dtype=getattr(torch, dtype))
        self._model = model.to(self._device).eval()
        self._tokens = _Tokens(folder, settings.max_length)
        self._settings = settings

    def embed(self, texts: Sequence[str]) -> Vectors:
        import torch

        tokens = self._tokens.of(texts, "pt").to(self._device)
        with torch.inference_mode():
            states = self._model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"]
            if self._settings.pooling is Pooling.MEAN:
                weights = mask.unsqueeze(-1).float()
                pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            elif self._settings.pooling is Pooling.CLS:
                pooled = states[:, 0]
            else:
                places = torch.arange(mask.shape[1], device=mask.device)
                last = (mask * places).argmax(1)  # whichever side the padding is on
                pooled = states[torch.arange(len(states), device=mask.device), last]
            if self._settings.normalise:
                pooled = torch.nn.functional.normalize(pooled)
            vectors: Vectors = pooled.cpu().numpy()
        return vectors


class _OnnxModel:
    def __init__(
        self, folder: Path, settings: EncoderSettings, device: str | None, dtype: str
    ) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        providers = onnxruntime.get_available_providers()
        if device == "cpu":
            providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(
            str(folder / settings.onnx), providers=providers
        )
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._tokens = _Tokens(folder, settings.max_length)
        self._settings = settings

    def embed(self, texts: Sequence[str]) -> Vectors:
        tokens = self._tokens.of(texts, "np")
        feed = {name: tokens[name].astype(np.int64) for name in self._inputs}
        outputs = self._session.run(None, feed)
        states = next(output for output in outputs if output.ndim == 3).astype(np.float32)
        mask = tokens["attention_mask"]
        if self._settings.pooling is Pooling.MEAN:
            weights = mask[:, :, None].astype(np.float32)
            pooled = (states * weights).sum(1) / np.maximum(weights.sum(1), 1e-9)
        elif self._settings.pooling is Pooling.CLS:
            pooled = states[:, 0]
        else:
            pooled = states[np.arange(len(states)), (mask * np.arange(mask.shape[1])).argmax(1)]
        if self._settings.normalise:
            pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        vectors: Vectors = pooled
        return vectors


class _LibraryModel:
    def __init__(
        self, folder: Path, settings: EncoderSettings, device: str | None, dtype: str
    ) -> None:
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(
            str(folder), device=device, model_kwargs={"dtype": dtype}
        )
        self._normalise = settings.normalise
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            vectors: Vectors = self._model.encode(
                list(texts),
                prompt="",  # prefixes are already in the texts
                batch_size=len(texts),
                normalize_embeddings=self._normalise,
                show_progress_bar=False,
            )
        return vectors.astype(np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from drawing a bar for the loading of weights."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    was_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            logging.enable_progress_bar()
