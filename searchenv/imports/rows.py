"""What a row of another project's outputs says of its question and of what was found.

The layouts are those of :mod:`searchenv.evaluation.outputs`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import cast

from searchenv.errors import QuestionError, RunError
from searchenv.evaluation.outputs import (
    FLASHRAG_ROUND,
    Output,
    read_flashrag,
    read_r1_searcher,
    read_search_r1,
)
from searchenv.imports.transcripts import Transcript, passage_of, read_transcript
from searchenv.questions.layouts import get_layout, parse_question, unfolded
from searchenv.types import Passage, Question, StopReason, ToolCall

__all__ = ["FORMATS", "Finding", "Format"]

NOT_TOLD = "(the file does not tell this query)"
_ID_CHARS = 16
_QUESTION = re.compile(r"(?:.*\b)?Question:\s*(.*)", re.DOTALL)
# What is left of "<|im_start|>assistant\n" where special tokens were left out.
_ASSISTANT = re.compile(r"\s*\nassistant\s*(?:<think>\s*)?\Z")
_STOPS = {
    "Reach max retrieval number": StopReason.MAX_CALLS,
    "Query instruction error": StopReason.INVALID,
    "length": StopReason.MAX_TOKENS,
    "many_retrieve": StopReason.MAX_CALLS,
    "query_inst_error": StopReason.INVALID,
    "shot_down": StopReason.INVALID,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A search and its passages, from fields of their own."""

    call: ToolCall
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file."""

    read: Callable[[str], list[Output]]
    question: Callable[[Output], Question]
    """Raises ``RunError`` for a row that does not say its question."""
    transcript: Callable[[Output], Transcript | None]
    """None where the row has none, or one that does not show its searches."""
    findings: Callable[[Output], tuple[Finding, ...] | None]
    """None where the row has no fields for them; they come before those of a transcript."""

    def stop(self, row: Output) -> StopReason:
        """Returns why the episode ended, as far as it is told."""
        answered = StopReason.NOT_TOLD if row.prediction is None else StopReason.ANSWER
        return _STOPS.get(row.stop, answered)


def _made(row: Output, text: object) -> Question:
    """Returns a question whose id is made of its text and its gold answers."""
    if not isinstance(text, str) or not text.strip():
        raise RunError(f"{row.where}: the row does not say its question")
    key = "\n".join([text, *row.answers]).encode("utf-8", "surrogatepass")
    return Question(sha256(key).hexdigest()[:_ID_CHARS], text.strip(), tuple(row.answers))


def _of_dump(row: Output) -> Question:
    """Returns the question in the prompt: what follows its last "Question:", or all of it."""
    prompt = row.record.get("input")
    if isinstance(prompt, str):
        prompt = _ASSISTANT.sub("", prompt)
        asked = _QUESTION.fullmatch(prompt)
        prompt = asked[1] if asked else prompt
    return _made(row, prompt)


def _of_flashrag(row: Output) -> Question:
    fields = {k: v for k, v in row.record.items() if k != "output" and v is not None}
    layout = get_layout("common")
    if not isinstance(fields.get("id"), str | int):
        return _made(row, fields.get("question"))
    try:
        return parse_question(unfolded(fields, layout), layout, 0)
    except QuestionError as error:
        raise RunError(f"{row.where}: {error}") from None


def _text_of_dump(row: Output) -> Transcript:
    prompt = row.record.get("input")
    return read_transcript(row.transcript or "", prompt if isinstance(prompt, str) else None)


def _text_of_flashrag(row: Output) -> Transcript | None:
    if row.transcript is None:
        return None
    output = _output(row)
    prompt = output.get("query") if "final_response" in output else None
    return read_transcript(row.transcript, prompt if isinstance(prompt, str) else None)


def _text_of_r1(row: Output) -> Transcript | None:
    return None if row.transcript is None else read_transcript(row.transcript)


def _found_by_flashrag(row: Output) -> tuple[Finding, ...] | None:
    output = _output(row)
    steps = output.get("retrieval_results")
    if isinstance(steps, Mapping):
        return tuple(_step(step, f"{row.where}, step {name}") for name, step in steps.items())
    rounds = sorted(
        (name for name in output if name.startswith(FLASHRAG_ROUND)),
        key=lambda name: (len(name), name),
    )
    names = rounds or [name for name in ("retrieval_result",) if name in output]
    if not names or row.transcript is not None:
        return None
    return tuple(
        Finding(ToolCall("search", NOT_TOLD), _documents(output[name], f"{row.where}, {name}"))
        for name in names
    )


def _output(row: Output) -> Mapping[str, object]:
    return cast(Mapping[str, object], row.record["output"])  # read_flashrag has looked at it


def _step(step: object, where: str) -> Finding:
    if not isinstance(step, Mapping):
        raise RunError(f"{where}: expected a query and its docs, got {step!r:.60}")
    queries = step.get("queries", step.get("query"))
    texts = queries if isinstance(queries, list) else [queries]
    query = "; ".join(text for text in texts if isinstance(text, str))
    return Finding(ToolCall("search", query or NOT_TOLD), _documents(step.get("docs"), where))


def _documents(value: object, where: str) -> tuple[Passage, ...]:
    """Returns FlashRAG's documents: ``contents`` is the title, a line break and the text."""
    if not isinstance(value, list):
        raise RunError(f"{where}: expected a list of documents, got {value!r:.60}")
    passages = []
    for each in value:
        contents = each.get("contents") if isinstance(each, Mapping) else each
        if not isinstance(contents, str):
            raise RunError(f"{where}: expected a document with 'contents', got {each!r:.60}")
        title, _, text = contents.partition("\n")
        own = each.get("id") if isinstance(each, Mapping) else None
        passages.append(passage_of(title.strip().strip('"'), text, "" if own is None else str(own)))
    return tuple(passages)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "flashrag": Format(read_flashrag, _of_flashrag, _text_of_flashrag, _found_by_flashrag),
        "search_r1": Format(read_search_r1, _of_dump, _text_of_dump, lambda row: None),
        "r1_searcher": Format(
            partial(read_r1_searcher, verdict="gpt4o_output"),
            lambda row: _made(row, row.record.get("question")),
            _text_of_r1,
            lambda row: None,
        ),
    }
)
"""What can be imported, by the names that ``searchenv rescore --format`` has; read-only."""
