import json
from pathlib import Path

import pytest

from searchenv.errors import QuestionError
from searchenv.questions import read_questions, with_aliases
from searchenv.types import Question

FILES = Path(__file__).parent / "files"


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_aliases_and_demonyms_follow_the_answers(tmp_path: Path) -> None:
    names = write(
        tmp_path / "id_aliases.json",
        {"Q_id": "Q2", "aliases": ["Jon"], "demonyms": []},
        {"Q_id": "Q3", "aliases": ["M. Dorn", "Mira Dorn", " "], "demonyms": ["Dornish"]},
    )
    (question,) = with_aliases(read_questions(FILES / "2wiki.jsonl"), names)
    assert question.answers == ("Mira Dorn", "M. Dorn", "Dornish")


def test_aliases_leave_other_questions_alone(tmp_path: Path) -> None:
    questions = (
        Question("1", "Who?", ("Ida",), metadata={"answer_id": "Q1"}),
        Question("2", "Is it?", ("yes",), metadata={"answer_id": None}),
    )
    names = write(tmp_path / "a.json", {"Q_id": "Q9", "aliases": ["x"], "demonyms": []})
    assert with_aliases(questions, names) == questions


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"aliases": []}, r"a\.json, line 1: field 'Q_id' must be a string, got None"),
        ({"Q_id": "Q1", "aliases": "I."}, r"line 1: field 'aliases' must hold strings, got 'I.'"),
        ({"Q_id": "Q1", "demonyms": [3]}, r"line 1: field 'demonyms' must hold strings, got \[3\]"),
    ],
)
def test_aliases_of_a_broken_file(tmp_path: Path, record: object, message: str) -> None:
    question = Question("1", "Who?", ("Ida",), metadata={"answer_id": "Q1"})
    with pytest.raises(QuestionError, match=message):
        with_aliases([question], write(tmp_path / "a.json", record))


def test_aliases_need_answer_ids(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="none of the questions has an answer_id"):
        with_aliases([Question("1", "Who?", ("Ida",))], tmp_path / "a.json")
