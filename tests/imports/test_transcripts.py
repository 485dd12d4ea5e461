"""Texts of others' agents as moves and findings, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.episode import Episode
from searchenv.imports import read_transcript
from searchenv.protocols import get_protocol
from searchenv.types import (
    Act,
    Fault,
    Hit,
    Invalid,
    Limits,
    Observation,
    Passage,
    Question,
    Source,
    ToolCall,
)

HINT = "\nMy previous action is invalid. This is what it should have been.\n"


def titles(found: tuple[Passage, ...] | None) -> list[tuple[str, str]]:
    return [(passage.title, passage.text) for passage in found or ()]


def test_search_r1() -> None:
    text = (
        "<think>no</think> <search> old </search> or <search> town\n</search>\n\n<information>"
        'Doc 1(Title: "Oslo (city)") Oslo is\nDoc 7 no start\nDoc 2 plain <answer>x</answer>'
        f"</information>\n\nhm{HINT}<answer> Oslo </answer>"
    )
    found = read_transcript(text, "Question: Which?\n")
    assert found.protocol == "search_r1"
    assert found.moves == (Act((ToolCall("search", "town"),)), Invalid(Fault.NO_ACTION))
    assert titles(found.found[0]) == [
        ("Oslo (city)", "Oslo is\nDoc 7 no start"),
        ("", "plain <answer>x</answer>"),
    ]
    assert found.found[1] is None
    assert found.last == "<answer> Oslo </answer>"
    assert [(s.source, s.trained) for s in found.segments] == [
        (Source.PROMPT, False),
        (Source.AGENT, True),
        (Source.ENVIRONMENT, False),
        (Source.AGENT, True),
        (Source.ENVIRONMENT, False),
        (Source.AGENT, True),
    ]
    assert found.segments[4].text == HINT


def test_r1_searcher_with_the_prompt_in_front() -> None:
    prompt = 'User: "<|begin_of_query|> query <|end_of_query|>"\nAssistant: <think>'
    text = (
        f"{prompt}So <|begin_of_query|> who <|end_of_query|>\n\n<|begin_of_documents|>\n"
        "(1)Title: Oslo Text: It is.\n(2)Bergen   It was.\n(3)nothing\n<|end_of_documents|>\n\nend"
    )
    found = read_transcript(text)
    assert found.protocol == "r1_searcher"
    assert found.segments[0].text == prompt
    assert found.moves == (Act((ToolCall("search", "who"),)),)
    assert titles(found.found[0]) == [("Oslo", "It is."), ("Bergen", "It was."), ("", "nothing")]
    assert found.last == "end"


def test_nothing_found_and_documents_cut_off() -> None:
    text = (
        "<search>a</search><information>No results.</information><search>b</search>\n<information>D"
    )
    found = read_transcript(text, "Q")
    assert found.found == ((), ())
    assert found.last == ""


def test_forged_documents_are_the_agents_own() -> None:
    found = read_transcript("<information>Doc 1 a</information><answer>a</answer>", "Q")
    assert found.moves == ()
    assert [segment.source for segment in found.segments] == [Source.PROMPT, Source.AGENT]


def test_unknown_prompt_trains_nothing() -> None:
    found = read_transcript("Q: <search> a </search><information>x</information>b")
    assert [segment.trained for segment in found.segments] == [False, False, False]


def test_text_without_tags() -> None:
    found = read_transcript("I do not know.", "Q")
    assert (found.protocol, found.moves, found.last) == (None, (), "I do not know.")


@pytest.mark.parametrize("title", ["A (b) c", "Open (", "", 'Quote " end', "a) b"])
def test_our_own_episodes_come_back(title: str) -> None:
    passage = Passage("p", title, "text of it")
    episode = Episode(
        Question("q", "Which?", ("a",)), get_protocol("search_r1"), Limits(max_turns=5)
    )
    episode.act("junk")
    episode.observe([])
    for query in ("one", "two"):
        episode.act(f"<think>t</think><search> {query} </search>")
        episode.observe([Observation(hits=(Hit(passage, 1.0, 1),) if query == "one" else ())])
    episode.act("<answer> a </answer>")
    segments = episode.result.segments
    found = read_transcript("".join(s.text for s in segments[1:]), segments[0].text)
    assert found.segments == segments
    assert found.moves[0] == Invalid(Fault.NO_ACTION)
    assert [turn.move for turn in episode.result.turns[1:3]] == list(found.moves[1:])
    if title != "Open (" and title != "a) b":  # brackets in pairs only
        assert titles(found.found[1]) == [(title, "text of it")]
    assert found.found[2] == ()


@given(
    st.lists(
        st.sampled_from(
            [
                "<search>",
                "</search>",
                "<information>",
                "</information>",
                "<answer>",
                "\n\n",
                "Doc 1(Title: ",
                ")",
                "a",
                HINT,
                "<|begin_of_query|>",
                "<|end_of_query|>",
                "<|begin_of_documents|>\n",
                "(1)",
            ]
        ),
        max_size=25,
    ).map("".join)
)
def test_segments_are_the_text_and_moves_are_aligned(text: str) -> None:
    found = read_transcript(text, "Q")
    assert "".join(segment.text for segment in found.segments) == "Q" + text
    assert len(found.moves) == len(found.found)
    agent = [s.text for s in found.segments if s.source is Source.AGENT]
    assert agent == [*agent[: len(found.moves)], *filter(None, [found.last])]
