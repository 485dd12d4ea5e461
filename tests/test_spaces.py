"""UnicodeText: membership, sampling, shared memory."""

import multiprocessing
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import (
    batch_space,
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from hypothesis import given
from hypothesis import strategies as st

from searchenv.spaces import UnicodeText

ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates included


@given(ANY_TEXT)
def test_any_unicode_is_contained(text: str) -> None:
    assert text in UnicodeText(40)


def test_bounds_count_code_points() -> None:
    space = UnicodeText(2, min_length=1)
    assert "🙂🙂" in space
    assert "" not in space
    assert "abc" not in space
    assert 7 not in space


def test_samples_are_contained_and_seeded() -> None:
    space, same = UnicodeText(500, min_length=3, seed=7), UnicodeText(500, min_length=3, seed=7)
    samples = [space.sample() for _ in range(100)]
    assert all(sample in space for sample in samples)
    assert samples == [same.sample() for _ in range(100)]
    assert len(set(samples)) > 90


def test_masks_and_bad_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no mask"):
        UnicodeText(3).sample(mask=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 4 and 3"):
        UnicodeText(3, min_length=4)


def test_equality_copies_and_json() -> None:
    assert deepcopy(UnicodeText(5)) == UnicodeText(5)
    assert UnicodeText(5) != UnicodeText(6)
    assert UnicodeText(5) != gym.spaces.Text(5)
    assert len({UnicodeText(5), UnicodeText(5)}) == 1
    assert repr(UnicodeText(5)) == "UnicodeText(5, min_length=0)"
    space = UnicodeText(9)
    assert space.from_jsonable(space.to_jsonable(["a", "é"])) == ["a", "é"]


@given(st.lists(ANY_TEXT, min_size=3, max_size=3))
def test_shared_memory_is_a_live_view_of_any_text(texts: list[str]) -> None:
    space = UnicodeText(40)
    memory = create_shared_memory(space, n=3, ctx=multiprocessing)
    view: Any = read_from_shared_memory(space, memory, n=3)
    assert deepcopy(view) == ("", "", "")
    for i, text in enumerate(texts):
        write_to_shared_memory(space, i, text, memory)  # type: ignore[arg-type]
    assert deepcopy(view) == tuple(texts)
    write_to_shared_memory(space, 1, "changed", memory)  # type: ignore[arg-type]
    assert view[1] == "changed"
    assert view[1:] == ("changed", texts[2])
    assert view == (texts[0], "changed", texts[2])


def test_too_long_an_observation_names_the_way_out() -> None:
    space = UnicodeText(3)
    memory = create_shared_memory(space, n=1, ctx=multiprocessing)
    with pytest.raises(ValueError, match=r"4 characters is not in UnicodeText.*raise max_chars"):
        write_to_shared_memory(space, 0, "abcd", memory)  # type: ignore[arg-type]


def test_batches_sample_independently() -> None:
    batch = batch_space(UnicodeText(50, seed=1), 3)
    sample = batch.sample()
    assert len(sample) == 3
    assert len(set(sample)) == 3
    assert sample in batch
    assert isinstance(np.asarray(sample)[0], str)
