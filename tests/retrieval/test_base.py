import logging
from collections.abc import Sequence

import pytest

from searchenv.errors import RetrievalError
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Hit, Observation, ToolCall, ToolFailure


class BrokenRetriever:
    fingerprint = "broken"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        raise RetrievalError("the engine is down")


def calls(*queries: str) -> list[ToolCall]:
    return [ToolCall("search", query) for query in queries]


def test_retriever_tool_searches_all_calls_at_once(keyword_retriever: Retriever) -> None:
    tool = RetrieverTool(keyword_retriever, k=1)
    found = tool.run(calls("river", "nothing"))
    assert isinstance(found[0], Observation)
    assert [hit.passage.id for hit in found[0].hits] == ["p3"]
    assert found[1] == Observation(())
    assert keyword_retriever.batches == [2]  # type: ignore[attr-defined]


def test_retriever_tool_turns_an_error_into_failures(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        failures = RetrieverTool(BrokenRetriever()).run(calls("a", "b"))
    assert failures == [ToolFailure("RetrievalError: the engine is down")] * 2
    assert "search of 2 queries failed" in caplog.text


def test_retriever_tool_k_below_one_is_an_error(keyword_retriever: Retriever) -> None:
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        RetrieverTool(keyword_retriever, k=0)
