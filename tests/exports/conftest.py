"""Episodes of three questions, played by a script, and a record of any hits."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from searchenv.evaluation import Record, Run, Setup, run_questions
from searchenv.evaluation.report import QuestionResult
from searchenv.policies import ScriptedPolicy
from searchenv.protocols import get_protocol
from searchenv.results import Result, Turn
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import (
    Act,
    Gold,
    Hit,
    Limits,
    Passage,
    Question,
    StopReason,
    ToolCall,
)

PlayRun = Callable[..., Run]


def record_of(
    question_id: str,
    gold: Sequence[Sequence[str]],
    turns: Sequence[Sequence[Sequence[str]]],
    sample: int = 0,
) -> Record:
    """A record of an episode that found these ids, by turn and call."""
    question = Question(question_id, "?", ("a",), gold=tuple(Gold("", tuple(i)) for i in gold))
    moves = [
        Turn(Act((ToolCall("search", "q"),) * len(calls)), 0, tuple(map(tuple, calls)))
        for calls in turns
    ]
    result = Result(question, "react", StopReason.MAX_TURNS, tuple(moves), (), {}, 0.0)
    hits = tuple(
        tuple(
            tuple(Hit(Passage(docid, "", "t"), 1.0, rank) for rank, docid in enumerate(ids, 1))
            for ids in calls
        )
        for calls in turns
    )
    return Record(result, hits, QuestionResult.of(result, {}, ()), sample)


@pytest.fixture
def play_run(tmp_path: Path, keyword_retriever: Retriever) -> PlayRun:
    """Plays scripts, by question, into the folder ``run``; hits are the two best."""

    def play(
        questions: Sequence[Question],
        moves: dict[str, list[str]],
        *,
        protocol: str = "search_r1",
        max_turns: int = 4,
    ) -> Run:
        setup = Setup(
            tools={"search": RetrieverTool(keyword_retriever, 2)},
            protocol=get_protocol(protocol),
            limits=Limits(max_turns=max_turns),
            scorers=("em",),
        )
        return run_questions(ScriptedPolicy(moves), questions, setup, tmp_path / "run", header={})

    return play
