import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from searchenv.errors import CorpusError
from searchenv.indexing import Corpus
from searchenv.types import Passage


def write(path: Path, *records: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(
    ("record", "passage"),
    [
        (
            {"id": "7", "contents": "Faust\nA play.\nTwo parts."},
            ("7", "Faust", "A play.\nTwo parts."),
        ),
        ({"id": 7, "contents": '"Faust"\nA play.'}, ("7", "Faust", "A play.")),
        ({"id": "7", "contents": "A play."}, ("7", "", "A play.")),
        ({"id": "7", "title": "Faust", "contents": "A play."}, ("7", "Faust", "A play.")),
        ({"_id": "7", "title": "Faust", "text": "A play.", "n": 1}, ("7", "Faust", "A play.")),
        ({"_id": "7", "title": None, "text": "A play."}, ("7", "", "A play.")),
        ({"_id": "7", "title": "Faust", "text": ""}, ("7", "Faust", "")),
        ({"title": "Faust", "text": "A play."}, ("00000000", "Faust", "A play.")),
        (
            {"wikipedia_title": "Faust", "text": ["Faust\n", "A play.\n"]},
            ("00000000", "Faust", "Faust\nA play."),
        ),
        (
            {
                "_id": "7",
                "wikipedia_id": "7",
                "wikipedia_title": "Faust",
                "text": ["Faust\n", "Section::::Plot.\n", "A play.\n"],
                "anchors": [],
            },
            ("7", "Faust", "Faust\nSection::::Plot.\nA play."),
        ),
        ({"wikipedia_id": 7, "wikipedia_title": "Faust", "text": []}, ("7", "Faust", "")),
        ({"id": "7", "text": "a\0b \ud800 😀 \ud83d\ude00"}, ("7", "", "a b \ufffd 😀 😀")),
    ],
)
def test_layouts(tmp_path: Path, record: Mapping[str, object], passage: Passage) -> None:
    assert list(Corpus(write(tmp_path / "a.jsonl", record))) == [Passage(*passage)]


def test_ids_by_place_count_over_all_files(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", {"text": "one"}, {"text": "two"})
    second = write(tmp_path / "b.jsonl", {"text": "three"})
    assert [passage.id for passage in Corpus([first, second])] == [
        "00000000",
        "00000001",
        "00000002",
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": "", "text": "a"}, "the id is empty"),
        ({"id": None, "text": "a"}, "the id must be a string or an integer, got None"),
        ({"id": True, "text": "a"}, "the id must be a string or an integer, got True"),
        ({"id": "a\0", "text": "a"}, "the id .* holds a control character or a lone surrogate"),
        ({"id": "\udfff", "text": "a"}, "the id .* holds a control character or a lone surrogate"),
        ({"id": "1", "text": 3}, "'text' must be a string, got int"),
        ({"id": "1", "title": {}, "text": "a"}, "'title' must be a string, got dict"),
        ({"id": "1", "title": " ", "text": "\x01\n"}, "neither title nor text"),
        (
            {"id": "1", "body": "a"},
            r"neither 'text' nor 'contents' among the fields \['body', 'id'\]",
        ),
        ({"id": "ok", "text": "a"}, "the id 'ok' was there before"),
    ],
)
def test_broken_records_name_file_line_and_reason(
    tmp_path: Path, record: Mapping[str, object], expected: str
) -> None:
    path = write(tmp_path / "a.jsonl", {"id": "ok", "text": "a"}, record)
    with pytest.raises(CorpusError, match=f"a.jsonl, line 2: {expected}"):
        list(Corpus(path))
    skipping = Corpus(path, skip_broken=True)
    assert list(skipping) == [Passage("ok", "", "a")]
    assert skipping.num_skipped == len(skipping.problems) == 1


def test_broken_records_the_first_five_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *[{"id": "1", "text": "a"}] * 9)
    with pytest.raises(CorpusError, match="skip_broken=True") as caught:
        list(Corpus(path))
    assert [f"line {n}:" in str(caught.value) for n in range(1, 9)] == [
        False,
        *[True] * 5,
        False,
        False,
    ]
    skipping = Corpus(path, skip_broken=True)
    assert len(list(skipping)) == 1
    assert (skipping.num_skipped, len(skipping.problems)) == (8, 5)


def test_passages_are_checked_too() -> None:
    with pytest.raises(CorpusError, match="passage 2: the id '1' was there before"):
        list(Corpus([Passage("1", "", "a"), Passage("1", "", "b")]))


def test_sha256_is_of_the_passages_and_their_order() -> None:
    def digest(*passages: Passage) -> str:
        corpus = Corpus(passages)
        list(corpus)
        return corpus.sha256

    a, b = Passage("1", "x", "y"), Passage("2", "x", "z")
    assert digest(a, b) == digest(a, b)
    assert len({digest(a, b), digest(b, a), digest(a), digest(Passage("1", "xy", ""))}) == 4


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "count", "first"),
    [
        ("2wikimultihopqa/corpus.json.gz", 6119, ("00000000", "Teutberga")),
        ("2wikimultihopqa/corpus_all.jsonl.gz", 9616, ("tw-000000", "'Adud al-Dawla")),
        (
            "hotpotqa/beir_corpus_shard_00068.jsonl.gz",
            27654,
            ("54942484", "Gornja Suvaja, Croatia"),
        ),
        ("kilt_samples/filtered_kilt_sample_100.jsonl.gz", 99, ("00000000", "A")),
        ("kilt_samples/train_kilt_full_page_sample_100.tsv.gz", 93, ("0", "A")),
        (
            "kilt_samples/train_np_title_abs_sample_100.tsv.gz",
            100,
            ("0", "Professional Football League of Ukraine"),
        ),
    ],
)
def test_real_corpora_are_read_whole(
    data_dir: Path, file: str, count: int, first: tuple[str, str]
) -> None:
    passages = list(Corpus(data_dir / file))
    assert len(passages) == count
    assert (passages[0].id, passages[0].title) == first
    assert all(passage.title and passage.text for passage in passages[:50])
