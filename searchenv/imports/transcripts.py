"""Texts with the tags of Search-R1 or R1-Searcher, as the moves and findings of an episode.

- Search-R1 (Jin et al. 2025, arXiv 2503.09516, Table 1): ``<search>query</search>``, answered with
  ``<information>Doc 1(Title: T) text ...</information>``. FlashRAG's pipeline of that name and our
  own protocol ``search_r1`` write the same.
- R1-Searcher (Song et al. 2025, arXiv 2503.05592): ``<|begin_of_query|>query<|end_of_query|>``,
  answered with ``<|begin_of_documents|>`` and passages that begin with ``(1)``, ``(2)``, ....

A text does not say who wrote what. Documents that stand right behind a closed query are taken for
the environment's, also where an agent forged them; all others are the agent's own words.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, pairwise

from searchenv.types import Act, Fault, Invalid, Passage, Segment, Source, ToolCall

__all__ = ["Transcript", "passage_of", "read_transcript"]

_BLOCKS = {
    "search_r1": r"(?<=</search>)\s*<information>(.*?)(?:</information>(?:\n\n)?|\Z)",
    "r1_searcher": r"(?<=<\|end_of_query\|>)\s*<\|begin_of_documents\|>\n"
    r"(.*?)(?:<\|end_of_documents\|>(?:\n\n)?|\Z)",
}
# What is said to an agent between the documents: our hints and notices, and Search-R1's hint.
_REMARK = (
    r"\n(?:That was no valid move: |My previous action is invalid\. "
    r"|This call was not run: |The next turn is the last one: )[^\n]*(?:\n|\Z)"
)
_ENVIRONMENT = {
    name: re.compile(rf"{block}|{_REMARK}", re.DOTALL) for name, block in _BLOCKS.items()
}
_QUERY = {
    "search_r1": re.compile(r"<search>(?!.*<search>)(.*?)</search>\Z", re.DOTALL),
    "r1_searcher": re.compile(
        r"<\|begin_of_query\|>(?!.*<\|begin_of_query\|>)(.*?)<\|end_of_query\|>\Z", re.DOTALL
    ),
}
_NUMBERED = {
    "search_r1": re.compile(r"^Doc (\d+)", re.MULTILINE),
    "r1_searcher": re.compile(r"^\((\d+)\)", re.MULTILINE),
}
_TAGS = re.compile(r"</?(?:search|answer)>|<\|(?:begin|end)_of_(?:query|documents)\|>")
# How prompts end: R1-Searcher's, and what lets the assistant speak in ChatML and Llama's template.
_PROMPT_ENDS = (
    "\nAssistant: <think>",
    "<|im_start|>assistant\n",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
)
_TITLED = re.compile(r"Title: (.*?) Text: (.*)", re.DOTALL)
_MISSING_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a text says of an episode; without its answer, which files hold apart."""

    protocol: str | None
    """``search_r1`` or ``r1_searcher``; None where there is no tag of either."""
    segments: tuple[Segment, ...]
    """All of the text; the agent's parts are trained where the prompt is told from them."""
    moves: tuple[Act | Invalid, ...] = ()
    """One for each part of the agent's but the last."""
    found: tuple[tuple[Passage, ...] | None, ...] = ()
    """What each move found; None for one that was not run."""
    last: str = ""
    """What the agent wrote last, which is where its answer stands."""


def read_transcript(text: str, prompt: str | None = None) -> Transcript:
    """Returns what a text says of an episode.

    Args:
        text: what followed the prompt, or with it.
        prompt: what stands before ``text``; None where the text may begin with it. Then it is
            looked for by the way in which prompts end.
    """
    if prompt is None:
        prompt, text = _without_prompt(text)
    is_r1 = "<|begin_of_query|>" in text or "<|begin_of_documents|>" in text
    name = "r1_searcher" if is_r1 else "search_r1"
    opening = (Segment(Source.PROMPT, prompt, trained=False),) if prompt else ()
    segments: list[Segment] = list(opening)
    moves: list[Act | Invalid] = []
    found: list[tuple[Passage, ...] | None] = []
    end = 0
    for written, seen, answered in _exchanges(text, name):
        segments += [
            Segment(Source.AGENT, written, trained=bool(prompt)),
            Segment(Source.ENVIRONMENT, seen, trained=False),
        ]
        end += len(written) + len(seen)
        query = _QUERY[name].search(written)
        asked = query is not None or answered is not None
        call = ToolCall("search", query[1].strip() if query else "")
        moves.append(Act((call,)) if asked else Invalid(Fault.NO_ACTION))
        found.append(None if answered is None else tuple(_passages(answered, name)))
    last = text[end:]
    if last:
        segments.append(Segment(Source.AGENT, last, trained=bool(prompt)))
    protocol = name if _TAGS.search(text) else None
    return Transcript(protocol, tuple(segments), tuple(moves), tuple(found), last)


def passage_of(title: str, text: str, id_: str = "") -> Passage:
    """Returns a passage; one without an id gets one that is made of its content."""
    digest = sha256(f"{title}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return Passage(id_ or digest[:_MISSING_ID_CHARS], title, text)


def _without_prompt(text: str) -> tuple[str, str]:
    ends = [at + len(end) for end in _PROMPT_ENDS if (at := text.find(end)) >= 0]
    return (text[: min(ends)], text[min(ends) :]) if ends else ("", text)


def _exchanges(text: str, name: str) -> Iterator[tuple[str, str, str | None]]:
    """Yields what the agent wrote, what it read next, and the documents in that, if any."""
    read: list[tuple[int, int, str | None]] = []
    for match in _ENVIRONMENT[name].finditer(text):
        start, end, documents = match.start(), match.end(), match[1]
        if read and start == read[-1][1]:  # a remark right behind documents
            start, _, documents = read.pop()
        read.append((start, end, documents))
    at = 0
    for start, end, documents in read:
        yield text[at:start], text[start:end], documents
        at = end


def _passages(block: str, name: str) -> Iterator[Passage]:
    starts: list[tuple[int, int]] = []
    for match in _NUMBERED[name].finditer(block):
        if int(match[1]) == len(starts) + 1:  # "Doc 7" may begin a line of a passage
            starts.append((match.start(), match.end()))
    for (_, start), (end, _) in pairwise([*starts, (len(block), 0)]):
        body = block[start:end].strip()
        yield passage_of(*(_titled(body) if name == "search_r1" else _titled_r1(body)))


def _titled(body: str) -> tuple[str, str]:
    """Returns title and text of ``(Title: T) text``; a title may hold brackets in pairs."""
    opening = "(Title: "
    if not body.startswith(opening):
        return "", body
    depths = accumulate((each == "(") - (each == ")") for each in body)
    at = next((i for i, depth in enumerate(depths) if depth == 0), body.find(")"))
    title = body[len(opening) : at].strip()
    if len(title) > 1 and title[0] == title[-1] == '"':
        title = title[1:-1].strip()
    return title, body[at + 1 :].strip()


def _titled_r1(body: str) -> tuple[str, str]:
    """Returns title and text of ``Title: T Text: X``, or of ``T`` and three spaces before X."""
    if titled := _TITLED.fullmatch(body):
        return titled[1].strip(), titled[2].strip()
    title, spaces, text = body.partition("   ")
    return (title.strip(), text.strip()) if spaces else ("", body)
