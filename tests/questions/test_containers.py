"""The same questions out of every kind of file that they come in."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchenv.errors import QuestionError
from searchenv.questions import question_corpus, read_questions
from searchenv.types import Gold, Question

HOTPOTQA: list[dict[str, object]] = [
    {
        "_id": f"5a0{number}",
        "question": f"Which lake is deeper,\u2028Lake {name} or Vell Tarn?",
        "answer": "Vell Tarn",
        "type": "comparison",
        "level": "hard",
        "supporting_facts": [[f"Lake {name}", 0], ["Vell Tarn", 1]],
        "context": [
            ["Vell Tarn", ["Vell Tarn is a lake.", " It is 90 m deep."]],
            [f"Lake {name}", ["It is 20 m deep."]],
        ],
    }
    for number, name in enumerate(["Orra", "“Issel”"])
]
EXPECTED = tuple(
    Question(
        f"5a0{number}",
        f"Which lake is deeper,\u2028Lake {name} or Vell Tarn?",
        ("Vell Tarn",),
        gold=(Gold(f"Lake {name}"), Gold("Vell Tarn")),
        metadata={
            "type": "comparison",
            "level": "hard",
            "hops": 2,
            "supporting_facts": [[f"Lake {name}", 0], ["Vell Tarn", 1]],
        },
    )
    for number, name in enumerate(["Orra", "“Issel”"])
)
Records = list[dict[str, object]]


def as_list(records: Records) -> bytes:
    return json.dumps(records, ensure_ascii=False).encode()


def as_pretty_list(records: Records) -> bytes:
    return b"\n" + json.dumps(records, indent=4).encode() + b"\n"


def as_lines(records: Records) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records).encode()


def as_cells(records: Records) -> list[list[str]]:
    rows = [[v if isinstance(v, str) else json.dumps(v) for v in r.values()] for r in records]
    return [list(records[0]), *rows]


def as_csv(records: Records) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(as_cells(records))
    return text.getvalue().encode()


def as_tsv(records: Records) -> bytes:
    return "".join("\t".join(cells) + "\n" for cells in as_cells(records)).encode()


def as_parquet(records: Records) -> bytes:
    """Facts and passages as strings of JSON: lists of mixed types have no column type."""
    rows = [
        {k: json.dumps(v) if isinstance(v, list) else v for k, v in each.items()}
        for each in records
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMS: dict[str, Callable[[Records], bytes]] = {
    "list.json": as_list,
    "pretty.json": as_pretty_list,
    "lines.json": as_lines,
    "lines.jsonl": as_lines,
    "list.jsonl": as_list,
    "table.csv": as_csv,
    "table.tsv": as_tsv,
    "table.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("zipped", [False, True])
def test_same_questions_in_every_container(tmp_path: Path, name: str, zipped: bool) -> None:
    content = FORMS[name](HOTPOTQA)
    path = tmp_path / (f"{name}.gz" if zipped else name)
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert read_questions(path) == EXPECTED
    corpus = question_corpus(path)
    assert [(passage.title, passage.text) for passage in corpus.passages] == [
        ("Vell Tarn", "Vell Tarn is a lake. It is 90 m deep."),
        ("Lake Orra", "It is 20 m deep."),
        ("Lake “Issel”", "It is 20 m deep."),
    ]
    assert corpus.unlinked == ()


def test_list_that_breaks_off_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(as_pretty_list(HOTPOTQA)[:-20])
    with pytest.raises(QuestionError, match=r"q\.json, line 35: the JSON is broken here"):
        read_questions(path)


def test_gzipped_parquet_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet.gz"
    path.write_bytes(gzip.compress(as_parquet(HOTPOTQA)[:-20]))
    with pytest.raises(QuestionError, match=r"q\.parquet\.gz is not a whole parquet file"):
        read_questions(path)


LINE = st.binary(max_size=30).filter(
    lambda line: b"\n" not in line and not line.startswith((b"\x1f\x8b", b"PAR1"))
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=LINE, before=st.integers(0, 3))
def test_malformed_line_is_an_error_with_file_and_line(
    tmp_path: Path, broken: bytes, before: int
) -> None:
    good = [b'{"question": "Who?", "answer": "Ida"}'] * before
    path = tmp_path / "q.jsonl"
    path.write_bytes(b"\n".join([*good, broken]))
    content = broken.removeprefix(b"\xef\xbb\xbf") if before == 0 else broken
    if not content.strip() and before:
        assert len(read_questions(path)) == before
        return
    where = rf"q\.jsonl(, line {before + 1}: |, line 1: the JSON| holds no questions)"
    with pytest.raises(QuestionError, match=where):
        read_questions(path)


VALUE = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
FIELD = st.recursive(
    VALUE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["title", "sentences", "sent_id", "is_supporting", "ids", "answer"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
NAMES = (
    *("_id", "id", "idx", "question", "answer", "golden_answers", "metadata", "gold", "images"),
    *("supporting_facts", "evidences", "context", "paragraphs", "question_decomposition"),
    *("answer_aliases", "answerable", "prompt", "reward_model", "extra_info", "text"),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(NAMES), FIELD, max_size=8))
def test_record_is_read_or_refused_with_its_line(tmp_path: Path, fields: dict[str, object]) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"question": "Who?", "answer": "Ida", **fields}))
    problem = ""
    try:
        questions = read_questions(path)
    except QuestionError as error:
        problem = str(error)
    if problem:
        assert problem.startswith(f"{path}, line 1: ")
    else:
        assert [question.text.strip() != "" for question in questions] == [True]
        assert all(answer.strip() for answer in questions[0].answers)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(max_size=60), name=st.sampled_from(["q.csv", "q.tsv"]))
def test_malformed_table_is_an_error_with_its_file(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(errors="replace"))
    with pytest.raises(QuestionError, match=name):
        read_questions(path)
