"""Invented names: syllables for people and places, patterns of common words for works and organisations."""

from collections.abc import Callable
from dataclasses import dataclass, field

from searchenv.worlds.schema import Kind
from searchenv.worlds.stream import Stream

__all__ = ["CULTURES", "Culture", "Namer"]


@dataclass(frozen=True, slots=True)
class Culture:
    """The sounds of one language family; each invented country has one."""

    onsets: tuple[str, ...]
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
        onsets=_words("b br d dr f fj g gr h hv j k kr l m n r s sk sv t tr v"),
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
        vowels=_words("a a e i o o u é"),
        codas=_words("l n r s nd lt rc"),
        feminine=_words("ia ela ina etta ora"),
        masculine=_words("io ando elo ino eo"),
        surnames=_words("ardi ento osa ielli uzzo avez endra"),
        towns=_words("ara osta ella ento iva ozzo"),
        countries=_words("ania essa orra"),
    ),
    Culture(
        onsets=_words("b d dr g k kr l m n p r s sl t v vl z zd"),
        vowels=_words("a e i o o u"),
        codas=_words("b k l n r s sk v z"),
        feminine=_words("ka ena inka ava usha"),
        masculine=_words("ek omir islav o an"),
        surnames=_words("ovic enko ak ursky anov ezh"),
        towns=_words("grad itsa ov ava nik"),
        countries=_words("ovia stan iya"),
    ),
    Culture(
        onsets=_words("b ch d g h j k l m n p r s sh t w y"),
        vowels=_words("a ai e i o u uu"),
        codas=_words("m n ng r l k sh"),
        feminine=_words("ami iko ani eya una"),
        masculine=_words("ato iro an ouk eru"),
        surnames=_words("ora anda ishi umo akar oshan"),
        towns=_words("ura abad aka amba ipur"),
        countries=_words("andu oya eshan"),
    ),
    Culture(
        onsets=_words("b bl c cl d f gl h l m n p r s t th w wr"),
        vowels=_words("a e e i o ai ea"),
        codas=_words("l ll n nn r rd ss th ck"),
        feminine=_words("wyn eth ora iel a"),
        masculine=_words("an or ric on eth"),
        surnames=_words("worth more combe ley well thorne by"),
        towns=_words("ford mouth mere ton wick bury"),
        countries=_words("ria dale wen"),
    ),
)

_ADJECTIVES = _words(
    "Amber Ashen Blind Borrowed Brass Broken Burning Buried Copper Crooked Distant Empty Faithful Fallen Final Foreign "
    "Forgotten Frozen Gentle Gilded Hollow Hidden Hungry Idle Iron Ivory Late Little Lost Marble Midnight Narrow "
    "Northern Open Painted Pale Patient Quiet Restless Salt Scarlet Second Secret Seventh Silent Slow Southern "
    "Stolen Sunken Tender Unwritten Velvet Wandering Winter Wooden Young"
)
_NOUNS = _words(
    "Almanac Anchor Archive Arrow Balcony Bell Bridge Cabinet Candle Carnival Cartographer Cathedral Chapel Clock "
    "Compass Country Courtyard Crossing Daughter Dawn Dial Echo Envelope Estuary Farewell Feather Ferry Fiddle Field "
    "Fountain Garden Harbour Harvest Heron Horizon Hour House Island Journey Kingdom Ladder Lantern Letter Lighthouse "
    "Lock Meadow Messenger Mirror Monsoon Mountain Oath Orchard Orphan Parade Passage Physician Portrait Promise "
    "Quarry Rain River Road Sailor Season Shadow Signal Sparrow Stair Station Stranger Summer Tailor Theatre Thief "
    "Tide Tower Train Valley Verdict Village Violin Visitor Voyage Waltz Well Widow Window Witness"
)
_WORKS = ("The {a} {n}", "{a} {n}", "{n} of {r}", "A {n} for {r}", "Beneath the {a} {n}", "{r} {n}", "The {n} at {r}")
_PATTERNS: dict[Kind, tuple[str, ...]] = {
    Kind.FILM: _WORKS,
    Kind.BOOK: _WORKS,
    Kind.SONG: ("{a} {n}", "My {a} {n}", "{n} Song for {r}", "Goodbye {r}", "{r} {n}"),
    Kind.BAND: ("The {a} {n}s", "The {n}s of {r}", "{a} {r}", "The {r} {n}s", "{r} Quartet"),
    Kind.COMPANY: ("{r} {t}", "{a} {n} {t}", "{n} {t}"),
    Kind.UNIVERSITY: ("{r} University", "{r} College", "{r} Institute of Technology", "{r} Academy of Arts"),
    Kind.CLUB: ("{r} Rovers", "{r} Athletic", "Sporting {r}", "{r} Wanderers", "Real {r}", "{r} United"),
    Kind.CITY: ("{r}", "{r}", "{r}", "Port {r}", "New {r}", "{r} Falls", "Upper {r}"),
    Kind.RIVER: ("{r} River",),
    Kind.BUILDING: ("{r} Tower", "{r} Concert Hall", "{r} Museum", "{r} Library", "{r} Theatre"),
    Kind.COUNTRY: ("{r}",),
}


@dataclass(slots=True)
class Namer:
    """Makes names that are unique within their kind, some of them confusingly alike.

    Args:
        stream: where the choices come from.
        lookalikes: the share of names that take a word from an earlier name of the same kind.
    """

    stream: Stream
    lookalikes: float
    _taken: dict[str, Kind] = field(default_factory=dict)
    _parts: dict[Kind, list[dict[str, str]]] = field(default_factory=dict)

    def coin(self, culture: Culture, endings: tuple[str, ...]) -> str:
        """Returns a capitalised invented word."""
        pick = self.stream.pick
        word = pick(culture.onsets) + pick(culture.vowels)
        if self.stream.chance(0.4):
            word += pick(culture.codas) if self.stream.chance(0.5) else pick(culture.onsets) + pick(culture.vowels)
        ending = pick(endings)
        if word[-1] in "aeiouyéö" and ending[0] in "aeiou":
            word += pick(culture.codas)
        return (word + ending).capitalize()

    def name(self, kind: Kind, culture: Culture, trade: str = "") -> str:
        """Returns a new name for a place, a work or an organisation."""
        return self._until_new(kind, lambda: self._compose(kind, culture, trade))

    def person(self, culture: Culture, feminine: bool, surname: str) -> str:
        """Returns a new given name before ``surname``."""
        endings = culture.feminine if feminine else culture.masculine
        givens = self._parts.setdefault(Kind.PERSON, [])

        def make() -> str:
            old = [given["r"] for given in givens if given["a"] == str(feminine)]
            given = self.stream.pick(old) if old and self.stream.chance(self.lookalikes) else ""
            given = given or self.coin(culture, endings)
            givens.append({"r": given, "a": str(feminine)})
            middle = self.coin(culture, endings) + " " if self.stream.chance(0.12) else ""
            return f"{given} {middle}{surname}"

        return self._until_new(Kind.PERSON, make)

    def reserve(self, name: str, kind: Kind) -> bool:
        """Takes a name that was made elsewhere; returns False if it is taken already."""
        if name.casefold() in self._taken:
            return False
        self._taken[name.casefold()] = kind
        return True

    def _until_new(self, kind: Kind, make: Callable[[], str]) -> str:
        while not self.reserve(name := make(), kind):
            pass
        return name

    def _compose(self, kind: Kind, culture: Culture, trade: str) -> str:
        parts = {
            "a": self.stream.pick(_ADJECTIVES),
            "n": self.stream.pick(_NOUNS),
            "r": self.coin(culture, culture.countries if kind is Kind.COUNTRY else culture.towns),
        }
        old = self._parts.setdefault(kind, [])
        if old and self.stream.chance(self.lookalikes):
            model = self.stream.pick(old)
            shared = self.stream.pick(("a", "n", "r"))
            parts[shared] = model[shared]
        old.append(parts)
        return self.stream.pick(_PATTERNS[kind]).format(**parts, t=trade)
