"""A second look at the first hits: another model scores them again.

Nogueira and Cho, "Passage Re-ranking with BERT" (2019): a cross-encoder reads query and passage
together, which is slow and better, so it gets the best few of a fast first stage only.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from searchenv.errors import IndexNotFoundError, MissingDependencyError, RetrievalError
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import DegradedHits, derived_fingerprint, search_aligned
from searchenv.retrieval.ranking import checked, to_hits
from searchenv.types import Hit, Passage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["CrossEncoder", "RerankRetriever", "Scorer"]

logger = logging.getLogger(__name__)

_DECIMALS = 4
"""Of a score. Arithmetic differs in the seventh digit with the shape of a batch; ties must not."""


class Scorer(Protocol):
    """Says how well passages answer queries, many pairs at a time."""

    @property
    def fingerprint(self) -> str:
        """Identifies the model and all settings that change a score."""
        ...

    def score(self, pairs: Sequence[tuple[str, Passage]]) -> Sequence[float]:
        """Returns one finite number a pair, higher for a better passage; pairs are many."""
        ...


class RerankRetriever:
    """Orders the first hits of another retriever by the scores of a model.

    One search of the first stage and one call of the scorer a batch. A search for more than
    ``depth`` hits scores that many. Equal scores are ordered by docid.

    Whatever goes wrong in the scorer (it raises, or gives too few numbers, or one that is not
    finite), the queries of that batch keep order and scores of the first stage. Each such result is
    a :class:`searchenv.retrieval.DegradedHits`, the failure is logged with its traceback and the
    queries are counted in ``fallbacks``. A failure of the first stage is raised.

    Args:
        first: the first stage.
        scorer: the model.
        depth: hits that are scored again, at least 1.

    Raises:
        ValueError: ``depth`` is below 1.
    """

    def __init__(self, first: Retriever, scorer: Scorer, *, depth: int = 20) -> None:
        if depth < 1:
            raise ValueError(f"depth must be >= 1, got {depth}")
        self.first = first
        self.scorer = scorer
        self.depth = depth
        self._reset()

    def _reset(self) -> None:
        self._counting = threading.Lock()
        self._fallbacks = 0

    def __getstate__(self) -> dict[str, object]:
        return {"first": self.first, "scorer": self.scorer, "depth": self.depth}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def inner(self) -> Retriever:
        """Returns the first stage."""
        return self.first

    @property
    def fingerprint(self) -> str:
        """Returns a digest of first stage, scorer and depth."""
        return derived_fingerprint(
            "rerank", [self.first.fingerprint, self.scorer.fingerprint], depth=self.depth
        )

    @property
    def fallbacks(self) -> int:
        """Returns how many queries kept the order of the first stage, by this object."""
        return self._fallbacks

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        if not texts:
            return []
        found = search_aligned(self.first, texts, max(self.depth, k))
        pairs = [(q, hit.passage) for q, hits in zip(texts, found, strict=True) for hit in hits]
        try:
            scores = iter(self._scores(pairs))
        except Exception as error:  # boundary of the scorer: the first stage's order is good enough
            return self._fall_back(found, k, error)
        return [self._reranked(hits, [next(scores) for _ in hits], k) for hits in found]

    def _scores(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        if not pairs:
            return []
        scores = [float(score) for score in self.scorer.score(pairs)]
        if len(scores) != len(pairs):
            raise RetrievalError(f"the scorer gave {len(scores)} scores for {len(pairs)} pairs")
        for score in scores:
            if not isfinite(score):
                raise RetrievalError(f"the scorer gave {score}, expected finite numbers")
        return scores

    def _reranked(self, hits: Sequence[Hit], scores: Sequence[float], k: int) -> list[Hit]:
        ordered = sorted(zip(scores, hits, strict=True), key=lambda pair: -pair[0])
        ranked = to_hits([hit.passage for _, hit in ordered], [score for score, _ in ordered])[:k]
        return DegradedHits(ranked, hits.reason) if isinstance(hits, DegradedHits) else ranked

    def _fall_back(self, found: Sequence[list[Hit]], k: int, error: Exception) -> list[list[Hit]]:
        logger.warning(
            "the scorer failed: %d queries keep the first stage's order", len(found), exc_info=True
        )
        with self._counting:
            self._fallbacks += len(found)
        reason = f"not reranked: {type(error).__name__}: {error}"
        return [DegradedHits(hits[:k], reason) for hits in found]


class CrossEncoder:
    """A sequence classifier from the Hugging Face hub or a folder that reads query and passage.

    With one output its value is the score, with two the second's lead over the first. The weights
    are loaded at the first score, again in another process, and are never pickled. Several
    threads may use one; they take turns.

    Args:
        path_or_name: a folder, or a name on the hub such as
            ``cross-encoder/ms-marco-MiniLM-L6-v2``. Its configuration is read at once, so that a
            wrong name is an error here and not a fallback later.
        max_length: tokens of query and passage together; what is longer is cut.
        batch_size: pairs in one pass through the model.
        device: where torch runs, such as ``"cuda:1"``; None: the first GPU, else the CPU.

    Raises:
        IndexNotFoundError: there is no such model.
        MissingDependencyError: transformers or torch is not installed.
        ValueError: the model has more than two outputs, or a number is out of range.
    """

    def __init__(
        self,
        path_or_name: str | Path,
        *,
        max_length: int = 512,
        batch_size: int = 32,
        device: str | None = None,
    ) -> None:
        if max_length < 8 or batch_size < 1:
            raise ValueError(
                f"expected max_length >= 8, batch_size >= 1, got {max_length} and {batch_size}"
            )
        self.name = str(path_or_name)
        self.max_length = max_length
        self.batch_size = batch_size
        self.device = device
        config = _config(self.name)
        if config.num_labels > 2:
            raise ValueError(
                f"{self.name} has {config.num_labels} outputs, expected 1 or 2: not a reranker"
            )
        self._commit = str(getattr(config, "_commit_hash", None))
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._loaded_in = 0

    def __getstate__(self) -> dict[str, object]:
        left_out = {"_lock", "_loaded", "_loaded_in"}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    @cached_property
    def fingerprint(self) -> str:
        """Returns a digest of the model and ``max_length``.

        A folder counts by the content of its files, a name on the hub by its commit.
        """
        digest = hashlib.sha256(f"{self.max_length}".encode())
        folder = Path(self.name)
        if folder.is_dir():
            for path in sorted(path for path in folder.iterdir() if path.is_file()):
                with path.open("rb") as file:
                    digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(f"{self.name} {self._commit}".encode())
        return digest.hexdigest()[:32]

    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        """Returns a score for each pair of query and passage; a passage is read with its title."""
        # Rust's tokenizer refuses to be used by two threads at once
        with self._lock:
            if self._loaded is None or self._loaded_in != os.getpid():
                self._loaded = _Loaded(self.name, self.max_length, self.device)
                self._loaded_in = os.getpid()
            return self._loaded.score(pairs, self.batch_size)


class _Loaded:
    """Tokenizer and weights in memory."""

    def __init__(self, name: str, max_length: int, device: str | None) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(name)
        self._model: Any = model.to(self._device).eval()  # type: ignore[arg-type]
        positions = getattr(model.config, "max_position_embeddings", max_length)
        self._max_length = min(max_length, positions)

    def score(self, pairs: Sequence[tuple[str, Passage]], batch_size: int) -> list[float]:
        """Returns a score for each pair."""
        texts = [(_clean(query), _clean(_text(passage))) for query, passage in pairs]
        # pairs of like length in one batch: less padding
        order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]) + len(texts[i][1]))
        scores = [0.0] * len(texts)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            for place, score in zip(chosen, self._batch([texts[i] for i in chosen]), strict=True):
                scores[place] = round(score, _DECIMALS)
        return scores

    def _batch(self, texts: Sequence[tuple[str, str]]) -> list[float]:
        import torch

        encoded = self._tokenizer(
            [query for query, _ in texts],
            [passage for _, passage in texts],
            padding=True,
            truncation="longest_first",
            max_length=self._max_length,
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            logits = self._model(**encoded).logits.float()  # (num_pairs, 1 or 2)
        best = logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        scores: list[float] = best.tolist()
        return scores


def _config(name: str) -> Any:
    try:
        import torch  # noqa: F401
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingDependencyError(
            "a cross-encoder needs transformers and torch: "
            f'pip install "searchenv[dense]" ({error})'
        ) from error
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise IndexNotFoundError(
            f"no cross-encoder {name!r}: expected a folder with config.json, or a name on the "
            f"Hugging Face hub that can be reached ({error})"
        ) from error


def _text(passage: Passage) -> str:
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def _clean(text: str) -> str:
    """Returns a text that tokenizers can take: without lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
