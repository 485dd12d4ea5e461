"""What policies without a model share: what was searched so far, and texts that are valid moves."""

import re

from searchenv.episode import EpisodeView
from searchenv.errors import ProtocolError
from searchenv.protocols.base import TextProtocol, neutralise
from searchenv.types import Act, Answer, Hit, ToolCall

__all__ = ["expressible", "may_search", "passages_seen", "searched", "write_answer", "write_search"]

_NOT_PLAIN = re.compile(r"[^\w' ,.-]+")
_BLANK = "unknown"


def searched(view: EpisodeView) -> dict[str, tuple[Hit, ...]]:
    """Returns the hits of each query that was run, in the order of the searches."""
    calls = [call for move in view.moves if isinstance(move, Act) for call in move.calls]
    return {
        call.query: hits for call, hits in zip(calls, view.observations, strict=False)
    }  # fewer observations than calls: the last ones were refused


def passages_seen(view: EpisodeView) -> list[Hit]:
    """Returns the hits of all searches, the first search first, each passage once."""
    seen = {hit.passage.id: hit for hits in reversed(view.observations) for hit in reversed(hits)}
    return list(reversed(seen.values()))


def may_search(view: EpisodeView) -> bool:
    """Whether the budgets allow a search and an answer after it."""
    return view.turns_left > 1 and view.calls_left("search") != 0


def write_search(view: EpisodeView, query: str) -> str:
    """Returns a move that searches ``query``, cleaned where the protocol cannot express it."""
    call = ToolCall("search", expressible(view.protocol, query))
    return view.protocol.render(Act((call,)))


def write_answer(view: EpisodeView, text: str) -> str:
    """Returns a move that answers ``text``, cleaned where the protocol cannot express it."""
    return view.protocol.render(Answer(expressible(view.protocol, text)))


def expressible(protocol: TextProtocol, text: str) -> str:
    """Returns ``text`` as it can stand in a search and in an answer of this protocol.

    White space is collapsed; tags are broken up if need be, and other signs dropped if that does
    not do. A text of which nothing is left becomes "unknown".
    """
    text = " ".join(text.split())
    plain = " ".join(_NOT_PLAIN.sub(" ", text).split())
    for form in (text, neutralise(text), plain):
        try:
            protocol.render(Answer(form))
            protocol.render(Act((ToolCall("search", form),)))
        except ProtocolError:
            continue
        return form
    return _BLANK
