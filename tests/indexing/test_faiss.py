import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from searchenv import cli
from searchenv.errors import CorpusError, IndexMismatchError, MissingDependencyError, RetrievalError
from searchenv.indexing import (
    Hnsw,
    adopt_faiss,
    build_index,
    build_spec,
    encode_corpus,
    load_spec,
    merge_shards,
    verify_index,
)
from searchenv.indexing.faiss_writer import write_faiss
from searchenv.indexing.vectors import open_shards
from searchenv.retrieval import DenseRetriever, PassageStore, TransformersEncoder, open_index
from searchenv.retrieval.dense import read_faiss, stored_vectors
from searchenv.retrieval.encoders import Vectors
from searchenv.types import Passage

TOWNS = [Passage(f"t{i}", f"Town {i}", f"It has {i * 37 % 1000} people.") for i in range(50)]


class HashEncoder:
    """Vectors from the characters of a text; it keeps what it was given and may fail."""

    name = "hash"
    fingerprint = "hash-1"
    dim = 8

    def __init__(self, fail_after: int | None = None) -> None:
        self.read: list[str] = []
        self._fail_after = fail_after

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_passages([""] * len(texts), texts)

    def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
        if self._fail_after is not None and len(self.read) >= self._fail_after:
            raise RuntimeError("out of memory")
        self.read += texts
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, (title, text) in enumerate(zip(titles, texts, strict=True)):
            for place, char in enumerate(title + text):
                vectors[row, (ord(char) + place) % self.dim] += 1
        return vectors


def small_blocks(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("searchenv.indexing.vectors._BLOCK", size)


def vectors_in(folder: Path) -> Vectors:
    index = read_faiss(folder / "faiss" / "index")
    vectors = stored_vectors(index)
    assert vectors is not None
    return vectors.copy()


def test_build_index_writes_the_format_of_pyserini(tmp_path: Path) -> None:
    manifest = build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder())
    assert (tmp_path / "i" / "faiss" / "docid").read_text() == "".join(f"t{i}\n" for i in range(50))
    expected = HashEncoder().encode_passages([p.title for p in TOWNS], [p.text for p in TOWNS])
    assert (vectors_in(tmp_path / "i") == expected).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".i.lock", "i"]
    said = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert (said["engine"], said["fingerprint"]) == ("faiss", manifest.fingerprint)
    assert said["dense"] == {
        "encoder": "hash",
        "encoder_fingerprint": "hash-1",
        "settings": None,
        "dim": 8,
        "kind": "flat",
        "metric": "ip",
        "parameters": {},
    }
    assert "k1" not in said


def test_write_faiss_flat_is_what_faiss_writes(tmp_path: Path) -> None:
    import faiss

    vectors = np.random.default_rng(0).standard_normal((10_000, 24)).astype(np.float32)
    parts = [vectors[:1], vectors[1:9_500], vectors[9_500:]]
    write_faiss(parts, tmp_path / "f", dim=24, faiss_type="flat", hnsw=Hnsw())
    index = faiss.IndexFlatIP(24)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "theirs"))
    assert (tmp_path / "f" / "index").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_hnsw_parameters_reach_the_index(tmp_path: Path) -> None:
    hnsw = Hnsw(m=7, ef_construction=33, ef_search=21)
    options = {"engine": "faiss", "encoder": HashEncoder(), "faiss_type": "hnsw"}
    manifest = build_index(TOWNS, tmp_path / "i", hnsw=hnsw, **options)  # type: ignore[arg-type]
    assert manifest.dense is not None
    assert manifest.dense.parameters == {"m": 7, "ef_construction": 33, "ef_search": 21}
    index = read_faiss(tmp_path / "i" / "faiss" / "index")
    assert (index.hnsw.efConstruction, index.hnsw.efSearch) == (33, 21)
    assert index.hnsw.nb_neighbors(1) == 7
    flat = build_index(TOWNS, tmp_path / "flat", engine="faiss", encoder=HashEncoder())
    assert flat.fingerprint != manifest.fingerprint


def test_build_index_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 10)
    with pytest.raises(RuntimeError, match="out of memory"):
        build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder(fail_after=30))
    assert not (tmp_path / "i").exists()
    encoder = HashEncoder()
    build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=encoder)
    assert encoder.read == [p.text for p in TOWNS[30:]]
    assert verify_index(tmp_path / "i", encoder=encoder).ok
    assert sorted(p.name for p in tmp_path.iterdir()) == [".i.lock", "i"]


def test_build_index_of_another_corpus_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 10)
    with pytest.raises(RuntimeError, match="out of memory"):
        build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder(fail_after=30))
    encoder = HashEncoder()
    build_index(TOWNS[1:], tmp_path / "i", engine="faiss", encoder=encoder)
    assert len(encoder.read) == 49


def test_build_index_killed_while_encoding_goes_on(tiny_bert: Path, tmp_path: Path) -> None:
    corpus = [Passage(f"t{i}", "", f"town {i}") for i in range(2000)]
    lines = [json.dumps({"id": p.id, "title": "", "text": p.text}) for p in corpus]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    code = (
        "import sys\nfrom searchenv.indexing import build_index, vectors\nvectors._BLOCK = 50\n"
        "build_index(sys.argv[1], sys.argv[2], engine='faiss', encoder=sys.argv[3])"
    )
    arguments = [str(tmp_path / "corpus.jsonl"), str(tmp_path / "i"), str(tiny_bert)]
    child = subprocess.Popen([sys.executable, "-c", code, *arguments])
    try:
        end = time.monotonic() + 60
        while not any(f.stat().st_size for f in tmp_path.glob(".i.vectors-*/vectors.f32")):
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(0.02)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "i").exists()
    (progress,) = tmp_path.glob(".i.vectors-*/progress.json")
    done = json.loads(progress.read_text())["done"]
    assert 0 < done < 2000
    vectors = progress.with_name("vectors.f32")
    with vectors.open("ab") as file:
        file.write(b"half a row")  # as a kill in the middle of a write leaves it
    kept = vectors.read_bytes()[: done * 64]
    build_index(tmp_path / "corpus.jsonl", tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    assert vectors_in(tmp_path / "i")[:done].tobytes() == kept
    assert verify_index(tmp_path / "i").ok


def test_shards_by_several_calls_give_the_same_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 7)
    whole = build_index(TOWNS, tmp_path / "whole", engine="faiss", encoder=HashEncoder())
    store = PassageStore(tmp_path / "whole" / "passages.arrow")
    shards = [
        encode_corpus(store, HashEncoder(), tmp_path / "v", shard=shard, num_shards=3)
        for shard in (2, 0, 1)
    ]
    merged = merge_shards(shards, store, tmp_path / "merged", encoder=HashEncoder())
    assert merged.fingerprint == whole.fingerprint
    assert (vectors_in(tmp_path / "merged") == vectors_in(tmp_path / "whole")).all()
    part = merge_shards(shards[:1], store, tmp_path / "part", encoder=HashEncoder())
    assert part.num_passages == 17
    (hits,) = open_index(tmp_path / "part", encoder=HashEncoder()).search([TOWNS[40].text], 17)
    assert {hit.passage.id for hit in hits} == {f"t{i}" for i in range(33, 50)}
    assert verify_index(tmp_path / "part", encoder=HashEncoder()).ok


def test_encode_corpus_goes_on_and_refuses_other_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 10)
    build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder())
    build_index(TOWNS[::-1], tmp_path / "r", engine="faiss", encoder=HashEncoder())
    store = PassageStore(tmp_path / "i" / "passages.arrow")
    with pytest.raises(RuntimeError, match="out of memory"):
        encode_corpus(store, HashEncoder(fail_after=20), tmp_path / "v")
    with pytest.raises(IndexMismatchError, match="holds 20 of 50 vectors: run encode_corpus"):
        open_shards([tmp_path / "v" / "shard-00000-of-00001"])
    encoder = HashEncoder()
    folder = encode_corpus(store, encoder, tmp_path / "v")
    assert len(encoder.read) == 30
    encode_corpus(store, encoder, tmp_path / "v")
    assert len(encoder.read) == 30
    other = PassageStore(tmp_path / "r" / "passages.arrow")
    with pytest.raises(IndexMismatchError, match="holds vectors of other passages or of another"):
        encode_corpus(other, encoder, tmp_path / "v")
    with pytest.raises(IndexMismatchError, match="was made of other passages than these"):
        merge_shards([folder], other, tmp_path / "m", encoder=encoder)
    encoder.fingerprint = "hash-2"
    with pytest.raises(IndexMismatchError, match="made by an encoder of fingerprint hash-1"):
        merge_shards([folder], store, tmp_path / "m", encoder=encoder)
    with pytest.raises(IndexMismatchError, match="no shard of vectors in"):
        open_shards([tmp_path])
    first = encode_corpus(store, HashEncoder(), tmp_path / "w", num_shards=3)
    last = encode_corpus(store, HashEncoder(), tmp_path / "w", shard=2, num_shards=3)
    with pytest.raises(IndexMismatchError, match=r"begins with row 33 .*, expected row 16"):
        merge_shards([first, last], store, tmp_path / "m", encoder=HashEncoder())
    with pytest.raises(ValueError, match="shard must be >= 0 and < num_shards, got 3 of 3"):
        encode_corpus(store, encoder, tmp_path / "w", shard=3, num_shards=3)


def test_more_shards_than_passages(tmp_path: Path) -> None:
    build_index(TOWNS[:2], tmp_path / "i", engine="faiss", encoder=HashEncoder())
    store = PassageStore(tmp_path / "i" / "passages.arrow")
    shards = [
        encode_corpus(store, HashEncoder(), tmp_path / "v", shard=shard, num_shards=3)
        for shard in range(3)
    ]
    assert merge_shards(shards, store, tmp_path / "m", encoder=HashEncoder()).num_passages == 2


def test_adopt_faiss_makes_a_whole_index(tiny_bert: Path, tmp_path: Path) -> None:
    import faiss

    # as Search-R1 has it: a FAISS file alone, and "title" + line feed + text as contents
    lines = [json.dumps({"id": p.id, "contents": f'"{p.title}"\n{p.text}'}) for p in TOWNS]
    (tmp_path / "wiki.jsonl").write_text("\n".join(lines))
    encoder = TransformersEncoder(
        tiny_bert, passage_prefix="passage: ", passage_format='"{title}"\n{text}', max_length=60
    )
    index = faiss.index_factory(16, "Flat", faiss.METRIC_INNER_PRODUCT)
    index.add(encoder.encode_passages([p.title for p in TOWNS], [p.text for p in TOWNS]))
    faiss.write_index(index, str(tmp_path / "e5_Flat.index"))

    arguments = (tmp_path / "e5_Flat.index", tmp_path / "wiki.jsonl", tmp_path / "i")
    with pytest.raises(IndexMismatchError, match=r"read again have other vectors .* pooling, pref"):
        adopt_faiss(*arguments, encoder=TransformersEncoder(tiny_bert, pooling="cls"))
    manifest = adopt_faiss(*arguments, encoder=encoder)
    assert manifest.dense is not None
    assert (manifest.dense.kind, manifest.dense.metric) == ("IndexFlatIP", "ip")
    assert (tmp_path / "i" / "faiss" / "index").stat().st_nlink == 2
    assert verify_index(tmp_path / "i").ok
    (hits,) = open_index(tmp_path / "i").search(["people"], 1)
    assert hits[0].passage in TOWNS
    (tmp_path / "wiki.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(IndexMismatchError, match="FAISS holds 50 vectors, expected 49"):
        adopt_faiss(*arguments, encoder=encoder, replace=True)


def test_verify_index_finds_what_is_wrong(tiny_bert: Path, tmp_path: Path) -> None:
    def problems() -> str:
        return "\n".join(verify_index(tmp_path / "i").problems)

    build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    assert problems() == ""
    folder = tmp_path / "i" / "faiss"
    sound = (folder / "docid").read_text()
    (folder / "docid").write_text(sound.replace("t7\n", "t77\n"))
    assert "line 8 of" in problems()
    (folder / "docid").write_text(sound[:-4])
    assert "has another number of ids than 50" in problems()
    (folder / "docid").write_text(sound)
    vectors = vectors_in(tmp_path / "i")
    write_faiss([vectors[::-1]], folder, dim=16, faiss_type="flat", hnsw=Hnsw())
    assert "have other vectors than the stored ones" in problems()
    write_faiss([vectors[:-1]], folder, dim=16, faiss_type="flat", hnsw=Hnsw())
    assert "FAISS holds 49 vectors, expected 50" in problems()
    (folder / "index").write_bytes(b"")
    assert "FAISS cannot read" in problems()


def test_verify_index_asks_for_an_encoder_of_ones_own(tmp_path: Path) -> None:
    build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder())
    (problem,) = verify_index(tmp_path / "i").problems
    assert "of its user's own, 'hash'" in problem


def test_wrong_vectors_of_an_encoder_are_errors(tmp_path: Path) -> None:
    class Short(HashEncoder):
        def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
            return super().encode_passages(titles, texts)[1:]

    class Infinite(HashEncoder):
        def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
            return super().encode_passages(titles, texts) * np.float32(np.inf)

    with pytest.raises(RetrievalError, match=r"of shape \(49, 8\), expected \(50, 8\)"):
        build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=Short())
    with np.errstate(all="ignore"), pytest.raises(RetrievalError, match="that is not finite"):
        build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=Infinite())


def test_wrong_options_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='engine "faiss" needs an encoder: '):
        build_index(TOWNS, tmp_path / "i", engine="faiss")
    with pytest.raises(ValueError, match=r"unknown faiss_type 'flatt'\. Did you mean 'flat'"):
        build_index(
            TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder(), faiss_type="flatt"
        )
    with pytest.raises(ValueError, match="expected m >= 2 and"):
        Hnsw(m=1)
    with pytest.raises(CorpusError, match="the corpus holds no passages"):
        build_index([], tmp_path / "i", engine="faiss", encoder=HashEncoder())
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "searchenv\[dense\]"'):
        build_index(TOWNS, tmp_path / "i", engine="faiss", encoder=HashEncoder())


def test_a_spec_names_the_encoder(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a town"}\n')
    (tmp_path / "a.toml").write_text(
        'name = "towns"\nengine = "faiss"\ncorpus = "a.jsonl"\n'
        f'encoder = "{tiny_bert}"\nfaiss_type = "hnsw"\n'
    )
    manifest = build_spec(load_spec(tmp_path / "a.toml"), tmp_path / "i")
    assert manifest.dense is not None
    assert (manifest.dense.encoder, manifest.dense.kind) == (str(tiny_bert), "hnsw")


def test_command_adopts_a_faiss_file(tiny_bert: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"id": p.id, "contents": f"{p.title}\n{p.text}"}) for p in TOWNS]
    (tmp_path / "towns.jsonl").write_text("\n".join(lines))
    encoder = TransformersEncoder(tiny_bert, passage_format="{title}\n-{text}")
    build_index(TOWNS, tmp_path / "theirs", engine="faiss", encoder=encoder)
    adopt = ["index", "adopt", str(tmp_path / "theirs" / "faiss"), "--encoder", str(tiny_bert)]
    adopt += ["--corpus", str(tmp_path / "towns.jsonl"), "--out", str(tmp_path / "ours")]
    assert cli.main([*adopt, "--passage-format", r"{title}\n-{text}"]) == 0
    queries = ["town 7", "people"]
    theirs, ours = (open_index(tmp_path / name) for name in ("theirs", "ours"))
    assert ours.search(queries, 3) == theirs.search(queries, 3)


def test_command_builds_and_searches(
    tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a town"}\n')
    out, corpus = str(tmp_path / "i"), str(tmp_path / "a.jsonl")
    build = ["index", "build", "--engine", "faiss", "--corpus", corpus, "--out", out]
    assert cli.main([*build]) == 2
    assert "needs an encoder" in capsys.readouterr().err
    assert cli.main([*build, "--encoder", str(tiny_bert)]) == 0
    assert f"faiss, 1 passages, flat, {tiny_bert}, fingerprint" in capsys.readouterr().out
    assert cli.main(["index", "search", out, "town"]) == 0
    assert cli.main(["index", "verify", out]) == 0
    assert "sound" in capsys.readouterr().out
    assert isinstance(open_index(out), DenseRetriever)
