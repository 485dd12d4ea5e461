"""TREC files: ir_measures reads them and gives our own recall."""

from pathlib import Path
from tempfile import TemporaryDirectory

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import SetR

from searchenv.cli import main
from searchenv.exports import TrecCounts, export_trec
from searchenv.types import Question
from tests.exports.conftest import PlayRun, record_of


def recalls(folder: Path, sample: int = 0) -> dict[str, float]:
    """The set recall of each question, by its encoded id."""
    qrels = ir_measures.read_trec_qrels(str(folder / "qrels.txt"))  # type: ignore[no-untyped-call]
    run = ir_measures.read_trec_run(str(folder / f"run-{sample}.txt"))  # type: ignore[no-untyped-call]
    return {m.query_id: m.value for m in ir_measures.iter_calc([SetR], qrels, run)}


def test_passages_rank_by_when_they_were_first_seen(tmp_path: Path) -> None:
    turns = [[["c", "a"], ["b"]], [], [["a", "d"]]]
    records = [record_of("q1", [["a"], ["z"]], turns), record_of("q2", [], [[["a"]]])]
    assert export_trec(records, tmp_path / "trec") == TrecCounts(1, 1, 1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["qrels.txt", "run-0.txt", "trec"]
    assert (tmp_path / "trec" / "qrels.txt").read_text() == "q1 0 a 1\nq1 0 z 1\n"
    assert (tmp_path / "trec" / "run-0.txt").read_text() == (
        "q1 Q0 c 1 4 searchenv\n"
        "q1 Q0 a 2 3 searchenv\n"
        "q1 Q0 b 3 2 searchenv\n"
        "q1 Q0 d 4 1 searchenv\n"
    )


def test_a_gold_passage_goes_by_one_id(tmp_path: Path) -> None:
    gold = [["a1", "a2"], ["a1"], []]  # the second shares its only id, the third has none
    record = record_of("q1", gold, [[["a2"], ["b", "a1"]]])
    export_trec([record], tmp_path / "trec")
    qrels = (tmp_path / "trec" / "qrels.txt").read_text().split()
    assert qrels[2::4] == ["a1", "%gold2", "%gold3"]
    run = (tmp_path / "trec" / "run-0.txt").read_text().split()
    assert run[2::6] == ["a1", "b", "%gold2"]
    assert recalls(tmp_path / "trec") == {"q1": 2 / 3} == {"q1": record.outcome.gold_recall}


def test_ids_with_blanks_are_encoded(tmp_path: Path) -> None:
    record = record_of("who is\u3000he", [["Velmara Nights"], ["50%"], ["Orla\n"]], [[["50%"]]])
    export_trec([record], tmp_path / "trec")
    assert (tmp_path / "trec" / "qrels.txt").read_text().splitlines() == [
        "who%20is%E3%80%80he 0 Velmara%20Nights 1",
        "who%20is%E3%80%80he 0 50%25 1",
        "who%20is%E3%80%80he 0 Orla%0A 1",
    ]
    assert recalls(tmp_path / "trec") == {"who%20is%E3%80%80he": 1 / 3}


def test_each_sample_has_a_run_file(tmp_path: Path) -> None:
    records = [
        record_of("q1", [["a"]], [[["a"]]], 0),
        record_of("q1", [["a"]], [], 1),
        record_of("q2", [["b"]], [[["b"]]], 0),
        record_of("q2", [["b"]], [[["b"]]], 1),
    ]
    assert export_trec(records, tmp_path / "trec") == TrecCounts(2, 0, 2)
    assert recalls(tmp_path / "trec", 0) == {"q1": 1.0, "q2": 1.0}
    assert recalls(tmp_path / "trec", 1) == {"q1": 0.0, "q2": 1.0}


IDS = st.sampled_from(["a", "b b", "%20", "%gold1", "\udc80", "\x85", "é", ""])
EPISODES = st.tuples(
    st.lists(st.lists(IDS, max_size=3), min_size=1, max_size=4),
    st.lists(st.lists(st.lists(IDS, max_size=4), max_size=2), max_size=3),
)


@given(st.lists(EPISODES, min_size=1, max_size=4))
def test_set_recall_is_our_own(
    episodes: list[tuple[list[list[str]], list[list[list[str]]]]],
) -> None:
    records = [record_of(f"q{i}", gold, turns) for i, (gold, turns) in enumerate(episodes)]
    ours = {
        record.result.question.id: record.outcome.gold_recall
        for record in records
        if record.outcome.gold_recall is not None
    }
    with TemporaryDirectory() as folder:
        if ours:
            export_trec(records, Path(folder))
            assert recalls(Path(folder)) == ours
        else:
            with pytest.raises(ValueError, match="no question of the run has gold passages"):
                export_trec(records, Path(folder))
            assert list(Path(folder).iterdir()) == []


def test_a_played_run_by_command(
    play_run: PlayRun,
    questions: tuple[Question, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moves = ["<search> Velmara Nights </search>", "<answer> Dunmarrow </answer>"]
    run = play_run(questions, {question.id: moves for question in questions})
    words = ["export", "trec", str(tmp_path / "run"), "--out", str(tmp_path / "trec")]
    assert main(words) == 0
    assert capsys.readouterr().out == (
        f"1 questions, 1 run files in {tmp_path / 'trec'}; "
        "2 questions without known gold passages left out\n"
    )
    assert recalls(tmp_path / "trec") == {"q1": 0.5} == {"q1": run.records[0].outcome.gold_recall}
    assert main(words) == 2
    assert "expected a new or an empty folder" in capsys.readouterr().err


def test_a_file_in_its_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(FileExistsError, match="holds something"):
        export_trec([record_of("q1", [["a"]], [[["a"]]])], tmp_path / "file")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]
