"""The layouts of question files, and how one record of each becomes a ``Question``.

The suites differ in the names of three fields and in where aliases stand: ``LAYOUTS`` holds these.
What else they write differently is told from the values, see :mod:`searchenv.questions.fields`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from searchenv.errors import QuestionError, did_you_mean
from searchenv.questions.contrast import UNANSWERABLE
from searchenv.questions.fields import (
    decoded,
    paragraphs_of,
    steps_of,
    strings,
    supporting_facts_of,
)
from searchenv.types import Gold, Question

__all__ = ["LAYOUTS", "Layout", "detect_layout", "get_layout", "parse_question", "unfolded"]

Record = Mapping[str, object]

_READ = frozenset({"answer_aliases", "gold", "images", "metadata"})
"""Fields that have a place of their own in ``Question``."""
_STEPS = frozenset(
    {"question_decomposition", *(f"{name}{n}" for n in range(1, 10) for name in "QA")}
)
_BULKY = frozenset({"context", "paragraphs", "gen_text_store"})
"""Passages beside the question, which belong into an index, and R1-Searcher's own transcripts."""
_SHAPE = re.compile(r"(([2-9])hop\d?)__")
"""How MuSiQue's ids begin: the number of hops, and which of its graphs of steps."""


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
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What is true of every question of the set and stands in none."""
    unfold: Callable[[Record], Record] | None = None
    """Brings fields that lie deeper in the record to its top."""

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that every record must have."""
        return self.also if self.unfold else (self.question, self.answer, *self.also)

    def missing(self, record: Record) -> tuple[str, ...]:
        """Returns the required fields that ``record`` lacks."""
        return tuple(field for field in self.required if field not in record)


def _unfold_search_r1(record: Record) -> Record:
    """Returns a row of verl with the question and answers that Search-R1 hides in it.

    Search-R1 keeps ``question`` beside ``prompt``; without it, the question is what follows the
    last "Question: " of the prompt. Its ids repeat from one ``data_source`` to the next.
    """
    rest = {key: value for key, value in record.items() if key not in _VERL}
    truth, extra = record["reward_model"], record.get("extra_info")
    truth = truth.get("ground_truth") if isinstance(truth, Mapping) else None
    target = truth.get("target") if isinstance(truth, Mapping) else truth
    source, identifier = record.get("data_source"), record.get("id")
    if isinstance(source, str) and identifier is not None:
        rest["id"] = f"{source}-{identifier}"
    if isinstance(extra, Mapping) and isinstance(extra.get("split"), str):
        rest["split"] = extra["split"]
    return {"question": _prompted(record["prompt"]), **rest, "golden_answers": target}


_VERL = frozenset({"prompt", "reward_model", "ability", "extra_info"})


def _prompted(prompt: object) -> object:
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt
    text = last.get("content") if isinstance(last, Mapping) else last
    return text.rpartition("Question: ")[2].strip() if isinstance(text, str) else text


def _unfold_beir(record: Record) -> Record:
    """Returns a BEIR query with the answer and the supporting facts of its ``metadata``."""
    more = record["metadata"]
    more = more if isinstance(more, Mapping) else {}
    return {"_id": record["_id"], "question": record["text"], **more}


_TWO_HOPS = {"type": "compositional", "hops": 2}
LAYOUTS = (
    Layout(
        "search_r1",
        "id",
        answer="golden_answers",
        also=("prompt", "reward_model"),
        unfold=_unfold_search_r1,
    ),
    Layout("common", "id", answer="golden_answers"),
    Layout("musique", "id", also=("id", "answer_aliases", "question_decomposition")),
    Layout("2wiki", "_id", also=("_id", "supporting_facts", "evidences")),
    Layout("hotpotqa", "_id", also=("_id", "supporting_facts")),
    Layout("supporting_facts", "id", also=("id", "supporting_facts")),
    Layout("r1_searcher", "idx", also=("idx",)),
    Layout("bamboogle", "idx", question="Question", answer="Answer", metadata=_TWO_HOPS),
    Layout("beir", "_id", also=("_id", "text", "metadata"), unfold=_unfold_beir),
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


def unfolded(record: Record, layout: Layout) -> Record:
    """Returns the fields of a record, those of its ``metadata`` among them.

    Where both have a field, the record's own wins. A record in the form of ``write_questions``
    (with ``gold`` and ``metadata``) keeps its ``metadata`` apart.

    Raises:
        QuestionError: a field is missing, or ``metadata`` is no object.
    """
    if missing := layout.missing(record):
        raise QuestionError(f"missing field {missing[0]!r}, which layout {layout.name!r} needs")
    record = layout.unfold(record) if layout.unfold else record
    metadata = decoded(record.get("metadata")) or {}
    if not isinstance(metadata, Mapping):
        raise QuestionError(f"field 'metadata' must be an object, got {metadata!r:.80}")
    if layout.name == "common" and {"gold", "metadata"} <= set(record):
        return {**record, "metadata": metadata}
    return {**metadata, **{key: value for key, value in record.items() if key != "metadata"}}


def parse_question(record: Record, layout: Layout, position: int) -> Question:
    """Returns the question of a record that went through :func:`unfolded`.

    Question and answers are kept to the letter, outer white space included. Numbers as answers
    become their decimal form, ``true`` and ``false`` become "yes" and "no", as the suites write
    them. Blank and repeated aliases are left out.

    All other fields become ``metadata``, except the passages beside the question. Some get one form
    over all layouts, each where the file says it: ``type``, ``hops``, ``supporting_facts`` (lists
    of title and number of the sentence), ``decomposition`` (see
    :func:`searchenv.questions.fields.steps_of`).

    Raises:
        QuestionError: a field has no usable value.
    """
    text = record.get(layout.question)
    if not isinstance(text, str) or not text.strip():
        raise QuestionError(
            f"field {layout.question!r} must be a non-blank string, got {text!r:.80}"
        )
    identifier = record.get(layout.id, position)
    if not isinstance(identifier, str | int):
        raise QuestionError(f"field {layout.id!r} must be a string or a number, got {identifier!r}")
    # MuSiQue-Full has most questions twice under one id, the second time without some passages.
    twin = UNANSWERABLE if record.get("answerable") is False else ""
    own = record.get("metadata")
    return Question(
        id=f"{identifier}{twin}",
        text=text,
        answers=_answers(record, layout),
        images=tuple(strings(record.get("images") or (), "images")),
        gold=_gold(record),
        metadata=own if isinstance(own, Mapping) else _metadata(record, layout),
    )


def _answers(record: Record, layout: Layout) -> tuple[str, ...]:
    value = record.get(layout.answer)
    values = value if isinstance(value, list) else [value]
    aliases = decoded(record.get("answer_aliases") or [])
    if not isinstance(aliases, list | tuple):
        raise QuestionError(f"field 'answer_aliases' must be a list, got {aliases!r:.80}")
    texts = [_answer_text(value, layout.answer) for value in (*values, *aliases)]
    answers = tuple(dict.fromkeys(text for text in texts if text.strip()))
    if not answers:
        raise QuestionError(f"field {layout.answer!r} must hold an answer, got {value!r:.80}")
    return answers


def _answer_text(value: object, field: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    raise QuestionError(f"field {field!r} must hold strings or numbers, got {value!r:.80}")


def _metadata(record: Record, layout: Layout) -> dict[str, object]:
    used = {layout.id, layout.question, layout.answer} | _READ | _BULKY | _STEPS
    rest = {key: value for key, value in record.items() if key not in used}
    facts, steps = supporting_facts_of(record), steps_of(record)
    rest.pop("supporting_facts", None)
    if any(number is not None for _, number in facts):
        rest["supporting_facts"] = [list(fact) for fact in facts]
    if steps:
        rest["decomposition"] = steps
    told = dict(layout.metadata)
    if hops := len(steps) or len({title for title, _ in facts}):
        told["hops"] = hops
    if shape := _SHAPE.match(str(record.get(layout.id, ""))):
        told |= {"type": shape[1], "hops": int(shape[2])}
    return {**told, **rest}


def _gold(record: Record) -> tuple[Gold, ...]:
    """Returns the supporting passages from the first place that names them."""
    if isinstance(listed := record.get("gold"), list):
        return tuple(_gold_entry(entry) for entry in listed)
    return tuple(Gold(title) for title in dict.fromkeys(_gold_titles(record)))


def _gold_entry(entry: object) -> Gold:
    if isinstance(entry, str):
        return Gold(entry)
    if not isinstance(entry, Mapping):
        raise QuestionError(f"field 'gold' must hold titles or {{title, ids}}, got {entry!r:.80}")
    title = entry.get("title", "")
    if not isinstance(title, str):
        raise QuestionError(f"a gold title must be a string, got {title!r:.80}")
    return Gold(title, tuple(strings(entry.get("ids") or (), "ids")))


def _gold_titles(record: Record) -> Iterable[str]:
    """Returns the titles of the supporting passages, with repeats."""
    if facts := supporting_facts_of(record):
        return (title for title, _ in facts)
    if record.get("paragraphs") is not None:
        return (each.title for each in paragraphs_of(record) if each.supporting)
    return (str(step["title"]) for step in steps_of(record) if "title" in step)
