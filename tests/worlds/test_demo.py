from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from searchenv.errors import CorpusError
from searchenv.worlds import check_world, demo, demo_dir, demo_questions, demo_world

FROZEN = "9b706d4c587c005b80b02e229cfcd71853306440a400800a00c8f051e135f122"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEARCHENV_HOME", str(tmp_path))
    return tmp_path


def test_demo_world_is_frozen() -> None:
    # Later experiments are compared on this world: a change needs a new DEMO_VERSION.
    assert demo.DEMO_VERSION == "demo-v1"
    assert demo_world().content_hash == demo.DEMO_HASH == FROZEN


def test_demo_world_is_sound() -> None:
    report = check_world(demo_world())
    assert report.violations == ()
    assert (report.num_passages, report.num_questions) == (2000, 500)


def test_demo_world_mixes_shapes_and_hops() -> None:
    questions = demo_world().questions
    assert Counter(q.metadata["type"] for q in questions) == {
        "simple": 40,
        "bridge": 135,
        "compositional": 100,
        "inference": 70,
        "comparison": 90,
        "intersection": 65,
    }
    assert {q.metadata["hops"] for q in questions} == {1, 2, 3, 4}


def test_demo_dir_holds_the_world(home: Path) -> None:
    folder = demo_dir()
    assert folder == home / "worlds" / "demo-v1"
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.jsonl", "questions.jsonl"]
    assert demo_questions() == demo_world().questions
    assert len((folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()) == 2000


def test_demo_dir_mends_what_was_changed(home: Path) -> None:
    corpus = demo_dir() / "corpus.jsonl"
    whole = corpus.read_bytes()
    for broken in (b"", b"{", whole[:1000], whole.replace(b" born in ", b" born on ")):
        corpus.write_bytes(broken)
        demo_dir()
        assert corpus.read_bytes() == whole


def test_demo_dir_leaves_whole_files_alone(home: Path) -> None:
    corpus = demo_dir() / "corpus.jsonl"
    before = corpus.stat().st_mtime_ns
    assert demo_dir() / "corpus.jsonl" == corpus
    assert corpus.stat().st_mtime_ns == before


def test_demo_dir_of_many_processes_at_once(home: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(demo_dir) for _ in range(4)]
        folders = {future.result(timeout=120) for future in futures}
    assert folders == {home / "worlds" / "demo-v1"}
    assert sorted(path.name for path in folders.pop().iterdir()) == [
        "corpus.jsonl",
        "questions.jsonl",
    ]


def test_demo_dir_refuses_another_world(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "DEMO_HASH", "0" * 64)
    with pytest.raises(CorpusError, match="expected the world demo-v1 to have the hash 000"):
        demo_dir()
    assert not (home / "worlds").exists()


def test_demo_index_finds_the_first_passage(home: Path) -> None:
    question = demo_questions()[0]
    hits = demo.demo_index("bm25s").search([question.gold[0].title], k=3)[0]
    assert hits[0].passage.title == question.gold[0].title
