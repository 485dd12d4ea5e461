"""Tool calls of many trajectories as few batches."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from searchenv.driver import run_calls
from searchenv.task import Task
from searchenv.types import Question, Tool, ToolCall, ToolResult

__all__ = ["ToolPool", "search_pool"]

_GATHER_S = 0.005
_ANY = (Question("", "?", ()),)  # a task wants questions; verl holds them


class ToolPool:
    """Runs calls in a thread, with their retries; what arrives meanwhile is the next batch.

    So a worker that plays hundreds of trajectories searches a few times a turn, whatever their
    number, and its event loop never waits for an index. One pool serves one event loop.

    Args:
        tools: by name.
    """

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._waiting: list[tuple[Sequence[ToolCall], asyncio.Future[list[ToolResult]]]] = []
        self._running: asyncio.Task[None] | None = None
        self.num_batches = 0
        """How often the tools were run."""
        self.seconds = 0.0
        """How long they ran, their retries and waits included."""

    async def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Returns one result for each call; a call that failed for good is a failure in it."""
        if not calls:
            return []
        results: asyncio.Future[list[ToolResult]] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, results))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await results

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)  # trajectories that are ready too join this batch
                batch, self._waiting = self._waiting, []
                await self._answer(batch)
        finally:
            self._running = None

    async def _answer(
        self, batch: Sequence[tuple[Sequence[ToolCall], asyncio.Future[list[ToolResult]]]]
    ) -> None:
        calls = [call for members, _ in batch for call in members]
        self.num_batches += 1
        started = time.perf_counter()
        try:
            found = iter(await asyncio.to_thread(run_calls, calls, self._tools))
        except Exception as error:  # a tool that raises: each trajectory gets what it raised
            for _, results in batch:
                if not results.done():
                    results.set_exception(error)
            return
        finally:
            self.seconds += time.perf_counter() - started
        for members, results in batch:
            answers = [next(found) for _ in members]
            if not results.done():  # the trajectory may have been cancelled
                results.set_result(answers)


def search_pool(index: str, engine: str | None, k: int) -> ToolPool:
    """Returns a pool with the search of an index: a folder, a name, or the URL of a service."""
    return ToolPool(Task(index=index, engine=engine, questions=_ANY, k=k).tools)
