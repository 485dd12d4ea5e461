"""A policy that says what it was told to say."""

from collections.abc import Mapping, Sequence

from searchenv.episode import EpisodeView
from searchenv.errors import EpisodeStateError
from searchenv.types import Act, Answer

__all__ = ["ScriptedPolicy"]


class ScriptedPolicy:
    """Replays given moves; for tests and documentation.

    Args:
        moves: for each question id what is written turn by turn: a text as it stands, or a move,
            which is rendered in the protocol of the episode.
    """

    def __init__(self, moves: Mapping[str, Sequence[str | Act | Answer]]) -> None:
        self._moves = moves

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the next scripted text of each view.

        Raises:
            EpisodeStateError: the script of a question is missing or has come to its end.
        """
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        script = self._moves.get(view.question_id, ())
        turn = len(view.moves)
        if turn >= len(script):
            raise EpisodeStateError(
                f"the script of question {view.question_id!r} has {len(script)} moves, "
                f"but move {turn + 1} is asked for: end it with an answer"
            )
        move = script[turn]
        return move if isinstance(move, str) else view.protocol.render(move)
