"""The parts that the trajectories of one process share."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.episode import Episode
from searchenv.integrations.verl.groups import GroupBarrier
from searchenv.integrations.verl.log import log_sizes, read_log
from searchenv.integrations.verl.pooling import ToolPool
from searchenv.protocols import SearchR1
from searchenv.results import Result
from searchenv.types import Limits, Observation, Question, Terms, Tool, ToolCall, ToolResult


class Slow:
    """Answers a batch when it is let go; keeps the sizes of batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.started = threading.Event()
        self.go = threading.Event()

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        self.sizes.append(len(calls))
        self.started.set()
        assert self.go.wait(10)
        if any(call.query == "raise" for call in calls):
            raise ZeroDivisionError("the tool is broken")
        return [Observation((), text=call.query) for call in calls]


@pytest.fixture
def result() -> Result:
    episode = Episode(Question("q", "Who?", ("Bado",)), SearchR1(), Limits())
    episode.act("<answer> Bado </answer>")
    return episode.result


def call(query: str) -> list[ToolCall]:
    return [ToolCall("search", query)]


def test_calls_that_arrive_while_others_run_are_one_batch() -> None:
    tool = Slow()
    tools: dict[str, Tool] = {"search": tool}

    async def run() -> list[list[ToolResult]]:
        pool = ToolPool(tools)
        first = asyncio.create_task(pool.run(call("a")))
        await asyncio.to_thread(tool.started.wait)
        others = [asyncio.create_task(pool.run(call(f"b{i}"))) for i in range(3)]
        none = await pool.run([])
        await asyncio.sleep(0)
        tool.go.set()
        answers = await asyncio.gather(first, *others)
        assert pool.num_batches == 2
        assert pool.seconds > 0
        return [none, *answers]

    answers = asyncio.run(asyncio.wait_for(run(), 20))
    assert tool.sizes == [1, 3]
    texts = [[a.text for a in found if isinstance(a, Observation)] for found in answers]
    assert texts == [[], ["a"], ["b0"], ["b1"], ["b2"]]


def test_a_cancelled_trajectory_leaves_its_neighbours_their_answers() -> None:
    tool = Slow()

    async def run() -> list[ToolResult]:
        pool = ToolPool({"search": tool})
        gone = asyncio.create_task(pool.run(call("gone")))
        stays = asyncio.create_task(pool.run(call("stays")))
        await asyncio.to_thread(tool.started.wait)
        gone.cancel()
        tool.go.set()
        return await stays

    (answer,) = asyncio.run(asyncio.wait_for(run(), 20))
    assert isinstance(answer, Observation)
    assert answer.text == "stays"


def test_what_a_tool_raises_reaches_all_of_its_batch_and_no_later_one() -> None:
    tool = Slow()
    tool.go.set()

    async def run() -> list[ToolResult]:
        pool = ToolPool({"search": tool})
        both = await asyncio.gather(
            pool.run(call("raise")), pool.run(call("b")), return_exceptions=True
        )
        assert [type(error) for error in both] == [ZeroDivisionError, ZeroDivisionError]
        return await pool.run(call("later"))

    (answer,) = asyncio.run(asyncio.wait_for(run(), 20))
    assert isinstance(answer, Observation)


class Count:
    """Gives each result the size of its group."""

    reads_transcript = False

    def __call__(self, results: Sequence[Result]) -> list[Terms]:
        return [{"size": float(len(results))} for _ in results]


class Broken:
    """A group reward that raises."""

    reads_transcript = False

    def __call__(self, results: Sequence[Result]) -> list[Terms]:
        raise ZeroDivisionError("the reward is broken")


def test_a_group_is_scored_when_its_last_sample_came(result: Result) -> None:
    async def run() -> list[Terms]:
        barrier = GroupBarrier(Count())
        first = asyncio.create_task(barrier.arrive("a", 3, result))
        other = asyncio.create_task(barrier.arrive("b", 2, result))
        await asyncio.sleep(0.01)
        failed = asyncio.create_task(barrier.arrive("a", 3, None))
        await asyncio.sleep(0.01)
        assert not first.done()
        last = await barrier.arrive("a", 3, result)
        assert not other.done()
        found = [await first, await failed, last, await barrier.arrive("b", 2, None), await other]
        again = await barrier.arrive("a", 1, result)
        return [*found, again]

    assert asyncio.run(asyncio.wait_for(run(), 20)) == [
        {"size": 2.0},
        {},
        {"size": 2.0},
        {},
        {"size": 1.0},
        {"size": 1.0},
    ]


def test_a_reward_that_raises_leaves_nobody_waiting(result: Result) -> None:
    async def run() -> None:
        barrier = GroupBarrier(Broken())
        waits = asyncio.create_task(barrier.arrive("a", 2, result))
        await asyncio.sleep(0.01)
        with pytest.raises(ZeroDivisionError):
            await barrier.arrive("a", 2, result)
        with pytest.raises(ZeroDivisionError):
            await waits

    asyncio.run(asyncio.wait_for(run(), 20))


def test_log_goes_on_whatever_the_numbers_of_the_processes(tmp_path: Path) -> None:
    # process numbers begin anew at 32,768: the later process may be the first in order
    (tmp_path / "host-20000.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    before = log_sizes(tmp_path)
    (tmp_path / "host-1000.jsonl").write_text('{"n": 3}\n{"n": 4')
    with (tmp_path / "host-20000.jsonl").open("a") as same_number_again:
        same_number_again.write('{"n": 5}\n')
    assert [line["n"] for line in read_log(tmp_path, before)] == [3, 5]
    assert [line["n"] for line in read_log(tmp_path)] == [3, 1, 2, 5]
