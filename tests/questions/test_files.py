"""Question files that are no JSON: csv, tsv, data sets by name."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from searchenv.errors import MissingDependencyError, QuestionError
from searchenv.questions import read_questions
from searchenv.types import Gold, Question

BAMBOOGLE = {"type": "compositional", "hops": 2}


def test_read_bamboogle_csv(tmp_path: Path) -> None:
    content = (
        '\ufeffQuestion,Answer\r\n"Who built ""Tarn"", and\nVell?",Ida Ros\r\n\r\nWhen?,1931\r\n'
    )
    (tmp_path / "b.csv").write_bytes(content.encode())
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content.encode()))
    expected = (
        Question("1", 'Who built "Tarn", and\nVell?', ("Ida Ros",), metadata=BAMBOOGLE),
        Question("2", "When?", ("1931",), metadata=BAMBOOGLE),
    )
    assert read_questions(tmp_path / "b.csv") == expected
    assert read_questions(tmp_path / "b.csv.gz") == expected


def test_read_tsv_with_lists_and_quotes(tmp_path: Path) -> None:
    rows = 'id\tquestion\tgolden_answers\tgold\na\tWho, "he"?\t["Ida", "I."]\t["Tarn"]\n'
    rows += 'b\t"Who is ""Ida""?"\t[Ida]\t\n'
    (tmp_path / "q.tsv").write_text(rows)
    assert read_questions(tmp_path / "q.tsv") == (
        Question("a", 'Who, "he"?', ("Ida", "I."), gold=(Gold("Tarn"),)),
        Question("b", 'Who is "Ida"?', ("[Ida]",)),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", b"question,answer\nWho?,Ida,I.\n", r"line 2: expected 2 columns .*, got 3"),
        ("q.csv", b'question,answer\nWho?,Ida\nWho?,"Ida', r"q\.csv, line 3: not CSV in UTF-8"),
        ("q.csv", b"question,answer\nWho?,Caf\xe9\n", r"q\.csv, line 1: not CSV in UTF-8"),
        ("q.tsv", b"question\tanswer\nWho?\n", r"line 2: expected 2 columns .*, got 1"),
        ("q.tsv", b"question\tanswer\nWho?\tCaf\xe9\n", r"q\.tsv, line 2: not UTF-8"),
        ("q.csv", b"question,answer\n", r"q\.csv holds no questions"),
    ],
)
def test_read_broken_table(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(QuestionError, match=message):
        read_questions(tmp_path / name)


def test_read_data_set_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "films"
    folder.mkdir()
    record = {"id": "a", "question": "Who?", "golden_answers": ["Ida"]}
    (folder / "dev.jsonl").write_text(json.dumps(record) + "\n")
    expected = (Question("a", "Who?", ("Ida",)),)
    assert read_questions(f"hf:{folder}:validation") == expected
    assert read_questions(f"hf:{folder}:default:validation") == expected
    with pytest.raises(QuestionError, match='cannot be loaded: Unknown split "test"'):
        read_questions(f"hf:{folder}:test")


@pytest.mark.parametrize("name", ["hf:films", "hf::dev", "hf:films:", "hf:a:b:c:d"])
def test_read_data_set_with_a_wrong_name(name: str) -> None:
    with pytest.raises(QuestionError, match="expected hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT"):
        read_questions(name)


def test_read_data_set_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "searchenv\[datasets\]"'):
        read_questions("hf:films:dev")
