"""Records as json lines and parquet, and the recall of their turns."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from searchenv.cli import main
from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError
from searchenv.evaluation import Record, Run, Setup, run_questions
from searchenv.evaluation.evidence import recall_by_turn, recall_of_turns
from searchenv.exports import export_jsonl, export_parquet
from searchenv.policies import ScriptedPolicy
from searchenv.protocols import get_protocol
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.rewards import gold_recall
from searchenv.types import Gold, Limits, Question

MOVES = [
    "<search> Velmara Nights </search>",
    "<search> Orla Fenwick born </search>",
    "<answer> Dunmarrow </answer>",
]


class Silent:
    """A policy whose model cannot be reached."""

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        raise PolicyError("no answer from the server")


@pytest.fixture
def run(tmp_path: Path, keyword_retriever: Retriever) -> Run:
    setup = Setup(
        tools={"search": RetrieverTool(keyword_retriever, 1)},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=4),
        scorers=("em",),
    )
    question = Question("q1", "Where was its director born?", ("Dunmarrow",))
    policy = ScriptedPolicy({"q1": MOVES})
    return run_questions(policy, [question], setup, tmp_path / "run", header={})


def with_gold(record: Record, *titles: str) -> Record:
    ids = {hit.passage.title: hit.passage.id for turn in record.hits for c in turn for hit in c}
    gold = tuple(Gold(title, (ids.get(title, "elsewhere"),)) for title in titles)
    result = replace(record.result, question=replace(record.result.question, gold=gold))
    return replace(
        record, result=result, outcome=replace(record.outcome, gold_recall=gold_recall(result))
    )


def test_jsonl_reads_back_to_equal_records(run: Run, tmp_path: Path) -> None:
    assert main(["export", "jsonl", str(tmp_path / "run"), "--out", str(tmp_path / "r.jsonl")]) == 0
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert tuple(Record.of_dict(json.loads(line)) for line in lines) == run.records
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.jsonl", "run"]


def test_parquet_has_the_columns_and_the_records(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    assert main(["export", "parquet", str(tmp_path / "run"), "--out", str(out)]) == 0
    (row,) = pq.read_table(out).to_pylist()
    assert Record.of_dict(json.loads(row.pop("record"))) == run.records[0]
    assert row.pop("transcript").endswith(MOVES[2])
    assert row == {
        "id": "q1",
        "question": "Where was its director born?",
        "protocol": "search_r1",
        "stop": "answer",
        "answer": "Dunmarrow",
        "error": None,
        "sample": 0,
        "turns": 3,
        "scores": [("em", 1.0)],
        "terms": [("outcome", 1.0)],
        "answers": ["Dunmarrow"],
        "gold_recall": None,
    }


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_a_run_that_is_not_whole_is_refused(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "run" / "results.jsonl"
    results.rename(results.with_name("results.part.jsonl"))
    assert main(["export", name, str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 2
    assert "is not whole, it has 1 records" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("export", [export_jsonl, export_parquet])
def test_a_failed_write_leaves_what_was_there(
    export: Callable[[Sequence[Record], Path], None], run: Run, tmp_path: Path
) -> None:
    export(run.records, tmp_path / "out")
    before = (tmp_path / "out").read_bytes()
    question = replace(run.records[0].result.question, metadata={"no json": {1, 2}})
    broken = replace(run.records[0], result=replace(run.records[0].result, question=question))
    for out in ("out", "new"):
        with pytest.raises(TypeError, match="not JSON serializable"):
            export([run.records[0], broken], tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]
    assert (tmp_path / "out").read_bytes() == before


def test_an_episode_without_a_turn_is_a_record(tmp_path: Path) -> None:
    setup = Setup(tools={}, protocol=get_protocol("search_r1"), limits=Limits(), scorers=("em",))
    question = Question("q1", "Where?", ("Dunmarrow",), gold=(Gold("Dunmarrow", ("p3",)),))
    run = run_questions(Silent(), [question], setup, tmp_path / "run", header={})
    export_jsonl(run.records, tmp_path / "r.jsonl")
    assert Record.of_dict(json.loads((tmp_path / "r.jsonl").read_text())) == run.records[0]
    export_parquet(run.records, tmp_path / "r.parquet")
    (row,) = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert (row["stop"], row["error"]) == ("policy_error", "PolicyError: no answer from the server")
    assert (row["turns"], row["answer"], row["gold_recall"]) == (0, None, 0.0)
    assert (row["scores"], row["terms"]) == ([("em", 0.0)], [])
    assert recall_of_turns(run.records[0]) == ()
    assert recall_by_turn([run.records[0]]) == ()


def test_recall_grows_with_the_turns(run: Run) -> None:
    record = with_gold(run.records[0], "Orla Fenwick", "Nowhere")
    assert record.hits[0][0][0].passage.title == "Velmara Nights"
    assert recall_of_turns(record) == (0.0, 0.5, 0.5)
    assert record.outcome.gold_recall == 0.5
    short = replace(record, result=replace(record.result, turns=record.result.turns[:1]))
    assert [m.mean for m in recall_by_turn([record, short, run.records[0]])] == [0.0, 0.25, 0.25]
    assert [m.n for m in recall_by_turn([record, short])] == [2, 2, 2]


def test_recall_is_unknown_without_gold(run: Run) -> None:
    assert recall_of_turns(run.records[0]) is None
    assert recall_by_turn(run.records) == ()
