"""The tokenizer: tags are one token, every text comes back, and episodes are cut as they grow."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from searchenv.episode import Episode
from searchenv.errors import MissingDependencyError
from searchenv.evaluation import Setup
from searchenv.evaluation.play import play
from searchenv.exports import load_tokenizer
from searchenv.protocols import SearchR1
from searchenv.systems.r1_searcher import R1Searcher
from searchenv.tokens import encode_segments, token_sample
from searchenv.training.teacher import Habits, Teacher
from searchenv.training.tokenizer import make_tokenizer, world_tokenizer
from searchenv.types import Fault, Invalid
from searchenv.worlds import FactWorld

TOKENIZER = world_tokenizer(FactWorld(), SearchR1())


def pieces(text: str, tokenizer: PreTrainedTokenizerFast = TOKENIZER) -> list[str]:
    ids = tokenizer.encode(text, add_special_tokens=False)
    return [str(tokenizer.decode([id_])) for id_ in ids]


def test_move_is_cut_into_tags_and_words() -> None:
    assert pieces("<think> Muga 's boss is Rupo . </think>\n<search> Rupo 's twin </search>") == [
        *("<think>", " Muga", " 's"),
        *(" ", "b", "o", "s", "s"),  # no relation of this world
        *(" is", " Rupo", " .", " </think>\n"),
        *("<search>", " Rupo", " 's", " twin", " </search>"),
    ]


def test_instructions_and_hints_are_one_token() -> None:
    protocol = SearchR1()
    question = FactWorld().split("train", 1)[0]
    (opening,) = protocol.opening(question)
    assert len(pieces(opening.text)) == 7  # instructions, E, 's, R1, 's, R2, line break
    (hint,) = protocol.remark(protocol.hint(Invalid(Fault.NO_ACTION)))
    assert len(pieces(hint.content)) == 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)) == text


def test_saved_tokenizer_is_the_same(random_model: Path, world: FactWorld) -> None:
    saved = load_tokenizer(random_model)
    made = world_tokenizer(world, SearchR1())
    for passage in world.passages:
        ids = saved.encode(passage.text, add_special_tokens=False)
        assert ids == made.encode(passage.text, add_special_tokens=False)


@pytest.mark.parametrize("protocol", [SearchR1(), R1Searcher()])
def test_episodes_are_words_of_the_tokenizer(
    protocol: SearchR1 | R1Searcher, world: FactWorld, setup: Setup
) -> None:
    tokenizer = world_tokenizer(world, protocol)
    single_bytes = {tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in range(256)}
    for question in world.split("train", 10):
        episode = Episode(question, protocol, setup.limits)
        list(play(Teacher(world, Habits()), [episode], setup.tools))
        segments = episode.result.segments
        ids = [id_ for piece in encode_segments(segments, tokenizer) for id_ in piece.ids]
        assert tokenizer.decode(ids) == "".join(segment.text for segment in segments)
        assert single_bytes.isdisjoint(ids)
        sample = token_sample(segments, tokenizer)
        trained = [i for i, bit in zip(sample.response_ids, sample.mask, strict=True) if bit]
        written = "".join(segment.text for segment in segments if segment.trained)
        assert tokenizer.decode(trained) == written


def test_without_its_packages_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"searchenv\[local\]\""):
        make_tokenizer([], ["<answer> Bado </answer>"])
