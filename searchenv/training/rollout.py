"""Groups of episodes that a model plays, and where their time goes."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean

from searchenv.episode import Episode, EpisodeView
from searchenv.evaluation import Record, Setup
from searchenv.evaluation.play import play
from searchenv.policies.base import Policy
from searchenv.policies.generation import sample_seed
from searchenv.types import Question, Tool, ToolCall, ToolResult

__all__ = ["Clock", "Rollout", "describe_records", "describe_tools", "is_valid", "roll_out"]


class Clock:
    """Adds up the seconds of named kinds of work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Counts the time inside the block under ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Rollout:
    """Samples of some questions, grouped by question."""

    groups: tuple[tuple[Record, ...], ...]
    """In the order of the questions; failed samples are not in them, their siblings are."""
    failed: int
    """Samples that a tool's or the policy's failure ended."""

    @property
    def records(self) -> list[Record]:
        """All samples that did not fail."""
        return [record for group in self.groups for record in group]


def roll_out(
    policy: Policy, questions: Sequence[Question], setup: Setup, *, seed: int, clock: Clock
) -> Rollout:
    """Plays ``setup.samples`` episodes of each question, all at once.

    Args:
        policy: writes the moves.
        questions: the same one may come twice.
        setup: what they are played with; its ``seed`` is not used.
        seed: what the policy draws from; equal seeds give equal episodes.
        clock: gets ``generation``, ``retrieval`` (all tools) and ``environment`` (the rest).
    """
    episodes = [
        Episode(question, setup.protocol, setup.limits, seed=sample_seed(seed, i, sample))
        for i, question in enumerate(questions)
        for sample in range(setup.samples)
    ]
    tools = {name: _TimedTool(tool, clock) for name, tool in setup.tools.items()}
    started, before = time.perf_counter(), sum(clock.seconds.values())
    for _ in play(_TimedPolicy(policy, clock), episodes, tools, num_envs=max(1, len(episodes))):
        pass
    records = [
        Record.of(episode, setup.reward, setup.scorers, i % setup.samples)
        for i, episode in enumerate(episodes)
    ]
    elsewhere = sum(clock.seconds.values()) - before
    clock.seconds["environment"] += time.perf_counter() - started - elsewhere
    starts = range(0, len(records), setup.samples)
    groups = [records[start : start + setup.samples] for start in starts]
    whole = tuple(tuple(r for r in group if not r.outcome.failed) for group in groups)
    return Rollout(whole, len(records) - sum(map(len, whole)))


def describe_records(records: Sequence[Record]) -> dict[str, float]:
    """Returns means over episodes: reward and its terms, scores, searches, validity; {} of none.

    ``search_rate`` is the share that ran a call, ``valid_rate`` the share that answered without an
    invalid move.
    """
    if not records:
        return {}
    first = records[0].outcome
    found = {"reward": fmean(sum(r.outcome.terms.values()) for r in records)}
    found |= {
        f"term_{name}": fmean(r.outcome.terms.get(name, 0.0) for r in records)
        for name in first.terms
    }
    found |= {name: fmean(r.outcome.scores[name] for r in records) for name in first.scores}
    found["search_rate"] = fmean(r.result.num_calls > 0 for r in records)
    found["searches"] = fmean(r.result.num_calls for r in records)
    found["valid_rate"] = fmean(is_valid(r) for r in records)
    return found


def describe_tools(tools: Mapping[str, Tool]) -> dict[str, object]:
    """Returns what headers say of tools: the retriever's fingerprint, hits of a search."""
    return {
        name: {
            "fingerprint": getattr(getattr(tool, "retriever", tool), "fingerprint", ""),
            "tool": type(tool).__name__,
            "k": getattr(tool, "k", None),
        }
        for name, tool in tools.items()
    }


def is_valid(record: Record) -> bool:
    """Returns whether an episode was answered without an invalid move."""
    return record.result.answer is not None and record.result.num_invalid == 0


@dataclass(frozen=True, slots=True)
class _TimedPolicy:
    policy: Policy
    clock: Clock

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        with self.clock.time("generation"):
            return self.policy.act(views)


@dataclass(frozen=True, slots=True)
class _TimedTool:
    tool: Tool
    clock: Clock

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        with self.clock.time("retrieval"):
            return self.tool.run(calls)
