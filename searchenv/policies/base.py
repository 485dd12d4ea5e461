"""The role of a policy: an agent that plays episodes."""

from collections.abc import Sequence
from typing import Protocol

from searchenv.episode import EpisodeView

__all__ = ["Policy"]


class Policy(Protocol):
    """Writes the next text of each of many episodes.

    A policy keeps no state of its own about an episode: all it needs is in the view. That lets a
    driver run any number of episodes, in any order, and resume them.
    """

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns one text for each view, in the format of the view's protocol."""
        ...
