"""Invented names: syllables for people and places, patterns of common words for the rest."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from searchenv.worlds.schema import Kind
from searchenv.worlds.stream import Stream

__all__ = ["CULTURES", "Culture", "Namer"]


@dataclass(frozen=True, slots=True)
class Culture:
    """The sounds of one language family; each invented country has one."""

    onsets: tuple[str, ...]
    medials: tuple[str, ...]
    vowels: tuple[str, ...]
    codas: tuple[str, ...]
    feminine: tuple[str, ...]
    masculine: tuple[str, ...]
    surnames: tuple[str, ...]
    towns: tuple[str, ...]
    countries: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CULTURES = (
    Culture(
        onsets=_words("b br d dr f g gr h j k kr l m n r s sk st sv t tr v"),
        medials=_words("d g k l m n r s t v"),
        vowels=_words("a a e e i o u y ö"),
        codas=_words("l ld lm n nd r rn rv s sk t"),
        feminine=_words("a e ild unn is"),
        masculine=_words("ar e ulf en ik"),
        surnames=_words("gaard mark holt stad lund vik berget"),
        towns=_words("vik havn by dal fors sund heim"),
        countries=_words("mark land via"),
    ),
    Culture(
        onsets=_words("b c ch d f g l m n p qu r s t v z"),
        medials=_words("b d l m n r s t v"),
        vowels=_words("a a e i o o u é"),
        codas=_words("l n r s nd lt rc"),
        feminine=_words("ia ela ina etta ora"),
        masculine=_words("io ando elo ino eo"),
        surnames=_words("ardi ento osa ielli uzzo avez endra"),
        towns=_words("ara osta ella ento iva ozzo"),
        countries=_words("ania essa orra"),
    ),
    Culture(
        onsets=_words("b br d dr g k kr l m n p r s st t v vl z"),
        medials=_words("d k l m n r s v z"),
        vowels=_words("a e i o o u"),
        codas=_words("b k l n r s sk v z"),
        feminine=_words("ka ena inka ava usha"),
        masculine=_words("ek omir islav o an"),
        surnames=_words("ovic enko ak ursky anov ezh"),
        towns=_words("grad itsa ov ava nik"),
        countries=_words("ovia stan iya"),
    ),
    Culture(
        onsets=_words("b ch d h j k l m n p r s sh t w y"),
        medials=_words("d g h k m n r s t"),
        vowels=_words("a a e i o u"),
        codas=_words("m n ng r l k sh"),
        feminine=_words("ami iko ani eya una"),
        masculine=_words("ato iro an ouk eru"),
        surnames=_words("ora anda ishi umo akar oshan"),
        towns=_words("ura abad aka amba ipur"),
        countries=_words("andu oya eshan"),
    ),
    Culture(
        onsets=_words("b br c cl d f gr h l m n p r s t th w"),
        medials=_words("b d l m n r s t"),
        vowels=_words("a e e i o"),
        codas=_words("l ll n nn r rd ss th ck"),
        feminine=_words("wyn eth ora iel a"),
        masculine=_words("an or ric on eth"),
        surnames=_words("worth more combe ley well thorne by"),
        towns=_words("ford mouth mere ton wick bury"),
        countries=_words("ria dale wen"),
    ),
)

_VOWELS = "aeiouyéö"

_ADJECTIVES = _words(
    "Amber Ashen Blind Borrowed Brass Broken Burning Buried Copper Crooked Distant Empty "
    "Faithful Fallen Final Foreign Forgotten Frozen Gentle Gilded Hollow Hidden Hungry Idle "
    "Iron Ivory Late Little Lost Marble Midnight Narrow Northern Open Painted Pale Patient "
    "Quiet Restless Salt Scarlet Second Secret Seventh Silent Slow Southern Stolen Sunken "
    "Tender Unwritten Velvet Wandering Winter Wooden Young"
)
_NOUNS = _words(
    "Almanac Anchor Archive Arrow Balcony Bell Bridge Cabinet Candle Carnival Cartographer "
    "Cathedral Chapel Clock Compass Country Courtyard Crossing Daughter Dawn Dial Echo Envelope "
    "Estuary Farewell Feather Ferry Fiddle Field Fountain Garden Harbour Harvest Heron Horizon "
    "Hour House Island Journey Kingdom Ladder Lantern Letter Lighthouse Lock Meadow Messenger "
    "Mirror Monsoon Mountain Oath Orchard Orphan Parade Passage Physician Portrait Promise "
    "Quarry Rain River Road Sailor Season Shadow Signal Sparrow Stair Station Stranger Summer "
    "Tailor Theatre Thief Tide Tower Train Valley Verdict Village Violin Visitor Voyage Waltz "
    "Well Widow Window Witness"
)
_GROUPS = _words(
    "Anchors Arrows Balconies Bells Candles Clocks Compasses Dials Echoes Feathers Ferries "
    "Fiddles Gardens Herons Horizons Lanterns Letters Lighthouses Meadows Messengers Mirrors "
    "Orchards Rivers Sailors Shadows Signals Sparrows Strangers Tailors Tides Travellers "
    "Violins Visitors Widows Windows Wolves"
)
_WORKS = (
    "The {a} {n}",
    "{a} {n}",
    "{n} of {r}",
    "No {n} for {r}",
    "Beneath the {a} {n}",
    "{r} {n}",
    "The {n} at {r}",
)
_PATTERNS: dict[Kind, tuple[str, ...]] = {
    Kind.FILM: _WORKS,
    Kind.BOOK: _WORKS,
    Kind.SONG: ("{a} {n}", "My {a} {n}", "{n} Song for {r}", "Goodbye {r}", "{r} {n}"),
    Kind.BAND: ("The {a} {g}", "The {g} of {r}", "{a} {r}", "The {r} {g}", "{r} Quartet"),
    Kind.COMPANY: ("{r} {t}", "{a} {n} {t}", "{n} {t}"),
    Kind.UNIVERSITY: (
        "{r} University",
        "{r} College",
        "{r} Institute of Technology",
        "{r} Academy of Arts",
    ),
    Kind.CLUB: (
        "{r} Rovers",
        "{r} Athletic",
        "Sporting {r}",
        "{r} Wanderers",
        "Real {r}",
        "{r} United",
    ),
    Kind.CITY: ("{r}", "{r}", "{r}", "Port {r}", "New {r}", "{r} Falls", "Upper {r}"),
    Kind.RIVER: ("{r} River",),
    Kind.BUILDING: ("{r} Tower", "{r} Concert Hall", "{r} Museum", "{r} Library", "{r} Theatre"),
    Kind.COUNTRY: ("{r}",),
}


_REAL = frozenset({"the silent stranger"})
"""Patterns of common words may meet a title that exists; those that were met are left out."""


class Namer:
    """Makes names that are unique, some of them confusingly alike.

    Args:
        stream: where the choices come from.
        lookalikes: the share of names that take a word from an earlier name of the same kind.
    """

    def __init__(self, stream: Stream, lookalikes: float) -> None:
        self._stream = stream
        self._lookalikes = lookalikes
        self._taken = set(_REAL)
        self._givens: dict[bool, list[str]] = {False: [], True: []}
        self._parts: dict[Kind, list[dict[str, str]]] = defaultdict(list)

    def coin(self, culture: Culture, endings: tuple[str, ...]) -> str:
        """Returns a capitalised invented word."""
        pick, chance = self._stream.pick, self._stream.chance
        word = pick(culture.onsets) + pick(culture.vowels)
        if chance(0.4):
            word += (
                pick(culture.medials) + pick(culture.vowels) if chance(0.4) else pick(culture.codas)
            )
        ending = pick(endings)
        if word[-1] in _VOWELS and ending[0] in _VOWELS:
            word += pick(culture.codas)
        return (word + ending).capitalize()

    def given(self, culture: Culture, feminine: bool) -> str:
        """Returns an invented given name."""
        return self.coin(culture, culture.feminine if feminine else culture.masculine)

    def person(self, culture: Culture, feminine: bool, surname: str) -> str:
        """Returns a new full name that ends in ``surname``."""
        givens = self._givens[feminine]

        def make() -> str:
            given = self.given(culture, feminine)
            if givens and self._stream.chance(self._lookalikes):
                given = self._stream.pick(givens)
            middle = f" {self.given(culture, feminine)}" if self._stream.chance(0.1) else ""
            givens.append(given)
            return f"{given}{middle} {surname}"

        return self._until_new(make)

    def name(self, kind: Kind, culture: Culture, trade: str = "") -> str:
        """Returns a new name for a place, a work or an organisation."""
        return self._until_new(lambda: self._compose(kind, culture, trade))

    def reserve(self, name: str) -> bool:
        """Takes a name that was made elsewhere; returns False if it is taken already."""
        if name.casefold() in self._taken:
            return False
        self._taken.add(name.casefold())
        return True

    def _until_new(self, make: Callable[[], str]) -> str:
        while not self.reserve(name := make()):
            pass
        return name

    def _compose(self, kind: Kind, culture: Culture, trade: str) -> str:
        endings = culture.countries if kind is Kind.COUNTRY else culture.towns
        parts = {
            "a": self._stream.pick(_ADJECTIVES),
            "n": self._stream.pick(_NOUNS),
            "g": self._stream.pick(_GROUPS),
            "r": self.coin(culture, endings),
        }
        old = self._parts[kind]
        if old and self._stream.chance(self._lookalikes):
            shared = self._stream.pick(("a", "n", "g", "r"))
            parts[shared] = self._stream.pick(old)[shared]
        old.append(parts)
        return self._stream.pick(_PATTERNS[kind]).format(**parts, t=trade)
