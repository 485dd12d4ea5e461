"""The values of question files that each suite writes in its own way, in one form.

- supporting facts: ``[[title, sentence], ...]`` (official files), ``{"title": [...], "sent_id":
  [...]}`` and ``[{"title", "sent_id"}, ...]`` (Hugging Face copies) or ``[title, ...]`` (the
  1,000-question subsets of HippoRAG);
- passages: ``[[title, [sentence, ...]], ...]``, ``{"title": [...], "sentences": [...]}``,
  ``[{"title", "content"}, ...]``, or MuSiQue's ``[{"title", "paragraph_text", "is_supporting"},
  ...]``;
- steps: MuSiQue's ``question_decomposition``, or ``Q1, A1, Q2, A2`` beside Bamboogle.

Each of these may also be a string that holds the JSON of it, as in some parquet files.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from searchenv.errors import QuestionError

__all__ = ["Paragraph", "decoded", "paragraphs_of", "steps_of", "strings", "supporting_facts_of"]

Record = Mapping[str, object]

_TEXTS = ("sentences", "content", "paragraph_text", "text")
"""Where the text of a paragraph stands."""


class Paragraph(NamedTuple):
    """A passage that stands beside a question in its file."""

    title: str
    text: str
    supporting: bool | None
    """Whether the answer needs it; None where the file does not mark paragraphs."""


def decoded(value: object) -> object:
    """Returns ``value``, or what it holds if it is a string of JSON."""
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


def strings(values: object, field: str) -> list[str]:
    """Returns the strings of a list; QuestionError where it is no list or holds other things."""
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
        raise QuestionError(f"field {field!r} must hold strings, got {values!r:.80}")
    return list(values)


def supporting_facts_of(record: Record) -> list[tuple[str, int | None]]:
    """Returns titles with the numbers of their sentences, from 0; None where only titles stand."""
    facts = decoded(record.get("supporting_facts"))
    if facts is None:
        return []
    if isinstance(facts, Mapping):
        titles = _listed(facts.get("title"), "supporting_facts")
        numbers = facts.get("sent_id")
        paired = numbers if isinstance(numbers, list) and len(numbers) == len(titles) else None
        facts = list(zip(titles, paired or [None] * len(titles), strict=True))
    return [_fact(fact) for fact in _listed(facts, "supporting_facts")]


def _fact(fact: object) -> tuple[str, int | None]:
    if isinstance(fact, Mapping):
        fact = (fact.get("title"), fact.get("sent_id"))
    title, number = (*fact, None)[:2] if isinstance(fact, list | tuple) and fact else (fact, None)
    (title,) = strings([title], "supporting_facts")
    return title, number if isinstance(number, int) else None


def steps_of(record: Record) -> list[dict[str, object]]:
    """Returns the single-hop questions of a question: ``question``, ``answers``, maybe ``title``.

    ``title`` is that of the passage which answers the step, where the file says it.
    """
    if record.get("question_decomposition") is not None:
        titles = {each.get("idx"): each.get("title") for each in _objects(record.get("paragraphs"))}
        return [_step(each, titles) for each in _objects(record["question_decomposition"])]
    numbers = [n for n in range(1, 10) if f"Q{n}" in record and f"A{n}" in record]
    return [{"question": record[f"Q{n}"], "answers": _several(record[f"A{n}"])} for n in numbers]


def _step(step: Record, titles: Mapping[object, object]) -> dict[str, object]:
    answer = step.get("answer")
    title = titles.get(step.get("paragraph_support_idx"))
    if title is None and isinstance(document := step.get("document_id"), str):
        title = document.rpartition("_")[0]
    found = {"question": step.get("question"), "answers": _several(answer)}
    return found if title is None else {**found, "title": title}


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def paragraphs_of(record: Record) -> Iterator[Paragraph]:
    """Yields the passages beside a question, in their order.

    Sentences are stripped and joined by one space; some files write the space into the sentence and
    some do not.

    Raises:
        QuestionError: a passage has none of the forms above.
    """
    if record.get("paragraphs") is not None:  # parquet gives every row the columns of all rows
        yield from (_paragraph(each) for each in _objects(record["paragraphs"]))
        return
    context = decoded(record.get("context"))
    if isinstance(context, Mapping):
        titles = _listed(context.get("title"), "context")
        bodies = _listed(context.get("sentences", context.get("content")), "context")
        if len(titles) != len(bodies):
            raise QuestionError(
                f"field 'context' has {len(titles)} titles and {len(bodies)} texts, not as many"
            )
        context = list(zip(titles, bodies, strict=True))
    for each in _listed(context or [], "context"):
        if isinstance(each, Mapping):
            yield _paragraph(each)
        elif isinstance(each, list | tuple) and len(each) == 2:
            yield _paragraph({"title": each[0], "sentences": each[1]})
        else:
            raise QuestionError(f"field 'context' must hold titles with texts, got {each!r:.80}")


def _paragraph(fields: Record) -> Paragraph:
    body = next((fields[name] for name in _TEXTS if name in fields), None)
    sentences = [body] if isinstance(body, str) else body
    title, *texts = strings([fields.get("title"), *_listed(sentences, "context")], "context")
    marked = fields.get("is_supporting")
    text = " ".join(filter(None, (text.strip() for text in texts)))
    return Paragraph(title, text, None if marked is None else bool(marked))


def _listed(value: object, field: str) -> list[object]:
    if not isinstance(value, list | tuple):
        raise QuestionError(f"field {field!r} must be a list, got {value!r:.80}")
    return list(value)


def _objects(value: object) -> Iterator[Record]:
    value = decoded(value)
    for each in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(each, Mapping):
            raise QuestionError(f"expected a list of objects, got {each!r:.80}")
        yield each
