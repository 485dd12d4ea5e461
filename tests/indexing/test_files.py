import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from searchenv import json_stream
from searchenv.errors import CorpusError
from searchenv.indexing.files import Record, read_records

OBJECTS = [{"id": "1", "text": "a\u2028b\x85c"}, {"id": "2", "text": 'q"{[\\'}]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "jsonl.gz", "json.gz"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_json_lines_are_cut_at_lf_only(tmp_path: Path, ending: str, bom: bytes) -> None:
    lines = "\r\n".join(json.dumps(o, ensure_ascii=False) for o in OBJECTS).encode()
    path = write(tmp_path / f"corpus.{ending}", bom + lines + b"\n\n")
    assert list(read_records(path)) == [Record(1, OBJECTS[0]), Record(2, OBJECTS[1])]


@pytest.mark.parametrize("ending", ["json", "json.gz", "jsonl"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_json_list_is_read_in_windows(
    tmp_path: Path, ending: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", chunk)
    data = b"\xef\xbb\xbf \n" + json.dumps(OBJECTS, indent=1, ensure_ascii=False).encode()
    records = list(read_records(write(tmp_path / f"corpus.{ending}", data)))
    assert [record.fields for record in records] == OBJECTS
    assert [record.line for record in records] == [3, 7]


def test_json_list_empty(tmp_path: Path) -> None:
    assert list(read_records(write(tmp_path / "a.json", b" [ ] "))) == []
    assert list(read_records(write(tmp_path / "b.json", b""))) == []


def test_json_list_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'[\n{"id": "1"},\n{"id": ')
    with pytest.raises(CorpusError, match=r"a.json, line 3: the JSON is broken here"):
        list(read_records(path))


def test_json_list_broken_in_the_middle_is_found_with_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(json_stream, "_MAX_ELEMENT_CHARS", 1000)
    path = write(tmp_path / "a.json", b'[{"id": "1"}, {"id": nonsense}' + b" " * 1_000_000)
    with pytest.raises(CorpusError, match="line 1: the JSON is broken here"):
        list(read_records(path))


def test_json_list_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'[{"id": "\xff"}]')
    with pytest.raises(CorpusError, match=r"a.json, line 1: not UTF-8"):
        list(read_records(path))


def test_json_object_of_titles(tmp_path: Path) -> None:
    data = b'{"Faust": ["A play. ", " By Goethe."],\n"text \\"x\\"": [],\n"Bad": "text"}'
    for name in ("a.json", "a.json.gz"):
        assert list(read_records(write(tmp_path / name, data))) == [
            Record(1, {"title": "Faust", "text": "A play. By Goethe."}),
            Record(2, {"title": 'text "x"', "text": ""}),
            Record(3, {}, "expected the sentences of 'Bad', got 'text'"),
        ]
    lines = write(tmp_path / "lines.json", b'{"text": ["A play."], "title": "Faust"}\n')
    assert list(read_records(lines)) == [Record(1, {"text": ["A play."], "title": "Faust"})]


def test_json_problems_are_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"id": "1"}\n{"id": \n[1]\n"\xff"\n{"id": "5"}\n')
    records = list(read_records(path))
    assert [(r.line, r.problem.split(":")[0]) for r in records] == [
        (1, ""),
        (2, "no valid JSON"),
        (3, "expected an object, got list"),
        (4, "no valid JSON"),
        (5, ""),
    ]


def test_tsv_with_and_without_a_header(tmp_path: Path) -> None:
    dpr = write(tmp_path / "dpr.tsv", b'id\ttext\ttitle\n1\t"He said ""no""."\tFaust\n')
    assert list(read_records(dpr)) == [
        Record(2, {"id": "1", "text": 'He said "no".', "title": "Faust"})
    ]
    plain = write(tmp_path / "plain.tsv", b"1\tOne text\r\n2\tText\tTitle\n\n")
    assert list(read_records(plain)) == [
        Record(1, {"id": "1", "text": "One text"}),
        Record(2, {"id": "2", "text": "Text", "title": "Title"}),
    ]


def test_tsv_title_and_text_in_one_column(tmp_path: Path) -> None:
    data = '\ufeff0\t"Title: Faust Text:  A ""play""."\n1\tFaust   Goethe wrote it.\n'.encode()
    records = list(read_records(write(tmp_path / "kilt.tsv.gz", data)))
    assert [record.fields for record in records] == [
        {"id": "0", "title": "Faust", "text": 'A "play".'},
        {"id": "1", "title": "Faust", "text": "Goethe wrote it."},
    ]


def test_tsv_problems_are_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", b"1\ta\nlonely\n2\ta\tb\tc\n3\t\xff\n")
    assert [(r.line, r.problem[:19]) for r in read_records(path)] == [
        (1, ""),
        (2, "expected 3 columns "),
        (3, "expected 3 columns "),
        (4, "not UTF-8: 'utf-8' "),
    ]


def test_parquet_rows(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(OBJECTS), tmp_path / "a.parquet")
    assert list(read_records(tmp_path / "a.parquet")) == [
        Record(1, OBJECTS[0]),
        Record(2, OBJECTS[1]),
    ]


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus file at"):
        list(read_records(tmp_path / "missing.jsonl"))
    with pytest.raises(CorpusError, match=r"a.txt: expected a file ending in .jsonl"):
        list(read_records(write(tmp_path / "a.txt", b"")))
    with pytest.raises(CorpusError, match="is no readable parquet file"):
        list(read_records(write(tmp_path / "a.parquet", b"nonsense")))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"id": "1"}\n' * 9)[:-9])
    with pytest.raises(CorpusError, match=r"cut.jsonl.gz cannot be read to its end"):
        list(read_records(tmp_path / "cut.jsonl.gz"))
    (tmp_path / "no.jsonl.gz").write_bytes(b'{"id": "1"}\n')
    with pytest.raises(CorpusError, match=r"no.jsonl.gz cannot be read to its end"):
        list(read_records(tmp_path / "no.jsonl.gz"))
