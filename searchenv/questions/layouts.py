"""The layouts of question files, and how one record of each becomes a ``Question``.

The suites differ in the names of three fields, in where aliases stand, and in how supporting facts
are written. ``LAYOUTS`` holds the names; the rest is told from the values:

- supporting facts are ``[[title, sentence], ...]`` (official files), ``{"title": [...], "sent_id":
  [...]}`` (Hugging Face copies) or ``[title, ...]`` (the 1,000-question subsets of HippoRAG);
- MuSiQue marks its paragraphs with ``is_supporting``; its files without paragraphs name a
  ``document_id`` (title, ``_``, running number) for each hop.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from searchenv.errors import QuestionError, did_you_mean
from searchenv.types import Gold, Question

__all__ = ["LAYOUTS", "Layout", "detect_layout", "get_layout", "parse_question"]

Record = Mapping[str, object]

_READ = frozenset({"answer_aliases", "gold", "images", "metadata"})
"""Fields that have a place of their own in ``Question``."""
_BULKY = frozenset({"context", "paragraphs", "gen_text_store"})
"""Passages beside the question, which belong into an index, and R1-Searcher's own transcripts."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The field names of one kind of question file.

    A record fits when it has the question, the answer, and all fields of ``also``.
    """

    name: str
    id: str
    """Where the id stands; a record without it is numbered by its position, from 1."""
    question: str = "question"
    answer: str = "answer"
    also: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every record must have."""
        return (self.question, self.answer, *self.also)

    def missing(self, record: Record) -> tuple[str, ...]:
        """Returns the required fields that ``record`` lacks."""
        return tuple(field for field in self.required if field not in record)


LAYOUTS = (
    Layout("common", "id", answer="golden_answers"),
    Layout("musique", "id", also=("id", "answer_aliases", "question_decomposition")),
    Layout("2wiki", "_id", also=("_id", "supporting_facts", "evidences")),
    Layout("hotpotqa", "_id", also=("_id", "supporting_facts")),
    Layout("supporting_facts", "id", also=("id", "supporting_facts")),
    Layout("r1_searcher", "idx", also=("idx",)),
    Layout("bamboogle", "idx", question="Question", answer="Answer"),
    Layout("plain", "id"),
)
"""All layouts, the first that fits a file's first record is taken.

``supporting_facts`` is both the Hugging Face copy of HotpotQA and HippoRAG's subset of
2WikiMultihopQA; ``r1_searcher`` is also Bamboogle as R1-Searcher publishes it.
"""


def get_layout(name: str) -> Layout:
    """Returns the layout of this name.

    Raises:
        QuestionError: there is none; the message names the nearest one.
    """
    known = {layout.name: layout for layout in LAYOUTS}
    if name not in known:
        raise QuestionError(f"unknown question format {name!r}. {did_you_mean(name, known)}")
    return known[name]


def detect_layout(record: Record) -> Layout:
    """Returns the first layout that ``record`` fits.

    Raises:
        QuestionError: none fits; the message lists what each needs.
    """
    for layout in LAYOUTS:
        if not layout.missing(record):
            return layout
    nearest = min(LAYOUTS, key=lambda layout: len(layout.missing(record)) / len(layout.required))
    known = "; ".join(f"{layout.name} ({', '.join(layout.required)})" for layout in LAYOUTS)
    raise QuestionError(
        f"no known layout fits the fields {', '.join(record) or '(none)'}; "
        f"{nearest.name} lacks {', '.join(nearest.missing(record))}. Known layouts: {known}"
    )


def parse_question(record: Record, layout: Layout, position: int) -> Question:
    """Returns the question of one record.

    Question and answers are kept to the letter, outer white space included. Numbers as answers
    become their decimal form, ``true`` and ``false`` become "yes" and "no", as the suites write
    them. Blank and repeated aliases are left out. Every other field goes to ``metadata``, except
    the passages beside the question; MuSiQue's questions get ``hops``.

    Raises:
        QuestionError: a field is missing or has no usable value.
    """
    if missing := layout.missing(record):
        raise QuestionError(f"missing field {missing[0]!r}, which layout {layout.name!r} needs")
    text = record[layout.question]
    if not isinstance(text, str) or not text.strip():
        raise QuestionError(f"field {layout.question!r} must be a non-blank string, got {text!r}")
    identifier = record.get(layout.id, position)
    if not isinstance(identifier, str | int):
        raise QuestionError(f"field {layout.id!r} must be a string or a number, got {identifier!r}")
    return Question(
        id=str(identifier),
        text=text,
        answers=_answers(record, layout),
        images=tuple(_strings(record.get("images") or (), "images")),
        gold=_gold(record),
        metadata=_metadata(record, layout),
    )


def _answers(record: Record, layout: Layout) -> tuple[str, ...]:
    value = record[layout.answer]
    values = value if isinstance(value, list) else [value]
    aliases = record.get("answer_aliases") or ()
    if not isinstance(aliases, list | tuple):
        raise QuestionError(f"field 'answer_aliases' must be a list, got {aliases!r}")
    texts = [_answer_text(value, layout.answer) for value in (*values, *aliases)]
    answers = tuple(dict.fromkeys(text for text in texts if text.strip()))
    if not answers:
        raise QuestionError(f"field {layout.answer!r} must hold an answer, got {value!r}")
    return answers


def _answer_text(value: object, field: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    raise QuestionError(f"field {field!r} must hold strings or numbers, got {value!r}")


def _metadata(record: Record, layout: Layout) -> dict[str, object]:
    """Returns what is left of a record, with what its own ``metadata`` says on top."""
    own = record.get("metadata") or {}
    if not isinstance(own, Mapping):
        raise QuestionError(f"field 'metadata' must be an object, got {own!r}")
    used = {layout.id, layout.question, layout.answer} | _READ | _BULKY
    rest = {key: value for key, value in record.items() if key not in used}
    if isinstance(steps := record.get("question_decomposition"), list):
        rest["hops"] = len(steps)
    return {**rest, **own}


def _gold(record: Record) -> tuple[Gold, ...]:
    """Returns the supporting passages from the first place that names them."""
    own = record.get("metadata")
    places = [record, own] if isinstance(own, Mapping) else [record]
    for place in places:
        if isinstance(listed := place.get("gold"), list):
            return tuple(_gold_entry(entry) for entry in listed)
    for place in places:
        titles = tuple(dict.fromkeys(_gold_titles(place)))
        if titles:
            return tuple(Gold(title) for title in titles)
    return ()


def _gold_entry(entry: object) -> Gold:
    if isinstance(entry, str):
        return Gold(entry)
    if not isinstance(entry, Mapping):
        raise QuestionError(f"field 'gold' must hold titles or {{title, ids}}, got {entry!r}")
    title = entry.get("title", "")
    if not isinstance(title, str):
        raise QuestionError(f"a gold title must be a string, got {title!r}")
    return Gold(title, tuple(_strings(entry.get("ids") or (), "ids")))


def _gold_titles(record: Record) -> Iterable[str]:
    """Returns the titles of the supporting passages, with repeats; see the module's docstring."""
    facts = record.get("supporting_facts")
    if facts is not None:
        titles = facts.get("title") if isinstance(facts, Mapping) else facts
        first = [fact[0] if isinstance(fact, list) and fact else fact for fact in _items(titles)]
        return _strings(first, "supporting_facts")
    if paragraphs := record.get("paragraphs"):
        supporting = (each for each in _objects(paragraphs) if each.get("is_supporting"))
        return _strings([each.get("title") for each in supporting], "paragraphs")
    steps = _objects(record.get("question_decomposition") or [])
    documents = [each["document_id"] for each in steps if "document_id" in each]
    return (name.rpartition("_")[0] for name in _strings(documents, "document_id"))


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise QuestionError(f"field 'supporting_facts' must be a list, got {value!r}")
    return value


def _objects(value: object) -> Iterator[Record]:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, Mapping):
            raise QuestionError(f"expected a list of objects, got {each!r}")
        yield each


def _strings(values: object, field: str) -> list[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
        raise QuestionError(f"field {field!r} must hold strings, got {values!r}")
    return list(values)
