"""The published corpora, in their own layouts, from the file to a hit; the content is invented."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from searchenv.indexing import Corpus, build_index
from searchenv.retrieval import open_index

FILM = ("Velmara Nights", "Velmara Nights is a 1962 film by Orla Fenwick.")
TOWN = ("Dunmarrow", "Dunmarrow is a town on the river Issel.")


def lines(*records: object) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


CORPORA: dict[str, tuple[str, bytes, tuple[str, str]]] = {
    "wiki18": (
        "wiki-18.jsonl.gz",
        lines(
            {"id": "0", "contents": f'"{FILM[0]}"\n{FILM[1]}'},
            {"id": "1", "contents": f'"{TOWN[0]}"\n{TOWN[1]}'},
        ),
        ("0", "1"),
    ),
    "kilt": (
        "kilt_knowledgesource.json",
        lines(
            *(
                {
                    "_id": number,
                    "wikipedia_id": number,
                    "wikipedia_title": title,
                    "text": [f"{title}\n", f"{text}\n"],
                    "anchors": [],
                    "categories": "",
                }
                for number, (title, text) in (("290", FILM), ("303", TOWN))
            )
        ),
        ("290", "303"),
    ),
    "beir": (
        "corpus.jsonl",
        lines(
            {"_id": "12", "title": FILM[0], "text": FILM[1], "metadata": {"url": ""}},
            {"_id": "25", "title": TOWN[0], "text": TOWN[1], "metadata": {"url": ""}},
        ),
        ("12", "25"),
    ),
    "hipporag": (
        "musique_corpus.json",
        json.dumps(
            [{"title": t, "text": x, "idx": i} for i, (t, x) in enumerate((FILM, TOWN))], indent=2
        ).encode(),
        ("00000000", "00000001"),
    ),
    "hipporag_hotpotqa": (
        "hotpotqa_corpus.json",
        json.dumps({title: [text] for title, text in (FILM, TOWN)}).encode(),
        ("00000000", "00000001"),
    ),
    "dpr": (
        "psgs_w100.tsv.gz",
        b"id\ttext\ttitle\n"
        + "".join(f'{i}\t"{x}"\t{t}\n' for i, (t, x) in enumerate((FILM, TOWN), 1)).encode(),
        ("1", "2"),
    ),
}


@pytest.mark.parametrize("engine", ["bm25s", "lucene"])
@pytest.mark.parametrize("corpus", CORPORA)
def test_published_corpus_is_indexed_and_searched(tmp_path: Path, corpus: str, engine: str) -> None:
    name, content, ids = CORPORA[corpus]
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    build_index(path, tmp_path / "index", engine=engine)
    found = open_index(tmp_path / "index").search(["film by Fenwick", "river town"], k=1)
    assert [hit.passage.id for hits in found for hit in hits] == list(ids)
    assert [hit.passage.title for hits in found for hit in hits] == [FILM[0], TOWN[0]]
    assert FILM[1] in found[0][0].passage.text


def test_long_corpus_is_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first passage comes before the file is read to its end, which is broken."""
    from searchenv import json_stream

    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 64)
    (tmp_path / "a.jsonl").write_bytes(lines({"id": "1", "text": "one"}) + b"{broken\n")
    (tmp_path / "a.json").write_bytes(b'[{"id": "1", "text": "one"},' + b" " * 200 + b"broken")
    for name in ("a.jsonl", "a.json"):
        passages: Iterator[object] = iter(Corpus(tmp_path / name))
        assert next(passages) == ("1", "", "one")
        with pytest.raises(ValueError, match=f"{name}, line"):
            next(passages)
