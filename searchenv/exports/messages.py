"""The dialogue of an episode, made of its segments."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from searchenv.protocols import PROTOCOLS, get_protocol
from searchenv.protocols.base import TextProtocol
from searchenv.results import Result
from searchenv.types import Segment, Source

__all__ = ["messages_of"]

_ROLE = re.compile(r"\b(?:system|user|assistant|tool)\b")


def messages_of(result: Result) -> list[dict[str, object]]:
    """Returns the messages of an episode in the form that chat servers take.

    What is trained stands in ``assistant`` messages. A protocol without a chat template has its
    prompt in one ``user`` message, and each observation in another. Where the policy called tools
    through the API of a chat server, ``tool_calls`` and ``tool_call_id`` are there.
    """
    protocol = get_protocol(result.protocol) if result.protocol in PROTOCOLS else None
    messages: list[tuple[str, str]] = []
    for role, text in _parts(result.segments):
        if role == "assistant" and messages and messages[-1][0] == role:
            messages[-1] = (role, messages[-1][1] + text)
        else:
            messages.append((role, text))
    if protocol is not None and protocol.tool_schemas:
        return _with_calls(messages, protocol)
    return [{"role": role, "content": text} for role, text in messages]


def _parts(segments: tuple[Segment, ...]) -> Iterator[tuple[str, str]]:
    mark = ""
    for segment in segments:
        if segment.source is Source.TEMPLATE:
            mark = segment.text
            continue
        written = segment.trained or segment.source is Source.AGENT
        named = _ROLE.search(mark)
        yield "assistant" if written else named[0] if named else "user", segment.text
        mark = ""


def _with_calls(messages: list[tuple[str, str]], protocol: TextProtocol) -> list[dict[str, object]]:
    dialogue: list[dict[str, object]] = []
    ids: Iterator[str] = iter(())
    for role, text in messages:
        if role == "assistant":
            message = protocol.agent_message(text).as_dict()
            calls = cast(Sequence[Mapping[str, str]], message.get("tool_calls", ()))
            ids = iter([call["id"] for call in calls])
        elif role == "tool":
            message = {"role": role, "content": text, "tool_call_id": next(ids, "")}
        else:
            message = {"role": role, "content": text}
        dialogue.append(message)
    return dialogue
