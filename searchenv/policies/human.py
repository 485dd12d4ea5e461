"""A policy that asks a person at the terminal."""

import textwrap
from collections.abc import Callable, Sequence

from searchenv.episode import EpisodeView
from searchenv.policies.moves import write_answer, write_search
from searchenv.types import Hit, Invalid

__all__ = ["HumanPolicy"]

_HELP = (
    "Type words to search for them. Type = and your answer to answer. "
    "Type quit to stop, ? to read this again.\n"
)
_WIDTH = 88


class HumanPolicy:
    """Lets a person play: words are a search, ``= words`` the answer, a raw move is taken as it is.

    Args:
        ask: shows a text and returns the line that the person typed; ``EOFError`` ends the game.
    """

    def __init__(self, ask: Callable[[str], str] = input) -> None:
        self._ask = ask

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Asks for the next move of each view.

        Raises:
            KeyboardInterrupt: the person typed ``quit`` or closed the input.
        """
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        shown = _show(view)
        while True:
            try:
                line = self._ask(f"{shown}[{view.turns_left} moves left] > ").strip()
            except EOFError:
                raise KeyboardInterrupt("the input was closed") from None
            if line == "quit":
                raise KeyboardInterrupt("the player quit")
            if line.startswith("=") and line[1:].strip():
                return write_answer(view, line[1:])
            if line and line not in ("?", "="):
                raw = not isinstance(view.protocol.parse(line).move, Invalid)
                return line if raw else write_search(view, line)
            shown = _HELP


def _show(view: EpisodeView) -> str:
    if not view.moves:
        return f"\n{textwrap.fill(view.question, _WIDTH)}\n\n{_HELP}"
    last = view.moves[-1]
    if isinstance(last, Invalid):
        return f"\n{textwrap.fill(view.protocol.hint(last), _WIDTH)}\n"
    hits = view.observations[-1] if view.observations else ()
    return "\n" + ("".join(_show_hit(hit) for hit in hits) or "No results.\n")


def _show_hit(hit: Hit) -> str:
    text = textwrap.fill(hit.passage.text, _WIDTH, initial_indent="   ", subsequent_indent="   ")
    return f"{hit.rank}. {hit.passage.title}\n{text}\n"
