"""Reads passages and questions back: templates turned into patterns, text into claims and plans.

Nothing here knows the graph that a world was made from. What comes out is what the text says.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from searchenv.types import Passage
from searchenv.worlds.forms import (
    ANCHORS,
    COMPARISONS,
    INTERSECTIONS,
    KIN_ASKS,
    KIN_TERMS,
    Comparison,
    Intersection,
    Side,
)
from searchenv.worlds.schema import RELATIONS, Kind
from searchenv.worlds.sentences import INTROS, NOISE, PRONOUNS, SENTENCES

__all__ = ["Claim", "Named", "Plan", "QuestionReader", "Reading", "read_passages"]

_BACK = "back_"
_SLOT = re.compile(r"\{(\w+)\}")
_TITLE = re.compile(r"(.+?)(?: \((.+)\))?")
_POSSESSIVES = {"p": "(?:His|Her|Its)", "p_mid": "(?:his|her|its)"}


class Named(NamedTuple):
    """An entity as a text calls it."""

    kind: Kind
    name: str


class Claim(NamedTuple):
    """One stated fact, in the words of the passage."""

    subject: Named
    relation: str
    object: Named | str


@dataclass(slots=True)
class Reading:
    """What one passage says."""

    passage: Passage
    entity: Named
    name: str
    """The title without a qualifier."""
    claims: list[Claim] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Plan(NamedTuple):
    """A question understood: one anchor and a path, or two anchors and a form that joins them."""

    anchors: tuple[Named, ...]
    path: tuple[str, ...] = ()
    form: Comparison | Intersection | None = None


def read_passages(passages: Sequence[Passage]) -> list[Reading]:
    """Returns a reading for each passage; sentences that cannot be read are among its problems."""
    readings = [_read_opening(passage) for passage in passages]
    known = {reading.entity for reading in readings}
    for reading in readings:  # aliases first: other passages use them
        for sentence in _sentences(reading.passage):
            for claims in _interpretations(sentence, reading, known):
                known |= {
                    Named(Kind.PERSON, str(claim.object))
                    for claim in claims
                    if claim.relation == "alias"
                }
    for reading in readings:
        for sentence in _sentences(reading.passage):
            meanings = _interpretations(sentence, reading, known)
            if len(meanings) == 1:
                reading.claims += meanings[0]
            else:
                reading.problems.append(f"{len(meanings)} ways to read {sentence!r}")
    return readings


def _sentences(passage: Passage) -> list[str]:
    return re.split(r"(?<=\.) ", passage.text)


def _read_opening(passage: Passage) -> Reading:
    """Tells from the first sentence what kind of entity the passage is about."""
    match = _TITLE.fullmatch(passage.title)
    name, qualifier = match.groups() if match else (passage.title, None)
    first = _sentences(passage)[0]
    for kind in Kind:
        patterns = [_pattern(template) for template in INTROS[kind]]
        found = [match for pattern in patterns if (match := pattern.fullmatch(first))]
        if any(match["s"] == name for match in found):
            called = f"the {qualifier} {name}" if qualifier and kind is Kind.PERSON else name
            return Reading(passage, Named(kind, called), name)
    reading = Reading(passage, Named(Kind.PERSON, passage.title), name)
    reading.problems.append(f"unknown opening {first!r}")
    return reading


def _interpretations(sentence: str, reading: Reading, known: set[Named]) -> list[list[Claim]]:
    """Returns the different sets of claims that a sentence may state about known entities."""
    kind = reading.entity.kind
    subjects = {reading.name, f"The {reading.name}", *PRONOUNS.get(kind, ())}
    if kind is Kind.PERSON:
        subjects |= {"He", "She", reading.name.split()[-1]}
    meanings: list[list[Claim]] = []
    for template in (*INTROS[kind], *SENTENCES[kind], *NOISE[kind]):
        match = _pattern(template).fullmatch(sentence)
        if match is None or match.groupdict().get("s", reading.name) not in subjects:
            continue
        claims = sorted(_claims(match, reading.entity), key=str)
        entities = [part for claim in claims for part in claim if isinstance(part, Named)]
        if all(entity in known for entity in entities) and claims not in meanings:
            meanings.append(claims)
    return meanings


def _claims(match: re.Match[str], entity: Named) -> Iterator[Claim]:
    for slot, text in match.groupdict().items():
        if slot == "s":
            continue
        relation = RELATIONS[slot.removeprefix(_BACK)]
        if slot.startswith(_BACK):
            for name in _names(text):
                yield Claim(Named(relation.subject, name), slot.removeprefix(_BACK), entity)
        elif not isinstance(relation.object, Kind):
            yield Claim(entity, slot, text)
        else:
            for name in _names(text) if relation.many else [text]:
                yield Claim(entity, slot, Named(relation.object, name))


def _names(listing: str) -> list[str]:
    return re.split(r", | and ", listing)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Returns the pattern of a sentence template, with a group for each slot."""
    parts = _SLOT.split(template)
    pattern = ""
    for literal, slot in zip(parts[::2], [*parts[1::2], ""], strict=True):
        pattern += re.escape(literal)
        if slot in _POSSESSIVES:
            pattern += _POSSESSIVES[slot]
        elif slot:
            target = None if slot == "s" or slot.startswith(_BACK) else RELATIONS[slot].object
            pattern += (
                f"(?P<{slot}>{'.+?' if target is None or isinstance(target, Kind) else target})"
            )
    return re.compile(pattern)


class QuestionReader:
    """Reads questions with the question templates, given the entities that exist."""

    def __init__(self, known: set[Named]) -> None:
        self._known = known

    def read(self, text: str) -> list[Plan]:
        """Returns all ways to understand a question; a good one has exactly one."""
        return [
            *dict.fromkeys(
                (*self._chains(text), *self._comparisons(text), *self._intersections(text))
            )
        ]

    def _chains(self, text: str) -> Iterator[Plan]:
        for name, relation in RELATIONS.items():
            for ask in relation.asks:
                for start, path in self._phrases(text, ask, relation.subject):
                    yield Plan((start,), (*path, name))
        for kin, term in KIN_TERMS.items():
            for ask in KIN_ASKS:
                for start, path in self._phrases(text, ask.replace("{k}", term), Kind.PERSON):
                    yield Plan((start,), (*path, *kin))

    def _phrases(
        self, text: str, template: str, kind: Kind
    ) -> Iterator[tuple[Named, tuple[str, ...]]]:
        """Yields what ``{s}`` of the template may stand for: an anchor and a path from it."""
        before, after = template.split("{s}")
        if not (
            text.startswith(before) and text.endswith(after) and len(text) > len(before + after)
        ):
            return
        phrase = text[len(before) : len(text) - len(after)]
        anchor = self._anchor(phrase, kind)
        if anchor:
            yield anchor, ()
        for name, relation in RELATIONS.items():
            if relation.object is kind:
                for noun in relation.nouns:
                    for start, path in self._phrases(phrase, noun, relation.subject):
                        yield start, (*path, name)

    def _anchor(self, phrase: str, kind: Kind) -> Named | None:
        before = ANCHORS.get(kind, "{n}").removesuffix("{n}")
        entity = Named(kind, phrase.removeprefix(before))
        return entity if phrase.startswith(before) and entity in self._known else None

    def _comparisons(self, text: str) -> Iterator[Plan]:
        for form in COMPARISONS:
            for a, b in _pairs(form.text, text):
                anchors = Named(form.kind, a), Named(form.kind, b)
                if self._known.issuperset(anchors):
                    yield Plan(anchors, form.path, form)

    def _intersections(self, text: str) -> Iterator[Plan]:
        for form in INTERSECTIONS:
            for a, b in _pairs(form.text, text):
                anchors = self._anchor(a, _kind(form.first)), self._anchor(b, _kind(form.second))
                if anchors[0] and anchors[1]:
                    yield Plan((anchors[0], anchors[1]), form=form)


def _pairs(template: str, text: str) -> Iterator[tuple[str, str]]:
    """Yields all pairs of texts that fill ``{a}`` and ``{b}``."""
    before, rest = template.split("{a}")
    middle, after = rest.split("{b}")
    if text.startswith(before) and text.endswith(after):
        inner = text[len(before) : len(text) - len(after)]
        for cut in re.finditer(f"(?={re.escape(middle)})", inner):
            yield inner[: cut.start()], inner[cut.start() + len(middle) :]


def _kind(side: Side) -> Kind:
    relation = RELATIONS[side.relation]
    kind = relation.object if side.inverse else relation.subject
    assert isinstance(kind, Kind)
    return kind
