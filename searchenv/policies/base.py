"""The role of a policy: an agent that plays episodes."""

from collections.abc import Sequence
from typing import Protocol

from searchenv.episode import EpisodeView

__all__ = ["Policy"]


class Policy(Protocol):
    """Writes the next text of each of many episodes.

    A policy keeps no state of its own about an episode: all it needs is in the view. That lets a
    driver run any number of episodes, in any order, and resume them. One that draws random numbers
    draws them from ``view.seed``, the question's id and the turn.

    A policy that waits for a server may have an attribute ``concurrency``, a whole number of at
    least 1: then ``act`` is called from up to that many threads at once, with one view each, and no
    episode waits for another's answer.
    """

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns one text for each view, in the format of the view's protocol.

        A model's text may be a :class:`searchenv.types.Written`, which says how it ended.

        Raises:
            PolicyError: nothing can be written for one of the views. Where there were several, the
                evaluation asks again for each alone, and counts as failed the questions of those
                that raise it again.
        """
        ...
