"""Long JSON files in windows: the same values as the standard library's, in bounded memory."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchenv import json_stream
from searchenv.json_stream import Element, stream_list, stream_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def elements(content: bytes) -> list[Element]:
    return list(stream_list(io.BytesIO(content)))


@settings(deadline=None)
@given(
    values=st.lists(JSON, max_size=5),
    chunk=st.integers(1, 9),
    indent=st.none() | st.integers(0, 2),
    ascii_only=st.booleans(),
)
def test_list_is_what_json_reads(
    values: list[object], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    data = content.encode(errors="replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", chunk)
        assert [each.value for each in elements(data)] == json.loads(data)


@settings(deadline=None)
@given(members=st.dictionaries(st.text(), JSON, max_size=4), chunk=st.integers(1, 9))
def test_object_is_what_json_reads(members: dict[str, object], chunk: int) -> None:
    data = json.dumps(members).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", chunk)
        found = list(stream_object(io.BytesIO(data)))
    assert {each.key: each.value for each in found} == members
    assert len(found) == len(members)


@settings(deadline=None)
@given(content=st.binary(max_size=40) | st.text('[]{},:"0n.e ', max_size=20).map(str.encode))
def test_what_json_refuses_is_refused(content: bytes) -> None:
    try:
        expected = json.loads(content.decode("utf-8-sig"))
    except ValueError:
        expected = None
    if isinstance(expected, list):
        assert [each.value for each in elements(content)] == expected
    else:
        with pytest.raises(ValueError, match=r"line \d+: "):
            elements(content)


def test_elements_know_their_lines() -> None:
    assert elements(b'\xef\xbb\xbf\n[\n 1, {"a":\n2},\n\n"x"]\n') == [
        Element(3, 1),
        Element(3, {"a": 2}),
        Element(6, "x"),
    ]
    members = stream_object(io.BytesIO(b'{"a": [1],\n"b": 2}'))
    assert list(members) == [Element(1, [1], "a"), Element(2, 2, "b")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"line 1: the JSON is broken here: expected '\[', got the end"),
        (b"[1,\n2", r"line 2: .*: expected '\]', got the end"),
        (b"[1\n2]", r"line 2: .*: expected '\]', got '2\]'"),
        (b"[1,]", "line 1: .*: Expecting value"),
        (b"[1]\n[2]", r"line 2: .*: expected nothing more, got '\[2\]'"),
        (b'["\xff"]', "line 1: not UTF-8"),
        (b'["\xc3', "line 1: not UTF-8"),
        (b"[" * 100_000, "lie too deep in one another"),
    ],
)
def test_broken_list_is_told_with_its_line(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        elements(content)


def test_broken_object_is_told_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"line 2: .*: expected a name in quotes, got 3"):
        list(stream_object(io.BytesIO(b'{"a": 1,\n3: 4}')))
    with pytest.raises(ValueError, match=r"line 1: .*: expected ':', got '}'"):
        list(stream_object(io.BytesIO(b'{"a"}')))


def test_broken_element_is_found_with_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(json_stream, "_MAX_ELEMENT_CHARS", 1000)
    stream = io.BytesIO(b'[{"id": "1"}, {"id": nonsense}' + b" " * 1_000_000)
    with pytest.raises(ValueError, match="line 1: the JSON is broken here"):
        list(stream_list(stream))
    assert stream.tell() < 2000
