"""Steps any number of episodes at once, with one call to each tool.

The single environment, the vector environment and the evaluation runner all step through here, so
the same moves give the same observations and rewards in each of them.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from searchenv.episode import Episode
from searchenv.types import Invalid, Move, Tool, ToolCall, ToolFailure, ToolResult, Written

__all__ = ["Step", "run_calls", "step_episodes"]

MAX_RETRIES = 2
FIRST_WAIT_S = 0.1


class Step(NamedTuple):
    """What one step of an episode did."""

    move: Move
    observation: str
    """What the policy reads next; empty once the episode is over."""

    @property
    def valid(self) -> bool:
        """Whether the agent made a valid move."""
        return not isinstance(self.move, Invalid)


def step_episodes(
    episodes: Sequence[Episode], texts: Sequence[str], tools: Mapping[str, Tool]
) -> list[Step]:
    """Lets each episode take its text and answers all their calls together.

    Args:
        episodes: none of them over.
        texts: what each policy wrote, aligned with ``episodes``.
        tools: by name; one batched ``run`` a tool, whatever the number of episodes.

    Returns:
        One step for each episode.
    """
    moves = [_act(episode, text) for episode, text in zip(episodes, texts, strict=True)]
    waiting = [episode for episode in episodes if not episode.over]
    results = iter(run_calls([call for e in waiting for call in e.pending], tools))
    observations = {
        id(episode): episode.observe([next(results) for _ in episode.pending])
        for episode in waiting
    }
    return [
        Step(move, observations.get(id(episode), ""))
        for episode, move in zip(episodes, moves, strict=True)
    ]


def _act(episode: Episode, text: str) -> Move:
    if isinstance(text, Written):
        return episode.act(str(text), token_ids=text.token_ids, cut=text.cut)
    return episode.act(text)


def run_calls(calls: Sequence[ToolCall], tools: Mapping[str, Tool]) -> list[ToolResult]:
    """Runs the calls, one batch a tool, and repeats those that failed at most twice.

    The waits between tries double, from 0.1 s on. What still fails then is returned as the failure
    it is.
    """
    results: list[ToolResult] = [_unknown(call, tools) for call in calls]
    by_tool: dict[str, list[int]] = defaultdict(list)
    for i, call in enumerate(calls):
        if call.tool in tools:
            by_tool[call.tool].append(i)
    for name, todo in by_tool.items():
        for attempt in range(MAX_RETRIES + 1):
            if attempt:
                time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
            found = tools[name].run([calls[i] for i in todo])
            for i, result in zip(todo, found, strict=True):
                results[i] = result
            todo = [i for i in todo if _failed_for_now(results[i])]
            if not todo:
                break
    return results


def _unknown(call: ToolCall, tools: Mapping[str, Tool]) -> ToolFailure:
    known = ", ".join(sorted(tools))
    return ToolFailure(f"no tool is named {call.tool!r}; there are: {known}", retryable=False)


def _failed_for_now(result: ToolResult) -> bool:
    return isinstance(result, ToolFailure) and result.retryable
