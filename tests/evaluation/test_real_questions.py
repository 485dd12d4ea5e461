"""The rule-based policies on real questions of 2WikiMultihopQA, over bm25s."""

from pathlib import Path

import pytest

from searchenv.evaluation import evaluate
from searchenv.indexing import build_index
from searchenv.policies import IterativePolicy, OneShotPolicy, OraclePolicy, Policy
from searchenv.questions import link_gold, read_questions
from searchenv.retrieval import RetrieverTool, open_index


@pytest.mark.data
def test_policies_come_in_the_expected_order(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "2wikimultihopqa"
    build_index(folder / "corpus.json.gz", tmp_path / "index", engine="bm25s")
    index = open_index(tmp_path / "index")
    questions = link_gold(read_questions(folder / "dev_1000.jsonl.gz")[:200], index.passages)
    tools = {"search": RetrieverTool(index, 3)}

    def em(policy: Policy) -> float:
        return evaluate(policy, questions, tools=tools).means["em"].mean

    assert 0.3 < em(OneShotPolicy()) < 0.5 < em(IterativePolicy()) < em(OraclePolicy(questions))
