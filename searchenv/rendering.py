"""Episodes as text that a person enjoys reading."""

import textwrap

from searchenv.episode import Episode
from searchenv.metrics import get_scorer
from searchenv.types import Act, Answer, Hit, Invalid

__all__ = ["render_episode", "render_latest"]

WIDTH = 100
_LABEL = 11
_RULE = "─" * WIDTH + "\n"
_BOLD, _DIM, _CYAN, _GREEN, _YELLOW = "1", "2", "36", "32", "33"


def render_episode(episode: Episode, *, colour: bool = False) -> str:
    """Returns the whole episode: question, moves with the titles they found, and how it ended."""
    parts = [_header(episode, colour)]
    parts += [_turn(episode, i, colour) for i in range(episode.num_turns)]
    if episode.over:
        parts.append(_footer(episode, colour))
    return "".join(parts)


def render_latest(episode: Episode, *, colour: bool = False) -> str:
    """Returns what the last reset or step added to :func:`render_episode`."""
    if not episode.num_turns:
        return _header(episode, colour)
    latest = _turn(episode, episode.num_turns - 1, colour)
    return latest + _footer(episode, colour) if episode.over else latest


def _header(episode: Episode, colour: bool) -> str:
    return _RULE + _labelled("question", episode.question.text, _BOLD, colour) + _RULE


def _turn(episode: Episode, i: int, colour: bool) -> str:
    turn, hits = episode.turns[i], episode.hits[i]
    move = turn.move
    if isinstance(move, Answer):
        return _labelled(f"{i + 1} answer", move.text, _GREEN, colour)
    if isinstance(move, Invalid):
        fault = move.fault.value.replace("_", " ")
        detail = f"{fault}: {move.detail}" if move.detail else fault
        return _labelled(f"{i + 1} invalid", detail, _YELLOW, colour)
    return "".join(_call(episode, i, move, j, hits, colour) for j in range(len(move.calls)))


def _call(
    episode: Episode,
    i: int,
    move: Act,
    j: int,
    hits: tuple[tuple[Hit, ...], ...],
    colour: bool,
) -> str:
    call = move.calls[j]
    head = _labelled(f"{i + 1} {call.tool}", call.query, _CYAN, colour)
    if j >= len(hits):
        return head + _labelled("", "not run", _DIM, colour)
    if not hits[j]:
        return head + _labelled("", "nothing found", _DIM, colour)
    return head + "".join(_hit(hit, colour) for hit in hits[j])


def _hit(hit: Hit, colour: bool) -> str:
    title = _clip(hit.passage.title or hit.passage.id, 32)
    room = WIDTH - _LABEL - 3 - 33
    snippet = _clip(hit.passage.text, room)
    line = f"{hit.rank}. {title:<33}"
    return " " * _LABEL + line + _paint(snippet, _DIM, colour) + "\n"


def _footer(episode: Episode, colour: bool) -> str:
    result = episode.result
    right = result.answer is not None and get_scorer("em")(result.answer, result.question.answers)
    expected = f"{' | '.join(result.question.answers[:3])}  {'✓' if right else '✗'}"
    lines = [_RULE, _labelled("expected", expected, _GREEN if right else _YELLOW, colour)]
    searches = f"{result.num_calls} call{'s' * (result.num_calls != 1)}"
    turns = f"{len(result.turns)} turn{'s' * (len(result.turns) != 1)}"
    summary = f"{result.stop.value.replace('_', ' ')} after {turns} and {searches}"
    if result.tool_error is not None:
        summary += f": {result.tool_error}"
    return "".join([*lines, _labelled("ended by", summary, _DIM, colour), _RULE])


def _labelled(label: str, text: str, style: str, colour: bool) -> str:
    lines = textwrap.wrap(" ".join(text.split()), WIDTH - _LABEL) or [""]
    first = f"{label:<{_LABEL}}{_paint(lines[0], style, colour)}\n"
    return first + "".join(" " * _LABEL + _paint(line, style, colour) + "\n" for line in lines[1:])


def _clip(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _paint(text: str, style: str, colour: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if colour else text
