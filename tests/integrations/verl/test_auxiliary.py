"""Texts beside the episodes: how they travel, how they are spread, what rows they become."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from searchenv.evaluation import Record
from searchenv.integrations.verl.auxiliary import (
    FIELD,
    Layout,
    Text,
    interleave,
    pack,
    texts_of,
    unpack,
)
from searchenv.integrations.verl.log import read_log
from searchenv.training.items import Kind, TrainItem
from searchenv.types import Question

Play = Callable[..., tuple[list[Any], Any]]

ITEMS = [
    TrainItem((5, 6, 7, 8), (1.0, 0.0, 1.0, 1.0), weight=0.2),
    TrainItem((1, 2), (0.0, 1.0), weight=1.0),
    TrainItem((3, 4), (0.0, 0.0)),
]


def test_items_travel_unchanged() -> None:
    assert unpack(pack(ITEMS)) == ITEMS
    assert unpack(pack([])) == []


def test_an_update_means_over_its_own_texts() -> None:
    blocks = texts_of(ITEMS, Layout(updates=2, ranks=1, multiple=2), filler=[9, 8, 7])
    empty = Text((9, 8), (0.0,))
    # the first and the third text are in the first update: half of 0.2, over two tokens
    assert blocks == [
        [Text((5, 6, 7, 8), (0.0, 0.05, 0.05)), Text((3, 4), (0.0,))],
        [Text((1, 2), (1.0,)), empty],
    ]


def test_processes_have_equally_many_rows_of_each_update() -> None:
    blocks = texts_of(ITEMS, Layout(updates=1, ranks=2, multiple=1), filler=[9, 8])
    assert [[text.ids for text in block] for block in blocks] == [
        [(5, 6, 7, 8), (3, 4)],
        [(1, 2), (9, 8)],
    ]
    # of three texts in the update, whichever process they are in
    assert blocks[0][0].weights == pytest.approx((0.0, 0.1 / 3, 0.1 / 3))


@given(st.integers(0, 40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 8))
def test_every_text_is_in_one_update_and_weighs_what_it_says(
    number: int, updates: int, ranks: int, multiple: int
) -> None:
    items = [TrainItem((i, 1, 2), (0.0, 1.0, 1.0), weight=0.5) for i in range(number)]
    blocks = texts_of(items, Layout(updates, ranks, multiple), filler=[0, 0])
    assert len(blocks) == updates * ranks
    sizes = {len(block) for block in blocks}
    assert len(sizes) == 1
    assert sizes.pop() % multiple == 0
    real = [text.ids[0] for block in blocks for text in block if any(text.weights)]
    assert sorted(real) == list(range(number))
    for update in range(updates):
        weights = [sum(t.weights) for rank in range(ranks) for t in blocks[rank * updates + update]]
        assert sum(weights) == pytest.approx(0.5 if number > update else 0.0)


def test_a_block_follows_its_stretch() -> None:
    assert interleave(list("abcdef"), [["1"], ["2"], ["3"]]) == list("ab1cd2ef3")


def test_a_row_has_the_texts_lengths_and_nothing_of_the_episode() -> None:
    source = {
        "input_ids": torch.tensor([1, 2, 3, 4, 5]),
        "prompts": torch.tensor([1, 2]),
        "responses": torch.tensor([3, 4, 5]),
        "position_ids": torch.arange(5),
        "response_mask": torch.tensor([1, 0, 1]),
        "old_log_probs": torch.tensor([-1.0, -2.0, -3.0]),
        "advantages": torch.tensor([0.5, 0.0, 0.5]),
        "log_probs": torch.full((5,), -1.0),
        "num_turns": torch.tensor(2),
        "extra_fields": {FIELD: "[]"},
        "uid": "u",
    }
    row = Text((7, 8), (0.25,)).row(source, marker=1.0)
    assert set(row) == set(source)
    values = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in row.items()}
    assert values == {
        "input_ids": [7, 8],
        "prompts": [7],
        "responses": [8],
        "position_ids": [0, 1],
        "response_mask": [0],
        "old_log_probs": [1.0],
        "advantages": [0.25],
        "log_probs": [0.0, 0.0],
        "num_turns": 2,
        "extra_fields": {},
        "uid": "u",
    }
    assert row["response_mask"].dtype == torch.int64
    assert Text((7, 8), (0.0,)).row(source, marker=1.0)["old_log_probs"].tolist() == [0.0]
    three = source | {"position_ids": torch.arange(5).expand(3, -1)}
    assert Text((7, 8, 9), (0.1, 0.1)).row(three, 1.0)["position_ids"].tolist() == [[0, 1, 2]] * 3


def remember_answers(tokenizer: Any) -> Callable[[int, Sequence[Record]], list[TrainItem]]:
    """Makes a text of each episode that was right."""

    def texts(step: int, records: Sequence[Record]) -> list[TrainItem]:
        return [
            TrainItem(tuple(tokenizer.encode(r.result.question.text)), (1.0,) * 8, weight=step)
            for r in records
            if r.scores["em"] == 1.0
        ]

    return texts


def too_long(tokenizer: Any) -> Callable[[int, Sequence[Record]], list[TrainItem]]:
    return lambda step, records: [TrainItem((1,) * 241, (1.0,) * 241)]


def of_the_policy(tokenizer: Any) -> Callable[[int, Sequence[Record]], list[TrainItem]]:
    return lambda step, records: [TrainItem((1, 2), (1.0, 1.0), Kind.POLICY)]


def test_a_trajectory_carries_the_texts_of_its_episode(
    play: Play, random_model: Path, index: Path, tmp_path: Path
) -> None:
    question = Question("q", "Bado 's tutor ?", ("Rupo",))
    answers = [lambda turn: "<answer> Rupo </answer>", lambda turn: "<answer> no </answer>"]
    (right, wrong), server = play(
        random_model,
        str(index),
        question,
        answers,
        auxiliary=f"{__name__}:remember_answers",
        log=str(tmp_path),
    )
    ids = tuple(server.tokenizer.encode(question.text))
    # a text of its own: its weight is the number of the step here
    assert unpack(right.extra_fields[FIELD]) == [TrainItem(ids, (1.0,) * 8, weight=3)]
    assert FIELD not in wrong.extra_fields
    assert {line["session"]: line["texts"] for line in read_log(tmp_path)} == {0: 1, 1: 0}


@pytest.mark.parametrize(
    ("name", "says"),
    [("too_long", "got one of the kind sft with 241"), ("of_the_policy", "kind policy with 2")],
)
def test_a_text_that_cannot_be_learnt_is_an_error(
    play: Play, random_model: Path, index: Path, name: str, says: str
) -> None:
    question = Question("q", "Bado 's tutor ?", ("Rupo",))
    with pytest.raises(ValueError, match=f"with 2 to 240 ids, .*{says}"):
        play(
            random_model,
            str(index),
            question,
            [lambda turn: "<answer> Rupo </answer>"],
            auxiliary=f"{__name__}:{name}",
        )
