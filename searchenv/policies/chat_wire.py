"""What is sent to an OpenAI-compatible server, and what its replies mean; no I/O.

Sources: the chat completions and completions formats of OpenAI, and what vLLM, SGLang and
llama.cpp's server add to them: ``stop_reason`` (vLLM) and ``matched_stop`` (SGLang) name the stop
string that ended a text, ``include_stop_str_in_output`` (vLLM) leaves it in, ``bad_words`` (vLLM)
forbids words.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from searchenv.errors import PolicyError
from searchenv.policies.generation import (
    Completion,
    Finish,
    Prompt,
    Sampling,
    Transcript,
    prompt_text,
)

__all__ = ["BrokenReplyError", "Reply", "Request", "StreamReader", "Style", "read_reply"]

OPTIONAL = ("include_stop_str_in_output", "stream_options")
"""Fields that a server may refuse; then the request is sent without them."""


class Style(StrEnum):
    """How a model is prompted."""

    CHAT = "chat"
    """With messages: its own chat template is applied to them."""
    COMPLETION = "completion"
    """With one text that it continues."""


class BrokenReplyError(Exception):
    """A reply is cut off or not of the format; the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Request:
    """One completion that is asked for."""

    prompt: Prompt
    stop: tuple[str, ...] = ()
    include_stop: bool = True
    forbid: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Mapping[str, object], ...] = ()

    def body(
        self,
        style: Style,
        model: str,
        sampling: Sampling,
        *,
        stream: bool,
        extra: Mapping[str, object],
    ) -> dict[str, object]:
        """Returns the JSON body; a value of None in ``extra`` takes a field away.

        Raises:
            PolicyError: the prompt cannot be sent in this style.
        """
        body: dict[str, object] = {
            "model": model,
            **self._prompt(style),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        if self.stop:
            body["stop"] = list(self.stop)
            if self.include_stop:
                body["include_stop_str_in_output"] = True
        if self.forbid:
            body["bad_words"] = list(self.forbid)
        if self.seed is not None:
            body["seed"] = self.seed
        if self.tools:
            body["tools"] = list(self.tools)
        return {key: value for key, value in {**body, **extra}.items() if value is not None}

    def _prompt(self, style: Style) -> dict[str, object]:
        prompt = self.prompt
        text = prompt_text(prompt)
        if style is Style.COMPLETION and text is not None:
            return {"prompt": text}
        if isinstance(prompt, Transcript):
            return {"messages": list(prompt.messages)}
        if isinstance(prompt, str):
            return {"messages": [{"role": "user", "content": prompt}]}
        if text is None and style is Style.CHAT:
            raise PolicyError("token ids need a server in completion mode, got chat mode")
        return {"prompt" if text is None else "messages": list(prompt)}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    message: Mapping[str, object]
    """The assistant message; in completion mode its ``content`` alone."""
    finish: str
    ended_by: object = None
    """The stop string that the server names, or ... where it names none."""
    usage: Mapping[str, object] = field(default_factory=dict)

    def completion(self, request: Request) -> Completion:
        """Returns the text as it was asked for.

        Raises:
            BrokenReplyError: the server gave up on the request.
            PolicyError: the server refused to go on, or ignored what was forbidden.
        """
        if self.finish == "content_filter":
            raise PolicyError("the server's content filter ended the text")
        if self.finish not in ("stop", "length", "tool_calls", "function_call"):
            raise BrokenReplyError(f"the text ended by {self.finish!r}")
        content = self.message.get("content")
        text = content if isinstance(content, str) else ""
        for word in request.forbid:
            if word in text:
                raise PolicyError(
                    f"the text holds {word!r}, which was forbidden: the server ignores bad_words"
                )
        if request.tools:
            text = json.dumps({"role": "assistant", **self.message}, ensure_ascii=False)
        elif self.finish == "stop":
            text = self._ended(text, request)
        return Completion(text, Finish.LENGTH if self.finish == "length" else Finish.STOP)

    def _ended(self, text: str, request: Request) -> str:
        """Returns ``text`` with or without the stop string that ended it."""
        there = [stop for stop in request.stop if text.endswith(stop)]
        if not request.include_stop:
            return text.removesuffix(max(there, key=len)) if there else text
        if there:
            return text
        if isinstance(self.ended_by, str) and self.ended_by in request.stop:
            return text + self.ended_by
        return text + _missing_tag(text, request.stop) if self.ended_by is ... else text


def read_reply(body: object, style: Style) -> Reply:
    """Returns what a whole reply says.

    Raises:
        BrokenReplyError: it is not of the format.
    """
    reader = StreamReader(style)
    reader.take(body)
    return reader.reply()


class StreamReader:
    """Puts a reply together that comes in pieces; one piece may be the whole of it."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._text: list[str] = []
        self._calls: dict[int, dict[str, object]] = {}
        self._finish: str | None = None
        self._ended_by: object = ...
        self._usage: Mapping[str, object] = {}

    def take(self, chunk: object) -> None:
        """Takes one piece.

        Raises:
            BrokenReplyError: it is not of the format, or says that the server failed.
        """
        if not isinstance(chunk, Mapping) or chunk.get("error"):
            error = chunk.get("error") if isinstance(chunk, Mapping) else chunk
            raise BrokenReplyError(f"the server broke off: {str(error)[:200]}")
        if isinstance(usage := chunk.get("usage"), Mapping):
            self._usage = usage
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise BrokenReplyError("expected choices, found none")
        for choice in choices[:1]:
            if not isinstance(choice, Mapping):
                raise BrokenReplyError(f"expected an object as a choice, got {choice!r}"[:200])
            self._take_choice(choice)

    def reply(self) -> Reply:
        """Returns the whole.

        Raises:
            BrokenReplyError: it came to no end.
        """
        if self._finish is None:
            raise BrokenReplyError("the reply was cut off before its end")
        message: dict[str, object] = {"content": "".join(self._text)}
        if self._calls:
            message["tool_calls"] = [self._calls[i] for i in sorted(self._calls)]
        return Reply(message, self._finish, self._ended_by, self._usage)

    def _take_choice(self, choice: Mapping[str, object]) -> None:
        if self._style is Style.COMPLETION:
            piece = choice
            text = choice.get("text")
        else:
            delta = choice.get("delta", choice.get("message"))
            piece = delta if isinstance(delta, Mapping) else {}
            text = piece.get("content")
        if isinstance(text, str):
            self._text.append(text)
        calls = piece.get("tool_calls")
        for i, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, Mapping):
                self._take_call(i, call)
        if isinstance(finish := choice.get("finish_reason"), str):
            self._finish = finish
        for name in ("stop_reason", "matched_stop"):
            if name in choice:
                self._ended_by = choice[name]

    def _take_call(self, i: int, call: Mapping[str, object]) -> None:
        index = call.get("index", i)
        whole = self._calls.setdefault(
            index if isinstance(index, int) else i,
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        if isinstance(identity := call.get("id"), str):
            whole["id"] = identity
        function, given = whole["function"], call.get("function")
        if isinstance(function, dict) and isinstance(given, Mapping):
            for name in ("name", "arguments"):
                function[name] += str(given.get(name) or "")


def _missing_tag(text: str, stop: Sequence[str]) -> str:
    """Returns the one closing tag among ``stop`` that ``text`` lacks.

    Servers that name no reason strip it like an end token, which leaves no trace.
    """
    open_tags = []
    for closing in stop:
        if (tag := re.fullmatch(r"</(\w+)>", closing)) is not None:
            opened = text.rfind(f"<{tag[1]}>")
            if opened > text.rfind(closing):
                open_tags.append((opened, closing))
    return max(open_tags)[1] if open_tags else ""
