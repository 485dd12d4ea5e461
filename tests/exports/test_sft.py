"""Examples of fine-tuning: what is trained, in characters, in messages and in tokens."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.cli import main
from searchenv.episode import Episode
from searchenv.evaluation import Record
from searchenv.exports import export_sft, load_tokenizer, messages_of, select, sft_example
from searchenv.protocols import CHATML, PROTOCOLS, SearchR1, TextProtocol, get_protocol
from searchenv.rewards import Outcome
from searchenv.systems.r1_searcher import R1Searcher
from searchenv.types import (
    Act,
    Answer,
    Hit,
    Limits,
    Observation,
    Passage,
    Question,
    Segment,
    Source,
    StopReason,
    ToolCall,
    ToolFailure,
    Written,
)
from tests.exports.conftest import PlayRun

QUESTION = Question("q1", "Where was she born?", ("Dunmarrow",))
FOUND = Observation((Hit(Passage("p1", "Orla Fenwick", "Born in Dunmarrow."), 1.0, 1),))
SEARCH = "<search> Orla Fenwick </search>"
ANSWER = "<answer> Dunmarrow </answer>"


def played(protocol: TextProtocol, moves: Sequence[str], *, max_turns: int = 9) -> Episode:
    """An episode with these moves, which all searches find the same passage in."""
    episode = Episode(QUESTION, protocol, Limits(max_turns=max_turns))
    for move in moves:
        ids = move.token_ids if isinstance(move, Written) else None
        episode.act(move, token_ids=ids)
        if episode.over:
            break
        episode.observe([FOUND] * len(episode.pending))
    return episode


def record_of(episode: Episode) -> Record:
    return Record.of(episode, Outcome(), ("em",))


def trained_of(example: dict[str, object]) -> list[str]:
    text, spans = example["text"], example["spans"]
    assert isinstance(text, str)
    assert isinstance(spans, list)
    return [text[start:end] for start, end in spans]


def test_an_example_of_search_r1() -> None:
    record = record_of(played(SearchR1(), [SEARCH, ANSWER]))
    example = sft_example(record)
    prompt, _, seen, _ = (segment.text for segment in record.result.segments)
    assert "Born in Dunmarrow." in seen
    first = len(prompt)
    second = first + 31 + len(seen)
    assert example == {
        "id": "q1",
        "sample": 0,
        "protocol": "search_r1",
        "scores": {"em": 1.0},
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": SEARCH},
            {"role": "user", "content": seen},
            {"role": "assistant", "content": ANSWER},
        ],
        "text": prompt + SEARCH + seen + ANSWER,
        "spans": [[first, first + 31], [second, second + 28]],
    }


def test_a_tag_that_is_trained_though_inserted_belongs_to_the_agent() -> None:
    query = "She is Orla. <|begin_of_query|> Orla Fenwick "
    answer = "So </think> <answer> Dunmarrow </answer>"
    example = sft_example(record_of(played(R1Searcher(), [query, answer])))
    assert trained_of(example) == [query, "<|end_of_query|>\n\n", answer]
    messages = example["messages"]
    assert isinstance(messages, list)
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1]["content"] == f"{query}<|end_of_query|>\n\n"


def test_a_template_names_the_roles() -> None:
    moves = ["x <|begin_of_query|> y ", "z <answer> y </answer>"]
    system, *messages = messages_of(played(R1Searcher(template=CHATML), moves).result)
    assert system["role"] == "system"
    assert messages == [
        {"role": "user", "content": "Where was she born?"},
        {
            "role": "assistant",
            "content": "<think>x <|begin_of_query|> y <|end_of_query|>\n\n",
        },
        {
            "role": "user",
            "content": "<|begin_of_documents|>\n(1)Orla Fenwick   Born in Dunmarrow.\n"
            "<|end_of_documents|>\n\n",
        },
        {"role": "assistant", "content": "z <answer> y </answer>"},
    ]


@pytest.mark.parametrize("name", ["tool_calls", "tool_calls_openai"])
def test_messages_of_a_chat_are_those_of_the_episode(name: str) -> None:
    protocol = get_protocol(name)
    calls = Act((ToolCall("search", "Orla", id="a"), ToolCall("search", "Fenwick", id="b")))
    moves = [protocol.render(calls, "Hm."), "no move", protocol.render(Answer("Dunmarrow"))]
    episode = played(protocol, moves)
    assert episode.num_turns == 3
    assert messages_of(episode.result) == episode.view.messages


MADE = {name: get_protocol(name) for name in PROTOCOLS}


@st.composite
def episodes(draw: st.DrawFn) -> tuple[list[str], Episode]:
    """What a policy wrote, any text among it, and the episode."""
    protocol = draw(st.sampled_from([*MADE.values(), SearchR1(template=CHATML)]))
    calls = protocol.render(Act((ToolCall("search", "Orla"),)))
    answer = protocol.render(Answer("Dunmarrow"))
    text = st.one_of(st.text(), st.sampled_from([calls, answer, "\U0001f989 \udc80"]))
    written = draw(st.lists(text, min_size=1, max_size=4))
    episode = played(protocol, written, max_turns=len(written))
    return written[: episode.num_turns], episode


@given(episodes())
def test_spans_are_exactly_what_the_policy_wrote(case: tuple[list[str], Episode]) -> None:
    written, episode = case
    example = sft_example(record_of(episode))
    assert example["text"] == episode.transcript
    assert trained_of(example) == [text for text in written if text]


SEGMENTS = st.lists(
    st.builds(Segment, st.sampled_from(Source), st.text(max_size=3), trained=st.booleans())
)


@given(SEGMENTS)
def test_spans_cover_the_trained_segments_and_nothing_else(segments: list[Segment]) -> None:
    record = record_of(played(SearchR1(), [ANSWER]))
    record = replace(record, result=replace(record.result, segments=tuple(segments)))
    example = sft_example(record)
    text, spans = example["text"], example["spans"]
    assert isinstance(text, str)
    assert isinstance(spans, list)
    trained = {place for start, end in spans for place in range(start, end)}
    flags = [segment.trained for segment in segments for _ in segment.text]
    assert [place in trained for place in range(len(text))] == flags


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of single letters that puts 1 before a text and never makes 5 of ``ab``."""
    from tokenizers import (  # type: ignore[import-untyped]
        Regex,
        Tokenizer,
        models,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"?": 0, "^": 1, "a": 2, "b": 3, "c": 4, "ab": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing("^ $A", None, [("^", 1)])
    folder = tmp_path_factory.mktemp("tokenizer")
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")  # type: ignore[no-untyped-call]
    made.save_pretrained(folder)
    return folder


def with_segments(*segments: Segment) -> Record:
    record = record_of(played(SearchR1(), [ANSWER]))
    return replace(record, result=replace(record.result, segments=segments))


def test_sampled_ids_stand_as_they_are(tokenizer_folder: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_folder)
    assert tokenizer.encode("ab", add_special_tokens=True) == [1, 2, 3]
    record = with_segments(
        Segment(Source.PROMPT, "ca", trained=False),
        Segment(Source.AGENT, "ab", trained=True, token_ids=(5,)),
        Segment(Source.ENVIRONMENT, "b\udc80", trained=False),
        Segment(Source.AGENT, "ab", trained=True),
        Segment(Source.AGENT, "", trained=True, token_ids=()),
    )
    example = sft_example(record, tokenizer)
    assert example["input_ids"] == [1, 4, 2, 5, 3, 0, 2, 3]
    assert example["loss_mask"] == [0, 0, 0, 1, 0, 0, 1, 1]


def test_ids_of_another_model_are_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    record = with_segments(Segment(Source.AGENT, "a", trained=True, token_ids=(2, 6)))
    with pytest.raises(ValueError, match="sampled the id 6, but the tokenizer has 6 tokens"):
        export_sft([record], tmp_path / "x.jsonl", tokenizer=load_tokenizer(tokenizer_folder))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tokenizer in"):
        load_tokenizer(tmp_path)


def failed() -> Episode:
    episode = Episode(QUESTION, SearchR1(), Limits())
    episode.act(SEARCH)
    episode.observe([ToolFailure("down")])
    return episode


def test_select_counts_each_by_its_first_reason() -> None:
    right, wrong = ANSWER, "<answer> Issel </answer>"
    records = [
        record_of(played(SearchR1(), [right])),
        record_of(played(SearchR1(), [SEARCH, SEARCH, right])),
        record_of(played(SearchR1(), [SEARCH, SEARCH, wrong])),
        record_of(played(SearchR1(), [wrong])),
        record_of(played(SearchR1(), ["Well."], max_turns=1)),
        record_of(failed()),
    ]
    assert [record.result.stop for record in records[4:]] == [
        StopReason.MAX_TURNS,
        StopReason.TOOL_ERROR,
    ]
    chosen = select(records, min_scores={"em": 1.0}, answered=True, max_turns=2)
    assert chosen.kept == (records[0],)
    assert chosen.left_out == {
        "more than 2 turns": 2,
        "em below 1": 1,
        "unanswered": 1,
        "failed": 1,
    }
    everything = select(records)
    assert everything.kept == tuple(records[:5])
    assert everything.left_out == {"failed": 1}


def test_select_refuses_what_it_cannot_check() -> None:
    records = [record_of(played(SearchR1(), [ANSWER]))]
    with pytest.raises(ValueError, match=r"the records have no score 'f1'\. Known: em\."):
        select(records, min_scores={"f1": 0.5})
    with pytest.raises(ValueError, match="max_turns must be >= 1, got 0"):
        select(records, max_turns=0)


def test_a_run_by_command(
    play_run: PlayRun,
    tokenizer_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = replace(QUESTION, id="q2")
    moves = {
        "q1": [SEARCH, Written("a" + ANSWER, token_ids=(5, 5))],
        "q2": ["<answer> Issel </answer>"],
    }
    play_run([QUESTION, wrong], moves)
    out = tmp_path / "sft.jsonl"
    words = ["export", "sft", str(tmp_path / "run"), "--out", str(out)]
    assert main([*words, "--min-score", "em=1", "--tokenizer", str(tokenizer_folder)]) == 0
    assert capsys.readouterr().out == f"1 of 2 episodes in {out}\nleft out, em below 1: 1\n"
    (line,) = out.read_text().splitlines()
    example = json.loads(line)
    assert trained_of(example) == moves["q1"]
    assert example["input_ids"][-2:] == [5, 5]
    assert sum(example["loss_mask"]) == len(SEARCH) + 2
    assert len(example["loss_mask"]) == len(example["input_ids"])
    assert main([*words, "--answered", "--max-turns", "1"]) == 0
    assert capsys.readouterr().out.endswith("left out, more than 1 turns: 1\n")
    with pytest.raises(SystemExit, match=r"^2$"):
        main([*words, "--min-score", "em"])
    assert "expected NAME=VALUE, such as em=1, got 'em'" in capsys.readouterr().err
