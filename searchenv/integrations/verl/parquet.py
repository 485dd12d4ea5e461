"""Questions as the rows of verl's data sets, and back."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from searchenv.errors import QuestionError
from searchenv.exports.whole import whole_file
from searchenv.protocols import TextProtocol
from searchenv.saved import question_of
from searchenv.types import Question

__all__ = ["AGENT_NAME", "question_row", "read_question", "write_parquet"]

AGENT_NAME = "searchenv"
"""What a row's ``agent_name`` says, and verl's list of agent loops calls ours."""


def question_row(
    question: Question,
    protocol: TextProtocol,
    *,
    index: int,
    split: str = "train",
    data_source: str = "searchenv",
    agent_name: str = AGENT_NAME,
) -> dict[str, object]:
    """Returns a question as a row of verl 0.9's ``RLHFDataset``.

    The prompt holds the messages of the protocol, for loops of verl's own; our agent loop takes the
    whole question out of ``extra_info`` with :func:`read_question`.

    Args:
        question: with at least one answer where verl's own reward functions are to score it.
        protocol: whose messages the prompt is made of.
        index: the number of the row.
        split: what ``extra_info`` says of it.
        data_source: what verl groups its validation figures by.
        agent_name: the agent loop that plays it.
    """
    return {
        "data_source": data_source,
        "prompt": [message.as_dict() for message in protocol.messages(question)],
        "ability": "search",
        "reward_model": {"style": "rule", "ground_truth": {"target": list(question.answers)}},
        "extra_info": {
            "index": index,
            "split": split,
            # one string: questions of different sets have different metadata
            "question": json.dumps(asdict(question)),
        },
        "agent_name": agent_name,
    }


def read_question(extra_info: Mapping[str, object]) -> Question:
    """Returns the question that :func:`question_row` put into ``extra_info``.

    Raises:
        QuestionError: there is none in it.
    """
    try:
        return question_of(json.loads(str(extra_info["question"])))
    except (KeyError, TypeError, ValueError) as error:
        raise QuestionError(
            "a row of verl's data set holds no question of searchenv "
            f"({type(error).__name__}: {error}): write the files with searchenv export verl"
        ) from error


def write_parquet(
    questions: Sequence[Question],
    protocol: TextProtocol,
    path: str | os.PathLike[str],
    *,
    split: str = "train",
    data_source: str = "searchenv",
    agent_name: str = AGENT_NAME,
) -> None:
    """Writes questions as a parquet file of verl's, a row each, in their order.

    Raises:
        ValueError: there are no questions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not questions:
        raise ValueError("expected at least one question, got none")
    rows = [
        question_row(
            question,
            protocol,
            index=index,
            split=split,
            data_source=data_source,
            agent_name=agent_name,
        )
        for index, question in enumerate(questions)
    ]
    with whole_file(path) as part:
        pq.write_table(pa.Table.from_pylist(rows), part)
