"""Records as json lines and parquet, and the recall of their turns."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from searchenv.cli import main
from searchenv.evaluation import Record, Run, Setup, run_questions
from searchenv.evaluation.evidence import recall_by_turn, recall_of_turns
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
