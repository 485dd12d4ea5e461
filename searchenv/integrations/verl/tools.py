"""The search and the score for verl's stock ``tool_agent``.

Written against verl 0.9.1, which plays, cuts and masks such episodes itself: it shows a failed
search to the model as a message, and cuts a result in characters. Our own loop drops the sample
instead, and leaves out whole passages.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import OpenAIFunctionToolSchema, ToolResponse

from searchenv.errors import RetrievalError
from searchenv.integrations.verl.pooling import ToolPool, search_pool
from searchenv.metrics import SCORERS
from searchenv.protocols import get_protocol, neutralise
from searchenv.protocols.tool_calls import SEARCH_SCHEMA
from searchenv.types import Observation, ToolCall

__all__ = ["SearchTool", "compute_score", "search_text", "shared_pool"]

shared_pool = lru_cache(maxsize=8)(search_pool)
"""The pool of this process over an index."""

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


class SearchTool(BaseTool):  # type: ignore[misc]
    """``search(query)`` for ``rollout.multi_turn.tool_config_path``.

    Args:
        config: ``index`` (a folder, a name, or the URL of a service), and maybe ``engine`` and
            ``k``; ``type`` is verl's.
        tool_schema: None: :data:`searchenv.protocols.tool_calls.SEARCH_SCHEMA`.
    """

    def __init__(
        self, config: Mapping[str, Any], tool_schema: OpenAIFunctionToolSchema | None = None
    ) -> None:
        schema = tool_schema or OpenAIFunctionToolSchema.model_validate(SEARCH_SCHEMA)
        super().__init__(dict(config), schema)
        self._pool = shared_pool(
            str(config["index"]), config.get("engine"), int(config.get("k", 3))
        )

    async def execute(
        self, instance_id: str, parameters: Mapping[str, Any], **kwargs: Any
    ) -> tuple[ToolResponse, float, dict[str, float]]:
        """Returns the passages; counts the call in ``agent_data.extra_fields["searches"]``.

        Raises:
            RetrievalError: the search failed for good.
        """
        text = await search_text(self._pool, parameters)
        fields = kwargs["agent_data"].extra_fields
        fields["searches"] = fields.get("searches", 0) + 1
        return ToolResponse(text=text), 0.0, {}


async def search_text(pool: ToolPool, parameters: Mapping[str, Any]) -> str:
    """Returns what a search found as text, with markup neutralised.

    Raises:
        RetrievalError: it failed for good.
    """
    query = parameters.get("query")
    if not isinstance(query, str) or not query.strip():
        return f'no valid call: expected {{"query": "..."}} with some text, got {dict(parameters)}'
    (result,) = await pool.run([ToolCall("search", query)])
    if not isinstance(result, Observation):
        raise RetrievalError(result.message, retryable=False)
    protocol = get_protocol("tool_calls")
    lines = [
        protocol.format_passage(rank, neutralise(hit.passage.title), neutralise(hit.passage.text))
        for rank, hit in enumerate(result.hits, start=1)
    ]
    return "".join(lines).rstrip("\n") or protocol.no_results


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Mapping[str, Sequence[str]],
    extra_info: Mapping[str, Any] | None = None,
    *,
    scorer: str = "em",
    **others: object,
) -> dict[str, float]:
    """Returns the score of the last ``<answer>`` of an episode: verl's custom reward function.

    Retrieved text cannot give one, since its markup is neutralised.

    Args:
        data_source: not used.
        solution_str: all that followed the prompt.
        ground_truth: with the answers under ``target``, as ``searchenv export verl`` writes it.
        extra_info: with the calls of :class:`SearchTool` under ``searches``, as verl adds them.
        scorer: a name of :data:`searchenv.metrics.SCORERS`, from ``reward_kwargs``.
        **others: not used.
    """
    found = _ANSWER.findall(solution_str)
    answers = [str(answer) for answer in ground_truth["target"]]
    score = SCORERS[scorer](found[-1].strip(), answers) if found else 0.0
    searches = float((extra_info or {}).get("searches") or 0)
    return {"score": float(score), "answered": float(bool(found)), "searches": searches}
