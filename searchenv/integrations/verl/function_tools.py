"""``search(query)`` as a function tool: a file for verl's ``multi_turn.function_tool_path``.

The index comes from the variables ``SEARCHENV_INDEX`` and ``SEARCHENV_K`` (default: 3).
"""

import os

from verl.tools.function_tool import function_tool

from searchenv.integrations.verl.tools import search_text, shared_pool
from searchenv.protocols.tool_calls import SEARCH_SCHEMA

__all__ = ["search"]


@function_tool(schema=dict(SEARCH_SCHEMA))  # type: ignore[untyped-decorator]
async def search(query: str) -> str:
    """Returns the passages that were found, as text.

    Raises:
        KeyError: ``SEARCHENV_INDEX`` is not set.
        RetrievalError: the search failed for good.
    """
    pool = shared_pool(os.environ["SEARCHENV_INDEX"], None, int(os.environ.get("SEARCHENV_K", "3")))
    return await search_text(pool, {"query": query})
