"""One text while a local model writes it: ids, characters, and where it ends."""

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from searchenv.policies.generation import Completion, Finish

__all__ = ["Draft", "Tokenizer", "read_completion"]

_CONTEXT = 8  # ids before the text that decode with it: some tokenizers drop a first space
_HALF = "\ufffd"  # what the first bytes of a character decode to


class Tokenizer(Protocol):
    """What is needed of a tokenizer."""

    def decode(
        self,
        token_ids: list[int],
        *,
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
    ) -> str:
        """Returns the text of ids."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Returns the ids of a text."""
        ...


class Draft:
    """A text that grows token by token.

    Args:
        prompt: the ids before it.
        room: tokens it may have.
        rng: what its sample is drawn from.
        tokenizer: makes characters of ids.
        stop: strings that end it.
        forbid: strings that it must not hold.
    """

    def __init__(
        self,
        prompt: list[int],
        room: int,
        rng: np.random.Generator,
        tokenizer: Tokenizer,
        stop: Sequence[str],
        forbid: Sequence[str],
    ) -> None:
        self.prompt = prompt
        self.ids: list[int] = []
        self.finish: Finish | None = None
        self._room = room
        self._rng = rng
        self._tokenizer = tokenizer
        self._stop = stop
        self._forbid = forbid
        self._logprobs: list[float] = []
        self._text = ""
        self._ends: list[int] = []  # for each whole id, the length of the text up to it
        self._window = prompt[-_CONTEXT:]
        self._cut: int | None = None

    def point(self) -> float:
        """Returns the next random number of [0, 1)."""
        return float(self._rng.random()) * (1 - 1e-12)  # rounding must not reach 1

    def refuses(self, token: int) -> bool:
        """Returns whether ``token`` would complete a forbidden string."""
        if not self._forbid:
            return False
        longest = max(map(len, self._forbid))
        tail = self._text[-longest:] + self._piece(token)
        return any(string in tail for string in self._forbid)

    def take(self, token: int, logprob: float) -> None:
        """Appends a token, and ends the text where it completes a stop string."""
        piece = self._piece(token)
        self.ids.append(token)
        self._logprobs.append(logprob)
        if not piece.endswith(_HALF):
            self._grow(piece)
        if self.finish is None and len(self.ids) >= self._room:
            self.finish = Finish.LENGTH

    def take_all(self, ids: Sequence[int], logprobs: Sequence[float], *, ended: bool) -> bool:
        """Takes a whole text at once and ends it; False: something of it must be dropped.

        Args:
            ids: at least one; the draft has none yet.
            logprobs: one for each id.
            ended: whether the last id is an end token.
        """
        written = list(ids[:-1] if ended else ids)
        start = len(self._shown())
        text = self._decode(self._window + written)[start:]
        before = self._decode(self._window + written[:-1])[start:]
        stopped = any(string in text for string in self._stop)
        late = stopped and (ended or any(string in before for string in self._stop))
        if late or _HALF in text:
            return False
        self.ids, self._logprobs, self._text = list(ids), list(logprobs), text
        self._ends = [len(text)] * len(ids)
        is_cut = len(ids) >= self._room and not ended and not stopped
        self.finish = Finish.LENGTH if is_cut else Finish.STOP
        return True

    def end(self, token: int, logprob: float) -> None:
        """Appends an end token, which has no characters."""
        self._flush()
        self.ids.append(token)
        self._logprobs.append(logprob)
        self._ends.append(len(self._text))
        self.finish = Finish.STOP

    def completion(self, *, include_stop: bool) -> Completion:
        """Returns the text that has ended."""
        assert self.finish is not None
        ids, logprobs = list(self.ids), tuple(self._logprobs)
        self._flush()
        if include_stop or self._cut is None:
            return Completion(self._text, self.finish, tuple(ids), logprobs)
        kept = sum(end <= self._cut for end in self._ends)
        rest = self._text[self._ends[kept - 1] if kept else 0 : self._cut]
        again = self._tokenizer.encode(rest, add_special_tokens=False) if rest else []
        return Completion(
            self._text[: self._cut],
            self.finish,
            (*ids[:kept], *again),
            None if again else logprobs[:kept],
        )

    def _flush(self) -> None:
        """Takes the characters of ids that wait for others to be whole."""
        if self._pending():
            self._grow(self._decode(self._window + self._pending())[len(self._shown()) :])

    def _grow(self, piece: str) -> None:
        before = len(self._text)
        pending = self._pending()
        self._text += piece
        self._ends += [len(self._text)] * len(pending)
        self._window = (self._window + pending)[-_CONTEXT:]
        if self._cut is not None or not self._stop:
            return
        start = max(0, before - max(map(len, self._stop)) + 1)
        found = [at for string in self._stop if (at := self._text.find(string, start)) >= 0]
        if found:
            self._cut = min(found)
            self.finish = Finish.STOP

    def _piece(self, token: int) -> str:
        """Returns the characters that ``token`` would add."""
        return self._decode([*self._window, *self._pending(), token])[len(self._shown()) :]

    def _pending(self) -> list[int]:
        """Returns the ids whose characters are not whole yet."""
        return self.ids[len(self._ends) :]

    def _shown(self) -> str:
        return self._decode(self._window)

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )


def read_completion(
    prompt: Sequence[int],
    ids: Sequence[int],
    logprobs: Sequence[float],
    tokenizer: Tokenizer,
    *,
    ends: Collection[int],
    stop: Sequence[str],
    include_stop: bool,
    room: int,
) -> Completion:
    """Returns ids that a server of tokens sampled as the text that they are.

    It is what :class:`TransformersGenerator` makes of the same ids. What follows the first stop
    string or end token is dropped.

    Args:
        prompt: the ids before them.
        ids: at least one.
        logprobs: one for each id.
        tokenizer: of the model.
        ends: ids that end a text.
        stop: strings that end it.
        include_stop: whether the text holds the one that ended it.
        room: ids that were asked for; so many mean that the text was cut.
    """
    draft = Draft(list(prompt), room, np.random.default_rng(0), tokenizer, tuple(stop), ())
    is_plain = include_stop and not any(token in ends for token in ids[:-1])
    if is_plain and draft.take_all(ids, logprobs, ended=ids[-1] in ends):
        return draft.completion(include_stop=True)
    for token, logprob in zip(ids, logprobs, strict=True):
        take = draft.end if token in ends else draft.take
        take(token, logprob)
        if draft.finish is not None:
            break
    else:
        draft.finish = Finish.STOP  # the server stopped for a reason of its own
    return draft.completion(include_stop=include_stop)
