"""What a world is about: kinds of entities, the relations between them, how one asks for them."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "COMPANY_TRADES",
    "KIN",
    "MONTHS",
    "OCCUPATIONS",
    "RELATIONS",
    "Kind",
    "Relation",
    "Value",
]


class Kind(StrEnum):
    """The kinds of entities; every entity has one passage."""

    PERSON = "person"
    FILM = "film"
    BOOK = "novel"
    SONG = "song"
    BAND = "band"
    COMPANY = "company"
    UNIVERSITY = "university"
    CLUB = "club"
    CITY = "city"
    COUNTRY = "country"
    RIVER = "river"
    BUILDING = "building"


class Value(StrEnum):
    """The kinds of objects that are no entities; a value is the pattern that it is written in."""

    DATE = r"\d{1,2} [A-Z][a-z]+ \d{4}"
    YEAR = r"\d{4}"
    NUMBER = r"[\d,]+"
    WORD = r"[^\W\d_]+(?: [^\W\d_]+)*"
    NAME = r"[^.,()]+"


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation: whom it joins, who may state it, and how one asks for its object."""

    subject: Kind
    object: Kind | Value
    asks: tuple[str, ...] = ()
    """Questions for the object; ``{s}`` is the subject. Empty: not asked."""
    nouns: tuple[str, ...] = ()
    """Noun phrases that stand for the object inside a longer question."""
    back: float = 0.0
    """The share of facts that only the object's passage states."""
    many: bool = False
    """Whether a subject may have several objects; if not, it has at most one."""
    symmetric: bool = False


OCCUPATIONS: dict[str, int] = {
    "a film director": 16,
    "an actor": 23,
    "a composer": 10,
    "a novelist": 13,
    "a musician": 21,
    "an entrepreneur": 6,
    "an architect": 4,
    "a football manager": 3,
    "a politician": 4,
}
"""With article, and how many of a hundred people have it."""

COMPANY_TRADES = {
    "Pictures": "a film studio",
    "Press": "a publishing house",
    "Records": "a record label",
}
"""The last word of a company's name and what the company is."""

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

KIN = frozenset({"father", "mother", "spouse"})

RELATIONS: dict[str, Relation] = {
    # people
    "alias": Relation(Kind.PERSON, Value.NAME),
    "occupation": Relation(Kind.PERSON, Value.WORD),
    "born_on": Relation(
        Kind.PERSON, Value.DATE, ("When was {s} born?", "What is the date of birth of {s}?")
    ),
    "died_on": Relation(
        Kind.PERSON, Value.DATE, ("When did {s} die?", "What is the date of death of {s}?")
    ),
    "born_in": Relation(
        Kind.PERSON,
        Kind.CITY,
        (
            "Where was {s} born?",
            "In which city was {s} born?",
            "What is the place of birth of {s}?",
        ),
        ("the city where {s} was born", "the birthplace of {s}"),
    ),
    "died_in": Relation(
        Kind.PERSON,
        Kind.CITY,
        ("Where did {s} die?", "In which city did {s} die?", "What is the place of death of {s}?"),
        ("the city where {s} died",),
    ),
    "citizen_of": Relation(
        Kind.PERSON,
        Kind.COUNTRY,
        ("Which country is {s} from?", "What is the nationality of {s}?"),
        ("the country that {s} is from",),
    ),
    "educated_at": Relation(
        Kind.PERSON,
        Kind.UNIVERSITY,
        ("Where did {s} study?", "Which institution did {s} attend as a student?"),
        ("the institution where {s} studied",),
        back=0.2,
    ),
    "father": Relation(
        Kind.PERSON, Kind.PERSON, ("Who is the father of {s}?",), ("the father of {s}",), back=0.25
    ),
    "mother": Relation(
        Kind.PERSON, Kind.PERSON, ("Who is the mother of {s}?",), ("the mother of {s}",), back=0.25
    ),
    "spouse": Relation(
        Kind.PERSON,
        Kind.PERSON,
        ("Who is the spouse of {s}?", "Whom did {s} marry?"),
        ("the spouse of {s}", "the person who married {s}"),
        back=0.5,
        symmetric=True,
    ),
    # works
    "directed_by": Relation(
        Kind.FILM,
        Kind.PERSON,
        ("Who directed {s}?", "Who is the director of {s}?"),
        ("the director of {s}", "the person who directed {s}"),
        back=0.15,
    ),
    "music_by": Relation(
        Kind.FILM,
        Kind.PERSON,
        ("Who composed the music for {s}?",),
        ("the composer of the music for {s}",),
        back=0.2,
    ),
    "starring": Relation(Kind.FILM, Kind.PERSON, back=0.3, many=True),
    "released_in": Relation(Kind.FILM, Value.YEAR, ("In which year was {s} released?",)),
    "produced_by": Relation(
        Kind.FILM,
        Kind.COMPANY,
        ("Which company produced {s}?",),
        ("the company that produced {s}",),
        back=0.15,
    ),
    "based_on": Relation(
        Kind.FILM,
        Kind.BOOK,
        ("Which novel is {s} based on?",),
        ("the novel that {s} is based on",),
        back=0.3,
    ),
    "written_by": Relation(
        Kind.BOOK,
        Kind.PERSON,
        ("Who wrote {s}?", "Who is the author of {s}?"),
        ("the author of {s}", "the person who wrote {s}"),
        back=0.15,
    ),
    "published_in": Relation(Kind.BOOK, Value.YEAR, ("In which year was {s} published?",)),
    "published_by": Relation(
        Kind.BOOK,
        Kind.COMPANY,
        ("Which company published {s}?",),
        ("the publisher of {s}",),
        back=0.2,
    ),
    "performed_by": Relation(
        Kind.SONG,
        Kind.BAND,
        ("Which band recorded {s}?", "Who performed {s}?"),
        ("the band that recorded {s}", "the performer of {s}"),
        back=0.2,
    ),
    "song_by": Relation(
        Kind.SONG,
        Kind.PERSON,
        ("Who is the songwriter of {s}?",),
        ("the songwriter of {s}",),
        back=0.2,
    ),
    "issued_in": Relation(Kind.SONG, Value.YEAR, ("In which year was {s} issued?",)),
    # organisations
    "members": Relation(Kind.BAND, Kind.PERSON, back=0.2, many=True),
    "formed_in": Relation(
        Kind.BAND,
        Kind.CITY,
        ("In which city was {s} formed?", "Where was {s} formed?"),
        ("the city where {s} was formed",),
    ),
    "formed_year": Relation(Kind.BAND, Value.YEAR, ("In which year was {s} formed?",)),
    "label": Relation(
        Kind.BAND,
        Kind.COMPANY,
        ("Which record label signed {s}?",),
        ("the record label of {s}",),
        back=0.25,
    ),
    "trade": Relation(Kind.COMPANY, Value.WORD),
    "founded_by": Relation(
        Kind.COMPANY,
        Kind.PERSON,
        ("Who founded {s}?", "Who is the founder of {s}?"),
        ("the founder of {s}",),
        back=0.3,
    ),
    "founded_in": Relation(Kind.COMPANY, Value.YEAR, ("In which year was {s} founded?",)),
    "based_in": Relation(
        Kind.COMPANY,
        Kind.CITY,
        ("Where is the head office of {s}?", "In which city is {s} based?"),
        ("the city where {s} is based",),
    ),
    "campus_in": Relation(
        Kind.UNIVERSITY,
        Kind.CITY,
        ("In which city is the campus of {s}?",),
        ("the city that holds the campus of {s}",),
    ),
    "established_in": Relation(
        Kind.UNIVERSITY, Value.YEAR, ("In which year was {s} established?",)
    ),
    "home_of": Relation(
        Kind.CLUB, Kind.CITY, ("In which city does {s} play?",), ("the home city of {s}",)
    ),
    "coached_by": Relation(
        Kind.CLUB, Kind.PERSON, ("Who coaches {s}?",), ("the coach of {s}",), back=0.3
    ),
    # places
    "city_country": Relation(
        Kind.CITY, Kind.COUNTRY, ("In which country is {s}?",), ("the country in which {s} lies",)
    ),
    "on_river": Relation(
        Kind.CITY,
        Kind.RIVER,
        ("Which river flows through {s}?",),
        ("the river that flows through {s}",),
        back=0.3,
    ),
    "population": Relation(Kind.CITY, Value.NUMBER, ("How many inhabitants does {s} have?",)),
    "mayor": Relation(
        Kind.CITY, Kind.PERSON, ("Who is the mayor of {s}?",), ("the mayor of {s}",), back=0.3
    ),
    "capital": Relation(
        Kind.COUNTRY, Kind.CITY, ("What is the capital of {s}?",), ("the capital of {s}",), back=0.3
    ),
    "currency": Relation(
        Kind.COUNTRY, Value.WORD, ("What is the currency of {s}?", "Which currency is used in {s}?")
    ),
    "language": Relation(Kind.COUNTRY, Value.NAME, ("What is the official language of {s}?",)),
    "rises_in": Relation(
        Kind.RIVER,
        Kind.COUNTRY,
        ("In which country does {s} rise?",),
        ("the country in which {s} rises",),
    ),
    "length": Relation(Kind.RIVER, Value.NUMBER, ("How many kilometres long is {s}?",)),
    "stands_in": Relation(
        Kind.BUILDING, Kind.CITY, ("In which city does {s} stand?",), ("the city where {s} stands",)
    ),
    "designed_by": Relation(
        Kind.BUILDING, Kind.PERSON, ("Who designed {s}?",), ("the architect of {s}",), back=0.3
    ),
    "opened_in": Relation(Kind.BUILDING, Value.YEAR, ("In which year did {s} open?",)),
}
