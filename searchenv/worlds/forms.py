"""How questions are worded: anchors, family terms, comparisons and intersections, as data."""

from dataclasses import dataclass
from enum import StrEnum

from searchenv.worlds.schema import Kind

__all__ = [
    "ANCHORS",
    "COMPARISONS",
    "INTERSECTIONS",
    "KIN_ASKS",
    "KIN_TERMS",
    "Comparison",
    "Intersection",
    "Pick",
    "Side",
]

ANCHORS: dict[Kind, str] = {
    Kind.FILM: "the film {n}",
    Kind.BOOK: "the novel {n}",
    Kind.SONG: "the song {n}",
    Kind.BAND: "the band {n}",
    Kind.RIVER: "the {n}",
    Kind.BUILDING: "the {n}",
}
"""How a question names an entity; kinds that are not here are named without an addition."""

KIN_TERMS: dict[tuple[str, str], str] = {
    ("father", "father"): "paternal grandfather",
    ("father", "mother"): "paternal grandmother",
    ("mother", "father"): "maternal grandfather",
    ("mother", "mother"): "maternal grandmother",
    ("spouse", "father"): "father-in-law",
    ("spouse", "mother"): "mother-in-law",
}
"""Family relations that no passage states: the reader infers them from two facts."""

KIN_ASKS = ("Who is the {k} of {s}?", "Who was the {k} of {s}?")


class Pick(StrEnum):
    """What a comparison asks for."""

    LEAST = "least"
    MOST = "most"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Follows ``path`` from both anchors, named without addition, and compares the ends."""

    kind: Kind
    path: tuple[str, ...]
    pick: Pick
    text: str


@dataclass(frozen=True, slots=True)
class Side:
    """A condition: ``relation`` leads from the anchor to the answer; ``inverse``: the other way."""

    relation: str
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Intersection:
    """Asks for the one entity that meets two conditions."""

    first: Side
    second: Side
    text: str


_LEAST, _MOST, _SAME = Pick.LEAST, Pick.MOST, Pick.SAME

COMPARISONS: tuple[Comparison, ...] = (
    Comparison(Kind.FILM, ("released_in",), _LEAST, "Which film was released earlier, {a} or {b}?"),
    Comparison(Kind.FILM, ("released_in",), _MOST, "Which film is more recent, {a} or {b}?"),
    Comparison(
        Kind.BOOK, ("published_in",), _LEAST, "Which novel was published first, {a} or {b}?"
    ),
    Comparison(Kind.SONG, ("issued_in",), _MOST, "Which song was issued later, {a} or {b}?"),
    Comparison(Kind.BAND, ("formed_year",), _LEAST, "Which band was formed first, {a} or {b}?"),
    Comparison(Kind.COMPANY, ("founded_in",), _LEAST, "Which company is older, {a} or {b}?"),
    Comparison(Kind.PERSON, ("born_on",), _LEAST, "Who was born first, {a} or {b}?"),
    Comparison(Kind.PERSON, ("died_on",), _MOST, "Who died later, {a} or {b}?"),
    Comparison(Kind.CITY, ("population",), _MOST, "Which city has more inhabitants, {a} or {b}?"),
    Comparison(Kind.RIVER, ("length",), _LEAST, "Which river is shorter, the {a} or the {b}?"),
    Comparison(
        Kind.BUILDING, ("opened_in",), _MOST, "Which building opened later, the {a} or the {b}?"
    ),
    Comparison(
        Kind.FILM,
        ("directed_by", "born_on"),
        _LEAST,
        "Which film has the director who was born earlier, {a} or {b}?",
    ),
    Comparison(
        Kind.FILM,
        ("directed_by", "died_on"),
        _LEAST,
        "Which film has the director who died first, {a} or {b}?",
    ),
    Comparison(
        Kind.BOOK,
        ("written_by", "born_on"),
        _MOST,
        "Which novel has the author who was born later, {a} or {b}?",
    ),
    Comparison(
        Kind.SONG,
        ("performed_by", "formed_year"),
        _LEAST,
        "Which song is by the band formed earlier, {a} or {b}?",
    ),
    Comparison(Kind.CITY, ("city_country",), _SAME, "Are {a} and {b} in the same country?"),
    Comparison(Kind.PERSON, ("citizen_of",), _SAME, "Are {a} and {b} of the same nationality?"),
    Comparison(
        Kind.PERSON, ("educated_at",), _SAME, "Did {a} and {b} study at the same institution?"
    ),
    Comparison(
        Kind.FILM,
        ("produced_by",),
        _SAME,
        "Were the films {a} and {b} produced by the same company?",
    ),
    Comparison(
        Kind.FILM,
        ("directed_by", "citizen_of"),
        _SAME,
        "Do the directors of the films {a} and {b} come from the same country?",
    ),
)

INTERSECTIONS: tuple[Intersection, ...] = (
    Intersection(Side("members"), Side("born_in", True), "Which member of {a} was born in {b}?"),
    Intersection(Side("members"), Side("educated_at", True), "Which member of {a} studied at {b}?"),
    Intersection(Side("members"), Side("citizen_of", True), "Which member of {a} is from {b}?"),
    Intersection(Side("starring"), Side("starring"), "Which actor appears both in {a} and in {b}?"),
    Intersection(Side("starring"), Side("born_in", True), "Which actor in {a} was born in {b}?"),
    Intersection(Side("starring"), Side("educated_at", True), "Which actor in {a} studied at {b}?"),
    Intersection(Side("starring"), Side("citizen_of", True), "Which actor in {a} is from {b}?"),
    Intersection(
        Side("directed_by", True),
        Side("starring", True),
        "Which film directed by {a} has {b} in its cast?",
    ),
    Intersection(
        Side("directed_by", True),
        Side("produced_by", True),
        "Which film by {a} was produced by {b}?",
    ),
    Intersection(
        Side("written_by", True),
        Side("published_by", True),
        "Which novel by {a} was published by {b}?",
    ),
    Intersection(
        Side("performed_by", True),
        Side("song_by", True),
        "Which song recorded by {a} was written by {b}?",
    ),
)
