"""Writes the passages of a world: one for each entity, each fact stated in exactly one of them."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from searchenv.types import Passage
from searchenv.worlds.graph import Entity, Fact, Graph
from searchenv.worlds.schema import RELATIONS, Kind
from searchenv.worlds.sentences import INTROS, NOISE, PRONOUNS, SENTENCES
from searchenv.worlds.stream import Stream

__all__ = ["BACK", "Library", "name_in_text", "pronouns", "write_passages"]

BACK = "back_"
"""Marks a template slot that takes the subjects of a relation instead of its objects."""

_MIN_WORDS = 42
_ALIAS_MENTIONS = 0.3
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class Library:
    """The passages, and where each fact is stated."""

    passages: dict[Entity, Passage] = field(default_factory=dict)
    source: dict[Fact, Entity] = field(default_factory=dict)
    """The entity whose passage states the fact."""
    under_alias: dict[Fact, Entity] = field(default_factory=dict)
    """The entity that the statement calls by its alias, for facts where it does."""


def name_in_text(graph: Graph, entity: Entity) -> str:
    """Returns what others call the entity: its name, with the occupation where people share it."""
    if entity.kind is Kind.PERSON and graph.titles[entity] != entity.name:
        return f"the {graph.text(entity, 'occupation').split(' ', 1)[1]} {entity.name}"
    return entity.name


def pronouns(kind: Kind, feminine: bool) -> tuple[str, ...]:
    """Returns what may open a sentence in place of the name."""
    return PRONOUNS[kind] if kind is not Kind.PERSON else ("She",) if feminine else ("He",)


def write_passages(graph: Graph, seed: int) -> Library:
    """Returns the passages in the order of ``graph.entities``; ids count from ``p00000``."""
    library = Library()
    stream = Stream(seed, "passages")
    slots: dict[Entity, dict[str, list[Fact]]] = {
        entity: defaultdict(list) for entity in graph.entities
    }
    for fact in graph.facts:
        if isinstance(fact.object, Entity) and stream.chance(RELATIONS[fact.relation].back):
            library.source[fact] = fact.object
            slots[fact.object][BACK + fact.relation].append(fact)
        else:
            library.source[fact] = fact.subject
            slots[fact.subject][fact.relation].append(fact)
    for number, entity in enumerate(graph.entities):
        text = _Writer(graph, library, stream, entity, slots[entity]).text()
        library.passages[entity] = Passage(f"p{number:05d}", graph.titles[entity], text)
    return library


@dataclass(slots=True)
class _Writer:
    graph: Graph
    library: Library
    stream: Stream
    entity: Entity
    pending: dict[str, list[Fact]]

    def text(self) -> str:
        sentences = [self._fill(self._intro(), opening=True)]
        while self.pending:
            wanted = self.stream.pick(list(self.pending))
            fitting = [
                template
                for template in SENTENCES[self.entity.kind]
                if wanted in (slots := _slots(template)) and slots <= self.pending.keys()
            ]
            sentences.append(self._fill(self.stream.pick(fitting)))
        noise = self.stream.sample(NOISE[self.entity.kind], len(NOISE[self.entity.kind]))
        while sum(len(sentence.split()) for sentence in sentences) < _MIN_WORDS and noise:
            place = self.stream.between(1, len(sentences))
            sentences.insert(place, self._fill(noise.pop()))
        return " ".join(sentences)

    def _intro(self) -> str:
        fitting = [
            template
            for template in INTROS[self.entity.kind]
            if _slots(template) <= self.pending.keys()
        ]
        if self.entity.kind is Kind.PERSON:
            verb = " was " if "died_on" in self.pending else " is "
            fitting = [template for template in fitting if verb in template]
        return self.stream.pick(fitting)

    def _fill(self, template: str, *, opening: bool = False) -> str:
        person = self.entity.kind is Kind.PERSON
        possessive = ("Her" if self.entity.feminine else "His") if person else "Its"
        words = {
            "s": self.entity.name if opening else self._subject(),
            "p": possessive,
            "p_mid": possessive.lower(),
        }
        for slot in sorted(_slots(template)):
            words[slot] = _listing([self._mention(slot, fact) for fact in self.pending.pop(slot)])
        return template.format(**words)

    def _subject(self) -> str:
        if self.stream.chance(0.75):
            return self.stream.pick(pronouns(self.entity.kind, self.entity.feminine))
        if self.entity.kind is Kind.PERSON and self.stream.chance(0.6):
            return self.entity.name.split()[-1]
        article = "The " if self.entity.kind in {Kind.RIVER, Kind.BUILDING} else ""
        return article + self.entity.name

    def _mention(self, slot: str, fact: Fact) -> str:
        other = fact.subject if slot.startswith(BACK) else fact.object
        if isinstance(other, str):
            return other
        alias = self.graph.text(other, "alias")
        if alias and self.stream.chance(_ALIAS_MENTIONS):
            self.library.under_alias[fact] = other
            return alias
        return name_in_text(self.graph, other)


def _slots(template: str) -> set[str]:
    return set(_SLOT.findall(template)) - {"s", "p", "p_mid"}


def _listing(names: list[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
