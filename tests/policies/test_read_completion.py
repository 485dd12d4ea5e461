"""Ids that a server sampled are read as the local model would have written them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.policies.generation import Completion, Finish
from searchenv.policies.local_text import Draft, read_completion
from searchenv.protocols import SearchR1
from searchenv.training.tokenizer import world_tokenizer
from searchenv.worlds import FactConfig, FactWorld

TOKENIZER: Any = world_tokenizer(FactWorld(FactConfig(entities=12, relations=3)), SearchR1())
END = int(TOKENIZER.eos_token_id)
STOP = SearchR1.stop
IDS = st.integers(0, len(TOKENIZER) - 1)
LIKELY = st.sampled_from(
    TOKENIZER.encode("<search> a é</search> </answer> x", add_special_tokens=False)
)


def one_by_one(prompt: list[int], ids: list[int], *, room: int, include_stop: bool) -> Completion:
    """Returns what :class:`Draft` makes of the ids, token by token."""
    draft = Draft(prompt, room, np.random.default_rng(0), TOKENIZER, STOP, ())
    for token in ids:
        (draft.end if token == END else draft.take)(token, -0.5)
        if draft.finish is not None:
            break
    else:
        draft.finish = Finish.STOP
    return draft.completion(include_stop=include_stop)


@given(
    prompt=st.lists(IDS | LIKELY, max_size=12),
    ids=st.lists(IDS | LIKELY | st.just(END), min_size=1, max_size=10),
    room=st.integers(1, 12),
    include_stop=st.booleans(),
)
def test_the_same_as_token_by_token(
    prompt: list[int], ids: list[int], room: int, include_stop: bool
) -> None:
    ids = ids[:room]
    found = read_completion(
        prompt,
        ids,
        [-0.5] * len(ids),
        TOKENIZER,
        ends={END},
        stop=STOP,
        include_stop=include_stop,
        room=room,
    )
    assert found == one_by_one(prompt, ids, room=room, include_stop=include_stop)


@pytest.mark.parametrize(
    ("text", "room", "kept", "finish"),
    [
        ("x </search>", 99, "x </search>", Finish.STOP),
        ("x </search> y", 99, "x </search>", Finish.STOP),
        ("x y", 99, "x y", Finish.STOP),
        ("x y", 0, "x y", Finish.LENGTH),
    ],
)
def test_by_hand(text: str, room: int, kept: str, finish: Finish) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    found = read_completion(
        [],
        ids,
        [-0.5] * len(ids),
        TOKENIZER,
        ends={END},
        stop=STOP,
        include_stop=True,
        room=room or len(ids),
    )
    assert (found.text, found.finish) == (kept, finish)
    assert found.token_ids == tuple(ids[: len(found.token_ids or ())])
