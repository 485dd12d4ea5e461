"""A policy that searches and answers at random: what a score is worth that any agent gets."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from searchenv.episode import EpisodeView
from searchenv.policies.moves import may_search, passages_seen, write_answer, write_search
from searchenv.policies.reading import names

__all__ = ["RandomPolicy"]

_ANSWER_CHANCE = 0.3


class RandomPolicy:
    """Searches words of the question or titles it has seen, and answers a name it has seen.

    A move depends on the seed, the episode's seed, the question's id and the turn alone, and not on
    which other episodes are played beside it.

    Args:
        seed: at least 0.
    """

    def __init__(self, seed: int = 0) -> None:
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}")
        self._seed = seed

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns a random move for each view."""
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        digest = sha256(view.question_id.encode("utf-8", "surrogatepass")).digest()
        turn = len(view.moves)
        key = int.from_bytes(digest[:8], "big")
        rng = np.random.default_rng([self._seed, key, turn, view.seed])
        words = view.question.split() or [view.question]
        passages = [hit.passage for hit in passages_seen(view)]
        titles = [passage.title for passage in passages if passage.title]
        if may_search(view) and (turn == 0 or rng.random() >= _ANSWER_CHANCE):
            some = rng.choice(len(words), size=min(3, len(words)), replace=False)
            queries = [" ".join(words[i] for i in sorted(some)), *titles]
            return write_search(view, queries[rng.integers(len(queries))])
        spans = [name for passage in passages for name in names(passage.text)]
        answers = titles + spans or words
        return write_answer(view, answers[rng.integers(len(answers))])
