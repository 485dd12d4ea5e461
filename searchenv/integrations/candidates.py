"""What an episode may search or answer next: names, dates and numbers beside known entities.

The question names entities, and searches add more. A passage about one of them states how others
relate to it; a passage about something else that mentions one of them states it the other way
round. Each such statement leads to a candidate.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from searchenv.policies.clues import Kind
from searchenv.policies.reading import Mention, bare, mentions, plain
from searchenv.types import Hit, Passage

__all__ = ["Candidate", "around", "find_candidates", "named"]

_WORD = re.compile(r"(?<![\w'’])[^\W\d_]+(?![\w'’])")
_BEFORE = 4
_AFTER = 2
_ROUNDS = 8  # as many as an episode has turns by default


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be searched or answered, and the statement that leads to it."""

    text: str
    kind: Kind
    source: str | None
    """The entity that the statement starts from; None for a name of the question, and for the
    title of a passage that mentions no known entity."""
    inverse: bool = False
    """Whether the passage is about the candidate, and mentions the source."""
    depth: int = 0
    """Statements from a name of the question to here; 0 for such a name."""
    passage: Passage | None = None
    rank: int = 0
    """Of the passage; 0 for a name of the question."""
    sentence: str = ""
    before: tuple[str, ...] = ()
    """Lower-case words before the mention, the nearest first."""
    after: tuple[str, ...] = ()
    """Lower-case words after the mention, the nearest first."""
    sources: int = 0
    """Known entities with a statement that leads to the same text."""


class _Edge(NamedTuple):
    source: str | None  # as plain() writes it
    target: str
    mention: Mention
    hit: Hit
    inverse: bool


def find_candidates(
    names: Sequence[str], searches: Mapping[str, Sequence[Hit]], size: int
) -> list[Candidate]:
    """Returns up to ``size`` candidates, each text once.

    First come the names of the question, then what the entity of the last search leads to, then
    the others, the latest found first.

    Args:
        names: the entities that the question names.
        searches: the hits of each query, in the order of the searches.
        size: at least the number of names.
    """
    known = {plain(bare(name)): name for name in (*searches, *names)}
    edges = _edges(known, searches)
    depths = _depths([plain(bare(name)) for name in names], edges)
    last = plain(bare(([*searches] or [""])[-1]))
    chosen: dict[str, _Edge] = {}
    sources: dict[str, set[str]] = {}
    for edge in sorted(edges, key=lambda e: (e.source is None, e.source != last)):
        chosen.setdefault(edge.target, edge)
        if edge.source is not None:
            sources.setdefault(edge.target, set()).add(edge.source)
    found = [
        Candidate(name, Kind.NAME, None, sources=len(sources.get(plain(bare(name)), ())))
        for name in names
    ]
    taken = {plain(bare(name)) for name in names}
    for target, edge in chosen.items():
        if len(found) < size and target not in taken:
            found.append(_candidate(edge, known, depths, len(sources.get(target, ()))))
    return found[:size]


def _candidate(
    edge: _Edge, known: Mapping[str, str], depths: Mapping[str, int], sources: int
) -> Candidate:
    mention, hit = edge.mention, edge.hit
    before, after = around(mention)
    title = edge.inverse or edge.source is None
    return Candidate(
        text=bare(hit.passage.title) if title else mention.text,
        kind=Kind.NAME if title else mention.kind,
        source=None if edge.source is None else known[edge.source],
        inverse=edge.inverse,
        depth=depths.get(edge.target, _ROUNDS),
        passage=hit.passage,
        rank=hit.rank,
        sentence=mention.sentence,
        before=before,
        after=after,
        sources=sources,
    )


def _edges(known: Mapping[str, str], searches: Mapping[str, Sequence[Hit]]) -> list[_Edge]:
    """Returns all statements in the passages, those of the last search first."""
    edges: list[_Edge] = []
    seen: set[str] = set()
    for hits in reversed([*searches.values()]):
        for hit in hits:
            if hit.passage.id not in seen:
                seen.add(hit.passage.id)
                edges += _stated(known, hit)
    return edges


def _stated(known: Mapping[str, str], hit: Hit) -> list[_Edge]:
    title, stated = named(hit.passage)
    if title in known:
        return [_Edge(title, target, mention, hit, False) for target, mention in stated]
    inverse = [_Edge(t, title, mention, hit, True) for t, mention in stated if t in known]
    nothing = Mention("", Kind.NAME, "", 0)
    return inverse or ([_Edge(None, title, nothing, hit, False)] if title else [])


@lru_cache(maxsize=20_000)
def named(passage: Passage) -> tuple[str, tuple[tuple[str, Mention], ...]]:
    """Returns the plain title, and what the text mentions beside its own title."""
    title = plain(bare(passage.title))
    own = set(title.split())
    pairs = [(plain(bare(m.text)), m) for m in mentions(passage.text)]
    return title, tuple((text, m) for text, m in pairs if not own.issuperset(text.split()))


def _depths(names: Sequence[str], edges: Sequence[_Edge]) -> dict[str, int]:
    depths = dict.fromkeys(names, 0)
    for depth in range(1, _ROUNDS):
        reached = {e.target for e in edges if e.source is not None and e.source in depths}
        fresh = reached - depths.keys()
        if not fresh:
            break
        depths.update(dict.fromkeys(fresh, depth))
    return depths


@lru_cache(maxsize=100_000)
def around(mention: Mention) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the lower-case words before and after a mention, the nearest first."""
    end = mention.start + len(mention.text)
    before = [word for word in _WORD.findall(mention.sentence[: mention.start]) if word.islower()]
    after = [word for word in _WORD.findall(mention.sentence[end:]) if word.islower()]
    return tuple(reversed(before[-_BEFORE:])), tuple(after[:_AFTER])
