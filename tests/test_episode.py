"""The state machine: turns, budgets, mistakes, cuts, save and restore."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.episode import Episode
from searchenv.errors import EpisodeStateError, ProtocolError
from searchenv.protocols import PROTOCOLS, get_protocol
from searchenv.types import (
    Act,
    Answer,
    Fault,
    Hit,
    Invalid,
    Limits,
    Observation,
    OnInvalid,
    OnLimit,
    Passage,
    Question,
    Source,
    StopReason,
    ToolCall,
    ToolFailure,
)

QUESTION = Question("q1", "Who directed Velmara Nights?", ("Orla Fenwick",))
HITS = (
    Hit(Passage("p1", "Velmara Nights", "A 1962 film directed by Orla Fenwick."), 2.0, 1),
    Hit(Passage("p2", "Orla Fenwick", "A director."), 1.0, 2),
)
SEARCH = "<think>hm</think><search> director of Velmara Nights </search>"
ANSWER = "<answer> Orla Fenwick </answer>"


def new(limits: Limits | None = None, protocol: str = "search_r1") -> Episode:
    return Episode(QUESTION, get_protocol(protocol), limits or Limits())


def test_episode_search_then_answer() -> None:
    episode = new()
    assert episode.prompt.endswith("Question: Who directed Velmara Nights?\n")
    assert episode.act(SEARCH) == Act((ToolCall("search", "director of Velmara Nights"),))
    assert episode.pending == (ToolCall("search", "director of Velmara Nights"),)
    text = episode.observe([Observation(HITS)])
    assert text == (
        "\n\n<information>"
        "Doc 1(Title: Velmara Nights) A 1962 film directed by Orla Fenwick.\n"
        "Doc 2(Title: Orla Fenwick) A director."
        "</information>\n\n"
    )
    assert episode.act(ANSWER) == Answer("Orla Fenwick")
    result = episode.result
    assert result.stop is StopReason.ANSWER
    assert result.answer == "Orla Fenwick"
    assert result.calls == {"search": 1}
    assert result.turns[0].hit_ids == (("p1", "p2"),)
    assert result.found_ids == {"p1", "p2"}


def test_segments_concatenate_to_the_transcript_and_train_the_agent_only() -> None:
    episode = new()
    prompt = episode.prompt
    episode.act(SEARCH, token_ids=[5, 6])
    text = episode.observe([Observation(HITS)])
    episode.act(ANSWER)
    assert episode.transcript == prompt + SEARCH + text + ANSWER
    assert [(s.source, s.trained) for s in episode.segments] == [
        (Source.PROMPT, False),
        (Source.AGENT, True),
        (Source.ENVIRONMENT, False),
        (Source.AGENT, True),
    ]
    assert episode.segments[1].token_ids == (5, 6)


def test_act_leaves_text_unaltered_and_counts_overshoot() -> None:
    episode = new()
    text = f"{ANSWER} \n trailing words "
    assert episode.act(text) == Answer("Orla Fenwick")
    assert episode.segments[-1].text == text
    assert episode.result.overshoot == len("trailing words")


def test_max_turns_ends_without_running_the_last_call() -> None:
    episode = new(Limits(max_turns=2))
    episode.act(SEARCH)
    episode.observe([Observation()])
    episode.act(SEARCH)
    assert episode.over
    assert episode.pending == ()
    assert episode.result.stop is StopReason.MAX_TURNS
    assert episode.result.calls == {"search": 1}


def test_max_calls_end() -> None:
    episode = new(Limits(max_calls={"search": 1}))
    episode.act(SEARCH)
    episode.observe([Observation()])
    episode.act(SEARCH)
    assert episode.result.stop is StopReason.MAX_CALLS


def test_max_calls_tell_refuses_and_goes_on() -> None:
    episode = new(Limits(max_calls={"search": 1}, on_limit=OnLimit.TELL))
    episode.act(SEARCH)
    episode.observe([Observation(HITS)])
    episode.act(SEARCH)
    assert episode.pending == ()
    assert "no search calls are left" in episode.observe([])
    assert episode.turns[1].hit_ids == ((),)
    episode.act(ANSWER)
    assert episode.result.stop is StopReason.ANSWER
    assert episode.result.calls == {"search": 1}


def test_tell_announces_the_last_turn_and_max_turns_still_ends() -> None:
    episode = new(Limits(max_turns=2, on_limit=OnLimit.TELL))
    episode.act(SEARCH)
    assert "the last one" in episode.observe([Observation(HITS)])
    episode.act("no action here")
    assert episode.result.stop is StopReason.MAX_TURNS


def test_invalid_hint_answers_and_costs_a_turn() -> None:
    episode = new()
    assert episode.act("no tags") == Invalid(Fault.NO_ACTION, "found 0 actions")
    hint = episode.observe([])
    assert "no valid move" in hint
    assert "<search> query </search>" in hint
    assert (episode.num_turns, episode.over) == (1, False)


def test_invalid_end_terminates() -> None:
    episode = new(Limits(on_invalid=OnInvalid.END))
    episode.act("no tags")
    assert episode.result.stop is StopReason.INVALID
    assert episode.result.answer is None


def test_invalid_penalty_is_counted() -> None:
    episode = new(Limits(on_invalid=OnInvalid.PENALTY, invalid_penalty=0.25))
    for text in ("no tags", "<search></search>", ANSWER):
        episode.act(text)
        if not episode.over:
            episode.observe([])
    assert episode.result.penalty == 0.5
    assert episode.result.num_invalid == 2


def test_a_failed_tool_is_never_an_empty_result() -> None:
    episode = new()
    episode.act(SEARCH)
    assert episode.observe([ToolFailure("server is down")]) == ""
    assert episode.result.stop is StopReason.TOOL_ERROR
    assert episode.result.tool_error == "server is down"
    assert [s.source for s in episode.segments][-1] is Source.AGENT


def test_empty_result_says_so() -> None:
    episode = new()
    episode.act(SEARCH)
    assert "No results." in episode.observe([Observation()])


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("words", [False, True])
@given(extra=st.integers(0, 120))
def test_observation_is_cut_within_the_limit_and_closed(name: str, words: bool, extra: int) -> None:
    def count_words(text: str) -> int:
        return len(text.split())

    counter = count_words if words else len
    protocol = get_protocol(name)
    limit = protocol.min_observation(counter) + extra
    episode = Episode(QUESTION, protocol, Limits(max_observation=limit, counter=counter))
    episode.act(protocol.render(Act((ToolCall("search", "x"),))))
    long = Hit(Passage("p3", "Long title " * 5, "word " * 60), 1.0, 1)
    observation = episode.observe([Observation((long, *HITS))])
    opening, closing = protocol.frame
    assert observation.startswith(opening)
    assert observation.rstrip("\n").endswith(closing.rstrip("\n"))
    assert counter(observation) <= limit


def test_limit_below_the_frame_is_refused() -> None:
    with pytest.raises(ProtocolError, match="max_observation must be >= "):
        new(Limits(max_observation=3))


def test_out_of_turn_calls_are_refused() -> None:
    episode = new()
    with pytest.raises(EpisodeStateError, match="before act"):
        episode.observe([])
    with pytest.raises(EpisodeStateError, match="no result yet"):
        _ = episode.result
    episode.act(SEARCH)
    with pytest.raises(EpisodeStateError, match="waits for observe"):
        episode.act(SEARCH)
    with pytest.raises(ValueError, match="expected 1 results, got 2"):
        episode.observe([Observation(), Observation()])
    episode.observe([Observation()])
    episode.act(ANSWER)
    with pytest.raises(EpisodeStateError, match="is over"):
        episode.act(ANSWER)
    with pytest.raises(TypeError, match="a move must be a str, got bytes"):
        new().act(b"x")  # type: ignore[arg-type]


def test_the_view_holds_no_answer() -> None:
    episode = new()
    episode.act(SEARCH)
    episode.observe([Observation(HITS)])
    view = episode.view
    assert view.question == QUESTION.text
    assert view.observations == (HITS,)
    assert view.turns_left == 7
    assert view.calls_left() is None
    public = [name for name in dir(view) if not name.startswith("_")]
    assert "answers" not in public
    assert "gold" not in public


def test_several_calls_in_one_move() -> None:
    protocol = get_protocol("tool_calls")
    limits = Limits(max_calls={"search": 2}, on_limit=OnLimit.TELL)
    episode = Episode(QUESTION, protocol, limits)
    calls = tuple(ToolCall("search", query) for query in ("a", "b", "c"))
    episode.act(protocol.render(Act(calls)))
    assert [call.query for call in episode.pending] == ["a", "b"]
    text = episode.observe([Observation(HITS[:1]), Observation(HITS[1:])])
    assert text.index("Velmara Nights") < text.index("Orla Fenwick) A director")
    assert "no search calls are left" in text
    assert episode.turns[0].hit_ids == (("p1",), ("p2",), ())


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_state_restores_in_another_process(name: str) -> None:
    protocol = get_protocol(name)
    episode = Episode(QUESTION, protocol, Limits(max_turns=5))
    episode.act(protocol.render(Act((ToolCall("search", "x"),))), token_ids=[1, 2])
    episode.observe([Observation(HITS)])
    episode.act("nothing \ud800 valid")
    episode.observe([])
    saved = json.dumps(episode.state())
    code = (
        "import json, sys\n"
        "from searchenv.episode import Episode\n"
        "from searchenv.protocols import get_protocol\n"
        "from searchenv.types import Limits\n"
        f"e = Episode.restore(json.loads(sys.stdin.read()), get_protocol({name!r}), "
        "Limits(max_turns=5))\n"
        "print(json.dumps([[s.source, s.text, s.trained, s.token_ids] for s in e.segments]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=saved, capture_output=True, text=True, check=True
    )
    expected = [[s.source, s.text, s.trained, s.token_ids] for s in episode.segments]
    assert json.loads(run.stdout) == json.loads(json.dumps(expected))
    restored = Episode.restore(json.loads(saved), protocol, Limits(max_turns=5))
    assert restored.turns == episode.turns
    assert restored.hits == episode.hits
    assert restored.awaits_move


def test_state_between_act_and_observe_restores() -> None:
    episode = new()
    episode.act(SEARCH)
    restored = Episode.restore(episode.state(), episode.protocol, episode.limits)
    assert restored.pending == episode.pending
    assert restored.observe([ToolFailure("x")]) == ""


def test_state_keeps_the_seed_and_a_failed_policy() -> None:
    episode = Episode(QUESTION, get_protocol("search_r1"), Limits(), seed=7)
    episode.abandon("PolicyError: gone")
    restored = Episode.restore(episode.state(), episode.protocol, episode.limits)
    assert restored.seed == 7
    assert restored.result == episode.result
    assert restored.result.stop is StopReason.POLICY_ERROR


def test_an_exhausted_episode_is_unanswered_and_restores() -> None:
    episode = new()
    episode.act(SEARCH)
    with pytest.raises(EpisodeStateError, match=r"exhaust\(\) was called while it was not"):
        episode.exhaust("full")
    episode.observe([Observation(())])
    episode.exhaust("full")
    assert (episode.result.stop, episode.result.answer) == (StopReason.MAX_TOKENS, None)
    assert not episode.result.stop.is_failure
    restored = Episode.restore(episode.state(), episode.protocol, episode.limits)
    assert restored.result == episode.result


def test_state_of_another_protocol_or_version_is_refused() -> None:
    state = new().state()
    with pytest.raises(EpisodeStateError, match="not that of protocol 'react'"):
        Episode.restore(state, get_protocol("react"), Limits())
    with pytest.raises(EpisodeStateError, match="version 1, got 99"):
        Episode.restore({**state, "version": 99}, get_protocol("search_r1"), Limits())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_turns", 0, "max_turns must be >= 1, got 0"),
        ("max_calls", {"search": -1}, "must be >= 0, got -1"),
        ("max_observation", 0, "max_observation must be >= 1, got 0"),
        ("invalid_penalty", -0.1, "invalid_penalty must be >= 0, got -0.1"),
        ("on_limit", "stop", "'stop' is not a valid OnLimit"),
    ],
)
def test_limits_out_of_range(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**{field: value})  # type: ignore[arg-type]


@given(texts=st.lists(st.text(max_size=80), max_size=6))
def test_any_text_is_answered(texts: list[str]) -> None:
    episode = new(Limits(max_turns=4))
    for text in texts:
        if episode.over:
            break
        episode.act(text)
        if not episode.over:
            episode.observe([Observation() for _ in episode.pending])
    agent = [s.text for s in episode.segments if s.source is Source.AGENT]
    assert agent == texts[: len(agent)]
    assert episode.transcript == "".join(s.text for s in episode.segments)
