"""The role of a retriever and the tool that lets an agent call one."""

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from searchenv.types import Hit, Observation, ToolCall, ToolFailure, ToolResult

__all__ = ["Retriever", "RetrieverTool"]

logger = logging.getLogger(__name__)


@runtime_checkable
class Retriever(Protocol):
    """Finds passages, many queries at a time.

    Contract (the tests in ``test_contract.py`` check it): the result is aligned with ``queries``;
    each list holds at most ``k`` hits, best first, ranks 1..n, ties broken by passage id, also at
    the cut after k. Any ``str`` is a valid query: one that holds nothing to search for gives ``[]``
    and never spoils its batch. An empty ``queries`` gives ``[]``.

    Raises:
        ValueError: ``k`` is below 1.
        RetrievalError: the search itself failed. An empty list never stands for a failure.
    """

    @property
    def fingerprint(self) -> str:
        """Identifies corpus, analyzer or encoder, parameters and engine version."""
        ...

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query."""
        ...


class RetrieverTool:
    """Adapts a retriever to the ``search`` tool: one batched search for all calls.

    Args:
        retriever: what to search.
        k: hits a call, at least 1.
    """

    def __init__(self, retriever: Retriever, k: int = 3) -> None:
        if k < 1:
            raise ValueError(f"k must be >= 1, got {k}")
        self.retriever = retriever
        self.k = k

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Returns the hits of each call; a search that raises fails all calls of the batch."""
        queries = [call.query for call in calls]
        try:
            found = self.retriever.search(queries, self.k)
        except Exception as error:  # boundary of a tool call: the driver retries, then truncates
            logger.warning("search of %d queries failed", len(queries), exc_info=True)
            retryable = bool(getattr(error, "retryable", True))  # of a RetrievalError
            failure = ToolFailure(f"{type(error).__name__}: {error}", retryable=retryable)
            return [failure] * len(queries)
        return [Observation(tuple(hits)) for hits in found]
