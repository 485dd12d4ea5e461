"""A place where the samples of one question wait for each other."""

import asyncio
from dataclasses import dataclass, field

from searchenv.results import Result
from searchenv.rewards import GroupReward, score_group
from searchenv.types import Terms

__all__ = ["GroupBarrier"]


class GroupBarrier:
    """Scores the samples of a question once all of them have arrived; lives in one event loop.

    verl plays all samples of a question in one worker at the same time, so each of them can wait.
    A sample that failed arrives as well, without a result, so that its siblings do not wait for it.

    Args:
        reward: of the whole group.
    """

    def __init__(self, reward: GroupReward) -> None:
        self._reward = reward
        self._groups: dict[str, _Group] = {}

    async def arrive(self, key: str, size: int, result: Result | None) -> Terms:
        """Returns the terms of this sample when the last one of its group has come.

        Args:
            key: of the group, such as the ``uid`` that verl gives a prompt.
            size: samples in the group, this one included.
            result: the finished episode; None: there is none, and the terms are empty.
        """
        group = self._groups.setdefault(key, _Group())
        place = len(group.results)
        group.results.append(result)
        if len(group.results) == size:
            del self._groups[key]
            group.score(self._reward)
        return (await group.terms)[place]


@dataclass(slots=True)
class _Group:
    results: list[Result | None] = field(default_factory=list)
    terms: "asyncio.Future[list[Terms]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def score(self, reward: GroupReward) -> None:
        try:
            played = iter(score_group(reward, [r for r in self.results if r is not None]))
        except Exception as error:  # each sample of the group gets what the reward raised
            self.terms.set_exception(error)
            return
        self.terms.set_result([{} if r is None else next(played) for r in self.results])
