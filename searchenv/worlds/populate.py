"""Fills a knowledge graph with entities and facts that fit together.

Families span four generations, careers lie inside lives, and people mostly stay in their country,
so that a passage reads sensibly and much in it looks alike.
"""

from collections import defaultdict
from typing import NamedTuple

from searchenv.worlds.graph import Entity, Graph
from searchenv.worlds.names import CULTURES, Culture, Namer
from searchenv.worlds.schema import COMPANY_TRADES, MONTHS, OCCUPATIONS, Kind
from searchenv.worlds.stream import Stream

__all__ = ["SHARES", "build_graph"]

SHARES: dict[Kind, int] = {
    Kind.COUNTRY: 10,
    Kind.CITY: 85,
    Kind.RIVER: 20,
    Kind.UNIVERSITY: 25,
    Kind.PERSON: 430,
    Kind.CLUB: 20,
    Kind.COMPANY: 50,
    Kind.BUILDING: 30,
    Kind.BOOK: 80,
    Kind.FILM: 140,
    Kind.BAND: 50,
    Kind.SONG: 60,
}
"""Entities of each kind in a thousand."""

_PRESENT = 2024
_GENERATIONS = ((1876, 1892), (1904, 1920), (1930, 1948), (1958, 1984))


class _Life(NamedTuple):
    """What the builder remembers about a person."""

    person: Entity
    born: int
    last: int  # the last year in which the person can do something
    trade: str
    family: str
    home: Entity


def build_graph(
    size: int, *, lookalikes: float, same_names: float, aliases: float, seed: int
) -> Graph:
    """Returns a graph of about ``size`` entities; see ``WorldConfig`` for the knobs."""
    return _Builder(size, lookalikes, same_names, aliases, seed).build()


class _Builder:
    def __init__(
        self, size: int, lookalikes: float, same_names: float, aliases: float, seed: int
    ) -> None:
        self.graph = Graph()
        self.counts = {kind: max(4, size * share // 1000) for kind, share in SHARES.items()}
        self.namer = Namer(Stream(seed, "names"), lookalikes)
        self.draw = Stream(seed, "graph")
        self.same_names = same_names
        self.aliases = aliases
        self.culture: dict[Entity, Culture] = {}
        self.cities: dict[Entity, list[Entity]] = {}
        self.companies: dict[str, list[tuple[int, Entity]]] = {
            trade: [] for trade in COMPANY_TRADES.values()
        }
        self.lives: list[_Life] = []
        self.workers: dict[str, list[_Life]] = {trade: [] for trade in OCCUPATIONS}
        self.namesakes: dict[str, list[_Life]] = defaultdict(list)

    def build(self) -> Graph:
        self._countries()
        self._cities()
        self._universities()
        self._people()
        self._organisations()
        self._books()
        self._films()
        self._bands_and_songs()
        self._titles()
        return self.graph

    def _new(self, kind: Kind, name: str, feminine: bool = False) -> Entity:
        entity = Entity(len(self.graph.entities), kind, name, feminine)
        self.graph.entities.append(entity)
        self.graph.kinds[kind].append(entity)
        return entity

    def _named(self, kind: Kind, country: Entity | None = None, trade: str = "") -> Entity:
        country = country or self.draw.pick(self.graph.kinds[Kind.COUNTRY])
        return self._new(kind, self.namer.name(kind, self.culture[country], trade))

    # places

    def _countries(self) -> None:
        for i in range(self.counts[Kind.COUNTRY]):
            culture = CULTURES[i % len(CULTURES)]
            country = self._new(Kind.COUNTRY, self.namer.name(Kind.COUNTRY, culture))
            self.culture[country] = culture
            self.cities[country] = []
            coin = self.namer.coin(culture, culture.vowels[:3]).lower()
            self.graph.add(country, "currency", coin)
            self.graph.add(country, "language", self.namer.coin(culture, ("ish", "ese", "ian")))

    def _cities(self) -> None:
        countries = self.graph.kinds[Kind.COUNTRY]
        for i in range(self.counts[Kind.CITY]):
            country = countries[i] if i < len(countries) else self.draw.pick(countries)
            city = self._named(Kind.CITY, country)
            self.cities[country].append(city)
            self.graph.add(city, "city_country", country)
            self.graph.add(city, "population", f"{self.draw.between(4_000, 980_000):,}")
        for country in countries:
            self.graph.add(country, "capital", self.draw.pick(self.cities[country]))
        for _ in range(self.counts[Kind.RIVER]):
            country = self.draw.pick(countries)
            river = self._named(Kind.RIVER, country)
            self.graph.add(river, "rises_in", country)
            self.graph.add(river, "length", f"{self.draw.between(60, 1_900):,}")
            for city in self.draw.sample(self.cities[country], 3):
                if not self.graph.out(city, "on_river"):
                    self.graph.add(city, "on_river", river)

    def _universities(self) -> None:
        for _ in range(self.counts[Kind.UNIVERSITY]):
            country = self.draw.pick(self.graph.kinds[Kind.COUNTRY])
            university = self._named(Kind.UNIVERSITY, country)
            self.graph.add(university, "campus_in", self.draw.pick(self.cities[country]))
            self.graph.add(university, "established_in", str(self.draw.between(1720, 1890)))

    # people

    def _people(self) -> None:
        """Four generations; couples come from one generation and different families."""
        total = self.counts[Kind.PERSON]
        parents: list[tuple[_Life, _Life]] = []
        for number, span in enumerate(_GENERATIONS):
            until = total * (number + 1) // len(_GENERATIONS)
            generation: list[_Life] = []
            while len(self.lives) < until:
                child_of = self.draw.pick(parents) if parents and self.draw.chance(0.8) else None
                generation.append(self._person(span, child_of))
            parents = self._couples(generation)

    def _person(self, span: tuple[int, int], parents: tuple[_Life, _Life] | None) -> _Life:
        feminine = self.draw.chance(0.5)
        if parents:
            father, mother = parents
            home, family = father.home, father.family
            first = max(father.born, mother.born) + 19
            born = self.draw.between(first, min(first + 14, father.last, mother.last))
        else:
            home = self.draw.pick(self.graph.kinds[Kind.COUNTRY])
            culture = self.culture[home]
            family = self.namer.coin(culture, culture.surnames)
            born = self.draw.between(*span)
        trade = self._trade()
        name = self._person_name(home, family, feminine, trade, founder=parents is None)
        person = self._new(Kind.PERSON, name, feminine)
        life = self._life(person, born, trade, name.split()[-1], home)
        if parents:
            self.graph.add(person, "father", parents[0].person)
            self.graph.add(person, "mother", parents[1].person)
        self.lives.append(life)
        self.workers[trade].append(life)
        self.namesakes[name].append(life)
        return life

    def _trade(self) -> str:
        ticket = self.draw.below(sum(OCCUPATIONS.values()))
        for trade, share in OCCUPATIONS.items():
            if ticket < share:
                return trade
            ticket -= share
        raise AssertionError("the shares of the occupations do not add up")

    def _person_name(
        self, home: Entity, family: str, feminine: bool, trade: str, *, founder: bool
    ) -> str:
        if self.draw.chance(self.same_names):
            namesakes = [
                life.person.name
                for life in self.lives
                if life.person.feminine == feminine and (founder or life.family == family)
            ]
            free = [
                name
                for name in namesakes
                if trade not in {life.trade for life in self.namesakes[name]}
            ]
            if free:
                return self.draw.pick(free)
        return self.namer.person(self.culture[home], feminine, family)

    def _life(self, person: Entity, born: int, trade: str, family: str, home: Entity) -> _Life:
        add, draw = self.graph.add, self.draw
        add(person, "born_on", self._date(born))
        add(person, "born_in", self._city(home, abroad=0.25))
        add(person, "citizen_of", home)
        add(person, "occupation", trade)
        died = born + draw.between(45, 92)
        if died < _PRESENT:
            add(person, "died_on", self._date(died))
            add(person, "died_in", self._city(home, abroad=0.35))
        if draw.chance(0.6):
            add(person, "educated_at", draw.pick(self.graph.kinds[Kind.UNIVERSITY]))
        if draw.chance(self.aliases):
            self._alias(person, home)
        return _Life(person, born, min(died, _PRESENT), trade, family, home)

    def _alias(self, person: Entity, home: Entity) -> None:
        """Half of the stage names keep a part of the name, half have nothing in common with it."""
        culture = self.culture[home]
        given, *_, surname = person.name.split()
        if self.draw.chance(0.5):
            given = self.namer.given(culture, person.feminine)
        if self.draw.chance(0.5) or given == person.name.split()[0]:
            surname = self.namer.coin(culture, culture.surnames)
        if self.namer.reserve(f"{given} {surname}"):
            self.graph.add(person, "alias", f"{given} {surname}")

    def _date(self, year: int) -> str:
        return f"{self.draw.between(1, 28)} {self.draw.pick(MONTHS)} {year}"

    def _city(self, home: Entity, abroad: float) -> Entity:
        if self.draw.chance(abroad):
            return self.draw.pick(self.graph.kinds[Kind.CITY])
        return self.draw.pick(self.cities[home])

    def _couples(self, generation: list[_Life]) -> list[tuple[_Life, _Life]]:
        by_age = sorted(generation, key=lambda life: life.born)
        women = [life for life in by_age if life.person.feminine]
        men = [life for life in by_age if not life.person.feminine]
        couples = []
        for husband, wife in zip(men, women, strict=False):
            if husband.family != wife.family and abs(husband.born - wife.born) < 12:
                self.graph.add(husband.person, "spouse", wife.person)
                couples.append((husband, wife))
        return couples

    def _working(self, trade: str, first: int, last: int, k: int = 1) -> list[_Life]:
        """Returns up to ``k`` people of a trade who were between 20 and 75 in all these years."""
        able = [
            life
            for life in self.workers[trade]
            if life.born + 20 <= first and last <= min(life.last, life.born + 75)
        ]
        return self.draw.sample(able, k)

    # organisations

    def _organisations(self) -> None:
        for kind, relation, place in (
            (Kind.CLUB, "coached_by", "home_of"),
            (Kind.BUILDING, "designed_by", "stands_in"),
        ):
            for _ in range(self.counts[kind]):
                country = self.draw.pick(self.graph.kinds[Kind.COUNTRY])
                thing = self._named(kind, country)
                self.graph.add(thing, place, self.draw.pick(self.cities[country]))
                year = _PRESENT if kind is Kind.CLUB else self.draw.between(1895, 2020)
                if kind is Kind.BUILDING:
                    self.graph.add(thing, "opened_in", str(year))
                trade = "a football manager" if kind is Kind.CLUB else "an architect"
                for life in self._working(trade, year, year):
                    self.graph.add(thing, relation, life.person)
        for life in self._working("a politician", _PRESENT, _PRESENT, k=len(self.lives)):
            city = self._city(life.home, abroad=0.0)
            if not self.graph.out(city, "mayor"):
                self.graph.add(city, "mayor", life.person)
        self._companies()

    def _companies(self) -> None:
        for i in range(self.counts[Kind.COMPANY]):
            word, trade = list(COMPANY_TRADES.items())[i % len(COMPANY_TRADES)]
            country = self.draw.pick(self.graph.kinds[Kind.COUNTRY])
            company = self._named(Kind.COMPANY, country, word)
            self.graph.add(company, "trade", trade)
            self.graph.add(company, "based_in", self._city(country, abroad=0.1))
            year = self.draw.between(1898, 1950)
            self.companies[trade].append((year, company))
            self.graph.add(company, "founded_in", str(year))
            for life in self._working("an entrepreneur", year, year):
                self.graph.add(company, "founded_by", life.person)

    def _credit(self, work: Entity, relation: str, trade: str, year: int) -> None:
        """Adds a company that existed in that year, if there is one."""
        old = [company for founded, company in self.companies[trade] if founded <= year]
        if old:
            self.graph.add(work, relation, self.draw.pick(old))

    # works

    def _year_of(self, life: _Life) -> int:
        return self.draw.between(life.born + 24, min(life.last, life.born + 65))

    def _books(self) -> None:
        for _ in range(self.counts[Kind.BOOK]):
            author = self.draw.pick(self.workers["a novelist"] or self.lives)
            book = self._named(Kind.BOOK, author.home)
            self.graph.add(book, "written_by", author.person)
            year = self._year_of(author)
            self.graph.add(book, "published_in", str(year))
            self._credit(book, "published_by", "a publishing house", year)

    def _films(self) -> None:
        for _ in range(self.counts[Kind.FILM]):
            director = self.draw.pick(self.workers["a film director"] or self.lives)
            year = self._year_of(director)
            novel = self._novel_before(year) if self.draw.chance(0.25) else None
            if novel and self.draw.chance(self.same_names * 4):
                film = self._new(Kind.FILM, novel.name)
            else:
                film = self._named(Kind.FILM, director.home)
            self.graph.add(film, "directed_by", director.person)
            self.graph.add(film, "released_in", str(year))
            self._credit(film, "produced_by", "a film studio", year)
            if novel:
                self.graph.add(film, "based_on", novel)
            for life in self._working("a composer", year, year):
                self.graph.add(film, "music_by", life.person)
            for life in self._working("an actor", year, year, k=self.draw.between(2, 4)):
                self.graph.add(film, "starring", life.person)

    def _novel_before(self, year: int) -> Entity | None:
        novels = [
            novel
            for novel in self.graph.kinds[Kind.BOOK]
            if int(self.graph.text(novel, "published_in")) <= year
            and not self.graph.into(novel, "based_on")
        ]
        return self.draw.pick(novels) if novels else None

    def _bands_and_songs(self) -> None:
        bands = []
        for _ in range(self.counts[Kind.BAND]):
            first = self.draw.pick(self.workers["a musician"] or self.lives)
            year = self.draw.between(first.born + 20, first.born + 32)
            band = self._named(Kind.BAND, first.home)
            others = self._working("a musician", year, year, k=self.draw.between(2, 4))
            members = [first, *(life for life in others if life is not first)]
            for life in members:
                self.graph.add(band, "members", life.person)
            self.graph.add(band, "formed_in", self._city(first.home, abroad=0.2))
            self.graph.add(band, "formed_year", str(year))
            self._credit(band, "label", "a record label", year)
            bands.append((band, year))
        for _ in range(self.counts[Kind.SONG]):
            band, year = self.draw.pick(bands)
            song = self._named(Kind.SONG)
            issued = min(_PRESENT, year + self.draw.between(0, 15))
            self.graph.add(song, "performed_by", band)
            self.graph.add(song, "issued_in", str(issued))
            for life in self._working("a musician", issued, issued):
                self.graph.add(song, "song_by", life.person)

    def _titles(self) -> None:
        groups: dict[str, list[Entity]] = defaultdict(list)
        for entity in self.graph.entities:
            groups[entity.name.casefold()].append(entity)
        for entity in self.graph.entities:
            shared = len(groups[entity.name.casefold()]) > 1
            self.graph.titles[entity] = (
                f"{entity.name} ({self._qualifier(entity)})" if shared else entity.name
            )

    def _qualifier(self, entity: Entity) -> str:
        if entity.kind is Kind.PERSON:
            return self.graph.text(entity, "occupation").split(" ", 1)[1]
        return str(entity.kind)
