"""Proves that a world is solvable, from its text alone.

The checker reads the facts out of the passages and the meaning out of the questions, and works out
every answer again. It shares the templates with the generator and nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from searchenv.types import Question
from searchenv.worlds.forms import Comparison, Intersection, Pick, Side
from searchenv.worlds.reading import Claim, Named, Plan, QuestionReader, Reading, read_passages
from searchenv.worlds.schema import MONTHS, RELATIONS, Kind
from searchenv.worlds.world import World

__all__ = ["WorldReport", "check_world"]

Thing = Named | str
"""An entity, or a value as it is written."""


@dataclass(frozen=True, slots=True)
class WorldReport:
    """What :func:`check_world` found."""

    num_passages: int
    num_questions: int
    num_facts: int
    """Different facts that the passages state."""
    violations: tuple[str, ...]
    """Each begins with the id of the passage or question; empty for a sound world."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.violations


def check_world(world: World) -> WorldReport:
    """Returns what is wrong with a world.

    Of the passages: ids and titles are unique, every sentence can be read in exactly one way, and
    no two statements contradict each other. Of each question: its text has exactly one meaning,
    which gives exactly one answer, the first of ``answers``, and all ``answers`` mean the same; the
    gold passages alone give it, and without any one of them they do not; the answer is not in the
    question (comparisons apart); path, hops and anchors in ``metadata`` agree with the text. Of the
    splits: they share no question, no named entity and no fact on a path; the answers of
    comparisons are balanced.
    """
    readings = read_passages(world.passages)
    violations = [*_repeats(world), *_passage_problems(readings)]
    facts = _Facts(readings)
    violations += [f"passages: {problem}" for problem in facts.contradictions()]
    by_id = {reading.passage.id: reading for reading in readings}
    reader = QuestionReader(set(facts.entities))
    splits = _Splits()
    for question in world.questions:
        check = _QuestionCheck(question, facts, by_id)
        violations += [f"{question.id}: {problem}" for problem in check.problems(reader)]
        violations += [f"{question.id}: {problem}" for problem in splits.note(question, check)]
    violations += splits.imbalances()
    return WorldReport(
        len(world.passages), len(world.questions), facts.num_claims, tuple(violations)
    )


def _repeats(world: World) -> Iterable[str]:
    for what, names in (
        ("passage id", [passage.id for passage in world.passages]),
        ("title", [passage.title.casefold() for passage in world.passages]),
        ("question id", [question.id for question in world.questions]),
        ("question", [question.text.casefold() for question in world.questions]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{name}: this {what} occurs {count} times"


def _passage_problems(readings: Iterable[Reading]) -> Iterable[str]:
    for reading in readings:
        yield from (f"{reading.passage.id}: {problem}" for problem in reading.problems)


class _UnanswerableError(Exception):
    """A plan cannot be followed to exactly one answer."""


class _Facts:
    """What some passages say together; an alias is understood if one of them explains it."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        readings = list(readings)
        self.entities = {reading.entity: reading for reading in readings}
        self.aliases = {
            Named(Kind.PERSON, str(claim.object)): claim.subject
            for reading in readings
            for claim in reading.claims
            if claim.relation == "alias"
        }
        self._out: dict[tuple[Thing, str], dict[Thing, Claim]] = defaultdict(dict)
        self._into: dict[tuple[Thing, str], dict[Thing, Claim]] = defaultdict(dict)
        for reading in readings:
            for claim in reading.claims:
                self._add(claim)

    @property
    def num_claims(self) -> int:
        return len({claim for claims in self._out.values() for claim in claims.values()})

    def _add(self, stated: Claim) -> None:
        subject = self.aliases.get(stated.subject, stated.subject)
        relation, target = stated.relation, stated.object
        if isinstance(target, Named):
            target = self.aliases.get(target, target)
        claim = Claim(subject, relation, target)
        self._out[subject, relation][target] = claim
        self._into[target, relation][subject] = claim
        if RELATIONS[relation].symmetric:
            self._out[target, relation][subject] = claim
            self._into[subject, relation][target] = claim

    def contradictions(self) -> Iterable[str]:
        for (subject, relation), objects in self._out.items():
            if len(objects) > 1 and not RELATIONS[relation].many:
                yield f"{_words(subject)} has several objects under {relation}"

    def solve(self, plan: Plan) -> tuple[Thing, list[Claim]]:
        """Returns the answer and the facts that it takes, in order."""
        if isinstance(plan.form, Intersection):
            return self._intersect(plan.anchors, plan.form)
        ends, claims = [], []
        for anchor in plan.anchors:
            end, steps = self._follow(anchor, plan.path)
            ends.append(end)
            claims += steps
        if plan.form is None:
            return ends[0], claims
        return self._compare(plan.anchors, ends, plan.form), claims

    def _follow(self, start: Named, path: Iterable[str]) -> tuple[Thing, list[Claim]]:
        here: Thing = start
        claims = []
        for relation in path:
            found = self._out.get((here, relation), {})
            if len(found) != 1:
                raise _UnanswerableError(
                    f"{_words(here)} has {len(found)} objects under {relation}"
                )
            here, claim = next(iter(found.items()))
            claims.append(claim)
        return here, claims

    def _compare(self, anchors: tuple[Named, ...], ends: list[Thing], form: Comparison) -> Thing:
        if form.pick is Pick.SAME:
            return "yes" if ends[0] == ends[1] else "no"
        left, right = (_order(str(end)) for end in ends)
        if left == right:
            raise _UnanswerableError(f"both have {ends[0]}")
        return anchors[0] if (left < right) == (form.pick is Pick.LEAST) else anchors[1]

    def _intersect(
        self, anchors: tuple[Named, ...], form: Intersection
    ) -> tuple[Thing, list[Claim]]:
        first, second = (
            self._meeting(anchor, side)
            for anchor, side in zip(anchors, (form.first, form.second), strict=True)
        )
        both = [thing for thing in first if thing in second]
        if len(both) != 1:
            raise _UnanswerableError(f"{len(both)} entities meet both conditions")
        return both[0], [first[both[0]], second[both[0]]]

    def _meeting(self, anchor: Named, side: Side) -> Mapping[Thing, Claim]:
        return (self._into if side.inverse else self._out).get((anchor, side.relation), {})


class _QuestionCheck:
    """One question against the facts; ``plan`` and ``claims`` are there when it can be solved."""

    def __init__(self, question: Question, facts: _Facts, by_id: Mapping[str, Reading]) -> None:
        self.question = question
        self.facts = facts
        self.by_id = by_id
        self.plan: Plan | None = None
        self.claims: list[Claim] = []

    def problems(self, reader: QuestionReader) -> list[str]:
        plans = reader.read(self.question.text)
        if len(plans) != 1:
            return [f"the question has {len(plans)} meanings"]
        self.plan = plans[0]
        try:
            answer, self.claims = self.facts.solve(self.plan)
        except _UnanswerableError as error:
            return [f"the passages give no single answer: {error}"]
        return [*self._answer_problems(answer), *self._gold_problems(), *self._metadata_problems()]

    def _answer_problems(self, answer: Thing) -> Iterable[str]:
        spellings = self._spellings(answer)
        if self.question.answers[0] != spellings[0]:
            yield f"the answer is {spellings[0]!r}, not {self.question.answers[0]!r}"
        for wrong in sorted(set(self.question.answers) - set(spellings)):
            yield f"{wrong!r} does not mean {spellings[0]!r}"
        is_comparison = self.plan is not None and isinstance(self.plan.form, Comparison)
        for given in spellings:
            if not is_comparison and given.casefold() in self.question.text.casefold():
                yield f"the answer {given!r} is in the question"

    def _spellings(self, answer: Thing) -> list[str]:
        if isinstance(answer, Named):
            reading = self.facts.entities[answer]
            aliases = [
                alias.name for alias, entity in self.facts.aliases.items() if entity == answer
            ]
            return [reading.name, *aliases, reading.passage.title]
        words = answer.split()
        if len(words) == 3 and words[1] in MONTHS:
            return [answer, f"{words[1]} {words[0]}, {words[2]}"]
        return [answer, answer.replace(",", "")]

    def _gold_problems(self) -> Iterable[str]:
        named = [(gold.title, name) for gold in self.question.gold for name in gold.ids]
        readings = [self.by_id[name] for _, name in named if name in self.by_id]
        if named != [(reading.passage.title, reading.passage.id) for reading in readings]:
            yield "gold titles and ids do not name the same passages"
            return
        if not self._is_enough(readings):
            yield "the gold passages are not sufficient"
        for i, reading in enumerate(readings):
            if self._is_enough(readings[:i] + readings[i + 1 :]):
                yield f"the gold passage {reading.passage.title!r} is superfluous"

    def _is_enough(self, readings: list[Reading]) -> bool:
        assert self.plan is not None
        try:
            answer, _ = _Facts(readings).solve(self.plan)
        except _UnanswerableError:
            return False
        name = answer if isinstance(answer, str) else self._plain_name(answer)
        return name in self.question.answers

    def _plain_name(self, answer: Named) -> str:
        reading = self.facts.entities.get(answer)
        return reading.name if reading else answer.name

    def _metadata_problems(self) -> Iterable[str]:
        assert self.plan is not None
        path = []
        here: Thing = self.plan.anchors[0]
        for subject, relation, target in self.claims:
            turned = RELATIONS[relation].symmetric and target == here
            start, here = (target, subject) if turned else (subject, target)
            path.append([self._title(start), relation, self._title(here)])
        told = self.question.metadata
        for name, expected in (
            ("path", path),
            ("hops", len(path)),
            ("anchors", [self._title(anchor) for anchor in self.plan.anchors]),
        ):
            if told.get(name) != expected:
                yield f"metadata says {name} {told.get(name)}, the text {expected}"

    def _title(self, thing: Thing) -> str:
        return self.facts.entities[thing].passage.title if isinstance(thing, Named) else thing


class _Splits:
    """What each split uses, and where the answers of its comparisons stand."""

    def __init__(self) -> None:
        self._owner: dict[object, str] = {}
        self._sides: dict[str, Counter[str]] = defaultdict(Counter)

    def note(self, question: Question, check: _QuestionCheck) -> Iterable[str]:
        split = str(question.metadata.get("split"))
        anchors = check.plan.anchors if check.plan else ()
        used: list[Thing | Claim] = [*anchors, *check.claims]
        for thing in used:
            owner = self._owner.setdefault(thing, split)
            if owner != split:
                yield f"{_words(thing)} is also used in the split {owner}"
        if check.plan and isinstance(check.plan.form, Comparison):
            self._sides[split][self._side(question, anchors[0])] += 1

    @staticmethod
    def _side(question: Question, first: Named) -> str:
        answer = question.answers[0]
        if answer in {"yes", "no"}:
            return answer
        return "first" if first.name.endswith(answer) else "second"

    def imbalances(self) -> Iterable[str]:
        for split, sides in self._sides.items():
            for a, b in (("yes", "no"), ("first", "second")):
                if abs(sides[a] - sides[b]) > 1:
                    yield f"{split}: {sides[a]} comparisons have the answer {a}, {sides[b]} {b}"


def _words(thing: Thing | Claim) -> str:
    if isinstance(thing, Claim):
        return " ".join((_words(thing.subject), thing.relation, _words(thing.object)))
    return thing.name if isinstance(thing, Named) else thing


def _order(value: str) -> tuple[int, int, int]:
    """Returns what a date, a year or a number is sorted by."""
    words = value.split()
    if len(words) == 3:
        return int(words[2]), MONTHS.index(words[1]), int(words[0])
    return int(value.replace(",", "")), 0, 0
