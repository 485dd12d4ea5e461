"""Other names of 2WikiMultihopQA's answers, from the file ``id_aliases.json`` that comes with it.

Each line is ``{"Q_id", "aliases", "demonyms"}``: names of one Wikidata entity, and of its people.
The official script (Alab-NII/2wikimultihop, ``2wikimultihop_evaluate_v1.1.py``) accepts all of them
for a question whose ``answer_id`` is that entity.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from searchenv.errors import QuestionError
from searchenv.questions.fields import strings
from searchenv.questions.files import read_records
from searchenv.types import Question

__all__ = ["with_aliases"]


def with_aliases(
    questions: Iterable[Question], source: str | os.PathLike[str]
) -> tuple[Question, ...]:
    """Returns the questions with the names in ``source`` of their ``metadata["answer_id"]``.

    They follow the answers that a question has; blank and repeated names are left out.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file is broken, or no question has an ``answer_id``.
    """
    questions = tuple(questions)
    wanted = {question.metadata.get("answer_id") for question in questions} - {None}
    if not wanted:
        raise QuestionError(
            "none of the questions has an answer_id; the aliases belong to 2WikiMultihopQA's "
            "official files"
        )
    names: dict[object, list[str]] = {}
    for where, record in read_records(os.fspath(source)):
        try:
            if _entity(record) in wanted:
                names[record["Q_id"]] = [
                    *strings(record.get("aliases") or [], "aliases"),
                    *strings(record.get("demonyms") or [], "demonyms"),
                ]
        except QuestionError as error:
            raise QuestionError(f"{source}, {where}: {error}") from None
    return tuple(_named(question, names) for question in questions)


def _entity(record: Mapping[str, object]) -> str:
    entity = record.get("Q_id")
    if not isinstance(entity, str):
        raise QuestionError(f"field 'Q_id' must be a string, got {entity!r:.80}")
    return entity


def _named(question: Question, names: Mapping[object, list[str]]) -> Question:
    more = names.get(question.metadata.get("answer_id"), [])
    answers = dict.fromkeys((*question.answers, *(name for name in more if name.strip())))
    return replace(question, answers=tuple(answers))
