import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchenv.errors import QuestionError
from searchenv.questions import read_questions, write_questions
from searchenv.types import Gold, Question


def _write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_read_keeps_the_split_in_metadata(tmp_path: Path) -> None:
    path = _write(tmp_path / "q.jsonl", {"question": "Who?", "answer": "Ida", "split": "old"})
    assert read_questions(path, split="dev")[0].metadata == {"split": "dev"}
    assert read_questions(path)[0].metadata == {"split": "old"}


def test_read_gzip_list_bom_and_blank_lines(tmp_path: Path) -> None:
    record = {"question": "Who?", "answer": "Ida"}
    expected = (Question("1", "Who?", ("Ida",)),)
    (tmp_path / "a.bin").write_bytes(gzip.compress(json.dumps([record], indent=2).encode()))
    (tmp_path / "b.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(record).encode())
    (tmp_path / "c.jsonl").write_bytes(b"\n  \r\n" + json.dumps(record).encode() + b"\r\n\n")
    for name in ("a.bin", "b.jsonl", "c.jsonl"):
        assert read_questions(tmp_path / name) == expected


def test_read_splits_lines_at_lf_only(tmp_path: Path) -> None:
    text = "Who\u2028wrote\u0085it\x0b?"
    line = json.dumps({"question": text, "answer": "Ida"}, ensure_ascii=False)
    (tmp_path / "q.jsonl").write_text(line + "\n", encoding="utf-8")
    assert [question.text for question in read_questions(tmp_path / "q.jsonl")] == [text]


def test_read_parquet(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "Who?", "golden_answers": ["Ida"], "metadata": {"type": "bridge"}},
        {"id": "b", "question": "Where?", "golden_answers": ["Vell", "V."], "metadata": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    assert read_questions(tmp_path / "q.parquet") == (
        Question("a", "Who?", ("Ida",), metadata={"type": "bridge"}),
        Question("b", "Where?", ("Vell", "V.")),
    )


def test_read_cut_parquet(tmp_path: Path) -> None:
    (tmp_path / "q.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(QuestionError, match=r"q\.parquet is not a whole parquet file"):
        read_questions(tmp_path / "q.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"q\.jsonl holds no questions"),
        ("{broken\n", r"q\.jsonl, line 1: not JSON in UTF-8 .*one object a line, or one list"),
        ('{"question": "Who?", "answer": "Ida"}\n\n3\n', "line 3: expected a JSON object, got 3"),
        ("[1]", "record 1: expected a JSON object, got 1"),
        (
            '{"question": "Who?", "answer": "Ida"}\n{"question": "Who?"}\n',
            "line 2: missing field 'answer', which layout 'plain' needs",
        ),
        (
            '{"_id": "x", "question": "Who?", "supporting_facts": []}',
            r"line 1: no known layout fits the fields _id, question, supporting_facts; "
            r"hotpotqa lacks answer\. Known layouts: search_r1 \(prompt, reward_model\); common",
        ),
        ('{"question": " ", "answer": "Ida"}', "'question' must be a non-blank string, got ' '"),
        ('{"question": "Who?", "answer": " "}', "'answer' must hold an answer, got ' '"),
        ('{"question": "Who?", "golden_answers": []}', r"must hold an answer, got \[\]"),
        ('{"question": "Who?", "answer": null}', "must hold strings or numbers, got None"),
        ('{"question": "Who?", "answer": "I", "answer_aliases": "I"}', "must be a list, got 'I'"),
        ('{"id": [], "question": "Who?", "answer": "I"}', r"'id' must be a string or a number"),
        ('{"question": "Who?", "answer": "I", "metadata": 3}', "'metadata' must be an object"),
        ('{"question": "Who?", "answer": "I", "gold": [3]}', r"'gold' must hold titles or \{title"),
        ('{"question": "Who?", "answer": "I", "gold": [{"title": 3}]}', "gold title must be a str"),
        ('{"question": "Who?", "answer": "I", "supporting_facts": 3}', "must be a list, got 3"),
        ('{"question": "Who?", "answer": "I", "supporting_facts": [3]}', "must hold strings"),
        ('{"question": "Who?", "answer": "I", "paragraphs": [3]}', "a list of objects, got 3"),
    ],
)
def test_read_broken_file(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "q.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(QuestionError, match=message):
        read_questions(tmp_path / "q.jsonl")


def test_read_duplicate_id_names_both_lines(tmp_path: Path) -> None:
    record = {"id": "x", "question": "Who?", "answer": "Ida"}
    path = _write(tmp_path / "q.jsonl", record, {**record, "id": "y"}, record)
    with pytest.raises(QuestionError, match=r"line 3: id 'x' is already that of line 1"):
        read_questions(path)


def test_read_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(b'{"question": "Caf\xe9?", "answer": "Ida"}')
    with pytest.raises(QuestionError, match="line 1: not JSON in UTF-8"):
        read_questions(tmp_path / "q.jsonl")


def test_read_cut_gzip(tmp_path: Path) -> None:
    content = gzip.compress(b'{"question": "Who?", "answer": "Ida"}\n' * 50)
    (tmp_path / "q.gz").write_bytes(content[:-9])
    with pytest.raises(QuestionError, match="not a whole gzip file"):
        read_questions(tmp_path / "q.gz")


def test_read_format_given(tmp_path: Path) -> None:
    path = _write(tmp_path / "q.jsonl", {"idx": 3, "question": "Who?", "answer": "Ida"})
    assert read_questions(path)[0].id == "3"
    (question,) = read_questions(path, format="plain")
    assert question == Question("1", "Who?", ("Ida",), metadata={"idx": 3})
    with pytest.raises(QuestionError, match="line 1: missing field 'id', which layout 'musique'"):
        read_questions(path, format="musique")
    with pytest.raises(QuestionError, match=r"format 'hotpot'. Did you mean 'hotpotqa'\?"):
        read_questions(path, format="hotpot")


def test_read_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        read_questions(tmp_path / "none.jsonl")


TEXT = st.text(min_size=1).filter(lambda text: bool(text.strip()))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
QUESTION = st.builds(
    Question,
    id=st.text(),
    text=TEXT,
    answers=st.lists(TEXT, min_size=1, max_size=3, unique=True).map(tuple),
    images=st.lists(st.text(), max_size=2).map(tuple),
    gold=st.lists(
        st.builds(Gold, st.text(), st.lists(st.text(), max_size=2).map(tuple)), max_size=3
    ).map(tuple),
    metadata=st.dictionaries(
        st.text() | st.sampled_from(["gold", "supporting_facts", "context", "id"]), JSON, max_size=4
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    questions=st.lists(QUESTION, min_size=1, max_size=4, unique_by=lambda question: question.id),
    name=st.sampled_from(["q.jsonl", "q.jsonl.gz"]),
)
def test_write_and_read_round_trip(tmp_path: Path, questions: list[Question], name: str) -> None:
    write_questions(tmp_path / name, questions)
    assert read_questions(tmp_path / name) == tuple(questions)
    assert read_questions(tmp_path / name, format="common") == tuple(questions)


def test_write_is_the_common_layout(tmp_path: Path) -> None:
    question = Question("1", "Wer war Ümit?", ("Ida",), gold=(Gold("Vell", ("d1",)),))
    write_questions(tmp_path / "q.jsonl", [question])
    assert (tmp_path / "q.jsonl").read_text(encoding="utf-8") == (
        '{"id": "1", "question": "Wer war Ümit?", "golden_answers": ["Ida"], "metadata": {}, '
        '"gold": [{"title": "Vell", "ids": ["d1"]}]}\n'
    )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question("1", "Who?", ("Ida",), metadata={"seen": {1}}), "set is not JSON serializable"),
        (Question("1", "Who?", ("Ida",), metadata={"p": float("nan")}), "not JSON compliant"),
        (Question("1", "Who \ud800?", ("Ida",)), "surrogates not allowed"),
    ],
)
def test_write_refuses_and_leaves_no_file(tmp_path: Path, question: Question, message: str) -> None:
    write_questions(tmp_path / "q.jsonl", [Question("0", "Old?", ("yes",))])
    with pytest.raises(QuestionError, match=f"question '1' cannot be written: .*{message}"):
        write_questions(tmp_path / "q.jsonl", [question])
    assert [path.name for path in tmp_path.iterdir()] == ["q.jsonl"]
    assert read_questions(tmp_path / "q.jsonl") == (Question("0", "Old?", ("yes",)),)


def test_write_gzip_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_questions(tmp_path / name, [Question("1", "Who?", ("Ida",))])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "questions", "gold"),
    [
        ("2wikimultihopqa/dev_1000.jsonl.gz", 500, 1246),
        ("2wikimultihopqa/dev_4000_no_context.jsonl.gz", 2002, 4858),
        ("2wikimultihopqa/dev_official_format.jsonl.gz", 59, 148),
        ("2wikimultihopqa/r1_searcher_500.jsonl", 257, 0),
        ("bamboogle/questions.jsonl", 63, 0),
        ("bamboogle/questions_with_subquestions.jsonl", 63, 0),
        ("hotpotqa/dev_distractor.jsonl.gz", 550, 1100),
        ("hotpotqa/dev_official_format.jsonl.gz", 158, 316),
        ("musique/dev.jsonl.gz", 170, 415),
        ("musique/dev_2417_no_paragraphs.jsonl.gz", 1208, 3129),
        ("training_questions/r1_searcher_stage_1.jsonl.gz", 350, 0),
    ],
)
def test_read_real_file(
    data_dir: Path, tmp_path: Path, name: str, questions: int, gold: int
) -> None:
    found = read_questions(data_dir / name)
    assert len(found) == questions
    assert sum(len(question.gold) for question in found) == gold
    assert all(question.answers for question in found)
    write_questions(tmp_path / "q.jsonl.gz", found)
    assert read_questions(tmp_path / "q.jsonl.gz") == found
