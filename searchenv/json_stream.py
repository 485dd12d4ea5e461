"""One long JSON list or object, read element by element in bounded memory.

``json.load`` holds a whole file of text and all that it says at once: several gigabytes for
HotpotQA's training questions.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

__all__ = ["Element", "stream_list", "stream_object"]

_CHUNK_BYTES = 1 << 20
_MAX_ELEMENT_CHARS = 1 << 26
"""An element that is longer than this is a broken file, not a record."""
_BLANK = re.compile(r"[ \t\r\n]+")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Element(NamedTuple):
    """An element of a list, or a member of an object."""

    line: int
    """Where it begins, from 1."""
    value: object
    key: str = ""
    """The name of a member."""


def stream_list(stream: _Readable) -> Iterator[Element]:
    """Yields the elements of the JSON list in ``stream``, which is UTF-8, maybe with a BOM.

    Raises:
        ValueError: it is no such list, or breaks off; the message names the line. What stands
            before the break has been yielded then.
    """
    window = _Window(stream)
    window.expect("[")
    if not window.take("]"):
        while True:
            yield Element(window.begin(), window.value())
            if not window.take(","):
                window.expect("]")
                break
    window.end()


def stream_object(stream: _Readable) -> Iterator[Element]:
    """Yields the members of the JSON object in ``stream``; otherwise as :func:`stream_list`."""
    window = _Window(stream)
    window.expect("{")
    if not window.take("}"):
        while True:
            line, key = window.begin(), window.value()
            if not isinstance(key, str):
                raise window.broken(f"expected a name in quotes, got {key!r:.40}")
            window.expect(":")
            yield Element(line, window.value(), key)
            if not window.take(","):
                window.expect("}")
                break
    window.end()


class _Window:
    """The part of a file that is looked at: what lies before ``_at`` is done with."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._line = 1

    def begin(self) -> int:
        """Goes to the next character that is not blank, and returns its line."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._move_to(blank.end() if blank else self._at)
            if self._at < len(self._text) or not self._fill():
                return self._line

    def take(self, mark: str) -> bool:
        """Returns whether ``mark`` is next, and goes behind it then."""
        self.begin()
        found = self._text.startswith(mark, self._at)
        self._at += found
        return found

    def expect(self, mark: str) -> None:
        """Goes behind ``mark``, which must be next."""
        if not self.take(mark):
            raise self.broken(f"expected {mark!r}, got {self._next()}")

    def end(self) -> None:
        """Makes sure that nothing follows."""
        self.begin()
        if self._at < len(self._text):
            raise self.broken(f"expected nothing more, got {self._next()}")

    def value(self) -> object:
        """Returns the value that is next, and goes behind it."""
        self.begin()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > _MAX_ELEMENT_CHARS or not self._fill():
                    raise self.broken(error.msg) from error
                continue
            except RecursionError as error:
                raise self.broken("lists or objects lie too deep in one another") from error
            # A number at the end of the window may go on behind it: "1", "1." and "1e+" read as 1.
            if end + 2 < len(self._text) or not self._fill():
                self._move_to(end)
                return value

    def broken(self, reason: str) -> ValueError:
        return ValueError(f"line {self._line}: the JSON is broken here: {reason}")

    def _next(self) -> str:
        return repr(self._text[self._at : self._at + 20]) if self._text[self._at :] else "the end"

    def _move_to(self, place: int) -> None:
        self._line += self._text.count("\n", self._at, place)
        self._at = place

    def _fill(self) -> bool:
        """Reads more, and returns whether there was any."""
        data, text = b"more", ""
        while data and not text:
            data = self._stream.read(_CHUNK_BYTES)
            try:
                text = self._utf8.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise ValueError(f"line {self._line}: not UTF-8 from here on: {error}") from error
        if text:
            self._text = self._text[self._at :] + text
            self._at = 0
        return bool(text)
