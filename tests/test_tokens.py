"""Transcripts as token ids."""

import pytest

from searchenv.tokens import Piece, encode_segments, token_sample
from searchenv.types import Segment, Source


class Letters:
    """Has the vocabulary ``^abcde.``; ``^`` stands before a text, and ``.`` ends a turn."""

    all_special_ids = (0, 6)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [0] * add_special_tokens + ["^abcde.".index(letter) for letter in text]

    def __len__(self) -> int:
        return 7


def prompt(text: str) -> Segment:
    return Segment(Source.PROMPT, text, trained=False)


def template(text: str) -> Segment:
    return Segment(Source.TEMPLATE, text, trained=False)


def sampled(text: str, *ids: int) -> Segment:
    return Segment(Source.AGENT, text, trained=True, token_ids=ids)


def shown(text: str, *, trained: bool = False) -> Segment:
    return Segment(Source.ENVIRONMENT, text, trained=trained)


def test_a_sample_holds_what_was_sampled_and_what_was_shown() -> None:
    segments = [template("a"), prompt("b"), sampled("ab", 5, 2), shown("c"), sampled("c", 3)]
    sample = token_sample(segments, Letters(), [[-0.5, -1.5], [-2.5]])
    assert sample.prompt_ids == (0, 1, 2)
    assert sample.response_ids == (5, 2, 3, 3)
    assert sample.mask == (1, 1, 0, 1)
    assert sample.logprobs == (-0.5, -1.5, 0.0, -2.5)


def test_texts_are_encoded_together_unless_the_loss_or_the_first_move_parts_them() -> None:
    segments = [
        prompt("a"),
        template("b"),
        Segment(Source.AGENT, "c", trained=True),
        shown("d", trained=True),
        shown("a"),
        template("b"),
    ]
    assert encode_segments(segments, Letters()) == [
        Piece([0, 1, 2], trained=False, opening=True, sampled=False),
        Piece([3, 4], trained=True, opening=False, sampled=False),
        Piece([1, 2], trained=False, opening=False, sampled=False),
    ]


def test_an_untrained_move_is_masked_and_keeps_its_ids() -> None:
    move = Segment(Source.AGENT, "ab", trained=False, token_ids=(5, 2))
    sample = token_sample([prompt("a"), move], Letters())
    assert (sample.response_ids, sample.mask, sample.logprobs) == ((5, 2), (0, 0), None)


def test_an_end_token_that_was_sampled_is_not_repeated_by_the_template() -> None:
    segments = [prompt("a"), sampled("b", 2, 6), template(".a"), sampled("c", 3), template(".")]
    sample = token_sample(segments, Letters())
    assert sample.response_ids == (2, 6, 1, 3, 6)
    assert sample.mask == (1, 1, 0, 1, 0)


def test_a_letter_that_is_no_end_token_is_repeated() -> None:
    sample = token_sample([prompt("a"), sampled("b", 2), shown("bc")], Letters())
    assert sample.response_ids == (2, 2, 3)


def test_equal_moves_in_a_row_stay_two() -> None:
    sample = token_sample([prompt("a"), sampled("b", 2), sampled("b", 2)], Letters())
    assert sample.response_ids == (2, 2)


def test_empty_moves_and_texts_leave_no_ids() -> None:
    segments = [prompt("a"), sampled(""), shown(""), sampled("b", 2), shown("")]
    sample = token_sample(segments, Letters(), [[], [-1.0]])
    assert (sample.response_ids, sample.logprobs) == ((2,), (-1.0,))


def test_logprobs_of_other_moves_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected logprobs for moves of \[2\] ids, got \[1\]"):
        token_sample([prompt("a"), sampled("ab", 1, 2)], Letters(), [[-1.0]])


def test_ids_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="sampled the id 7, but the tokenizer has 7 tokens"):
        token_sample([sampled("a", 7)], Letters())
