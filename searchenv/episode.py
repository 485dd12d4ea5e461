"""An episode that does no I/O: the one loop that every driver of this project uses.

A driver alternates :meth:`Episode.act` (what the policy wrote) and :meth:`Episode.observe` (what
the tools returned) until :attr:`Episode.over`. The episode never touches a network, an index or a
model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import cast

from searchenv.errors import EpisodeStateError, ProtocolError
from searchenv.protocols.base import LAST_TURN, NO_CALLS_LEFT, Message, TextProtocol
from searchenv.results import Result, Turn
from searchenv.saved import question_of, result_of, result_state
from searchenv.types import (
    Act,
    Answer,
    Hit,
    Invalid,
    Limits,
    Move,
    Observation,
    OnInvalid,
    OnLimit,
    Passage,
    Question,
    Segment,
    Source,
    StopReason,
    ToolCall,
    ToolFailure,
    ToolResult,
)

__all__ = ["Episode", "EpisodeView"]

_STATE_VERSION = 1


class Episode:
    """The state machine of one question.

    Args:
        question: what is asked.
        protocol: how moves and observations are written.
        limits: the budgets.
        seed: for policies that draw random numbers; samples of one question differ in it.

    Raises:
        ProtocolError: ``limits.max_observation`` is too small for the protocol's marks.
    """

    def __init__(
        self, question: Question, protocol: TextProtocol, limits: Limits, *, seed: int = 0
    ) -> None:
        needed = protocol.min_observation(limits.counter)
        if limits.max_observation < needed:
            raise ProtocolError(
                f"max_observation must be >= {needed} for protocol {protocol.name!r}, "
                f"got {limits.max_observation}"
            )
        self.question = question
        self.protocol = protocol
        self.limits = limits
        self.seed = seed
        self.messages: list[Message] = protocol.messages(question)
        """The dialogue in the form that chat servers take (``chat`` protocols)."""
        self._segments = protocol.opening(question)
        self._opening = len(self._segments)
        self._turns: list[Turn] = []
        self._calls: Counter[str] = Counter()
        self._hits: list[tuple[tuple[Hit, ...], ...]] = []
        self._refused: tuple[ToolCall, ...] = ()
        self._pending: tuple[ToolCall, ...] | None = None
        self._stop: StopReason | None = None
        self._error: str | None = None
        self._log: list[dict[str, object]] = []

    @property
    def prompt(self) -> str:
        """What the policy reads first, without the marks of a chat template."""
        segments = self._segments[: self._opening]
        return "\n\n".join(s.text for s in segments if s.source is Source.PROMPT)

    @property
    def transcript(self) -> str:
        """Exactly what the policy saw and wrote so far: all segments, concatenated."""
        return "".join(segment.text for segment in self._segments)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The transcript so far, in pieces."""
        return tuple(self._segments)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The moves so far."""
        return tuple(self._turns)

    @property
    def hits(self) -> tuple[tuple[tuple[Hit, ...], ...], ...]:
        """The hits of each call that was run, by turn."""
        return tuple(self._hits)

    @property
    def num_turns(self) -> int:
        """How many moves were made."""
        return len(self._turns)

    @property
    def num_calls(self) -> int:
        """How many calls were run."""
        return self._calls.total()

    @property
    def over(self) -> bool:
        """Whether the episode has ended."""
        return self._stop is not None

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """The calls that ``observe`` wants results for; empty after an invalid move."""
        return self._pending or ()

    @property
    def awaits_move(self) -> bool:
        """Whether the policy is to move."""
        return self._stop is None and self._pending is None

    @property
    def view(self) -> "EpisodeView":
        """What a policy may know; nothing in it says what the right answer is."""
        return EpisodeView(self)

    def act(self, text: str, *, token_ids: Sequence[int] | None = None, cut: bool = False) -> Move:
        """Takes what the policy wrote and returns the move it makes.

        Args:
            text: any Unicode; it enters the transcript unaltered.
            token_ids: the ids that a model sampled for ``text``, kept as they are.
            cut: the model ran out of tokens before it stopped by itself.

        Raises:
            EpisodeStateError: it is not the policy's turn.
            TypeError: ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"a move must be a str, got {type(text).__name__}")
        if not self.awaits_move:
            state = "is over" if self.over else "waits for observe()"
            raise EpisodeStateError(f"act() was called while the episode {state}")
        ids = None if token_ids is None else tuple(token_ids)
        self._log.append({"act": text, "token_ids": ids, "cut": cut})
        self._segments.append(Segment(Source.AGENT, text, trained=True, token_ids=ids))
        self.messages.append(self.protocol.agent_message(text))
        move, end = self.protocol.parse(text, cut=cut)
        self._turns.append(Turn(move, len(text[end:].strip())))
        self._hits.append(())
        if isinstance(move, Answer):
            self._stop = StopReason.ANSWER
        elif isinstance(move, Invalid) and self.limits.on_invalid is OnInvalid.END:
            self._stop = StopReason.INVALID
        elif len(self._turns) >= self.limits.max_turns:
            self._stop = StopReason.MAX_TURNS
        else:
            self._pending = self._admit(move) if isinstance(move, Act) else ()
        return move

    def observe(self, results: Sequence[ToolResult]) -> str:
        """Takes the results of ``pending`` and returns what the policy reads next.

        A failed call ends the episode with ``tool_error``: a failure is never shown as an empty
        result.

        Raises:
            EpisodeStateError: no results are expected.
            ValueError: the number of results is not that of ``pending``.
        """
        if self._pending is None:
            raise EpisodeStateError("observe() was called before act(), or the episode is over")
        if len(results) != len(self._pending):
            raise ValueError(f"expected {len(self._pending)} results, got {len(results)}")
        self._log.append({"observe": [result_state(result) for result in results]})
        calls, self._pending = self._pending, None
        self._calls.update(call.tool for call in calls)
        if failure := next((r for r in results if isinstance(r, ToolFailure)), None):
            self._stop, self._error = StopReason.TOOL_ERROR, failure.message
            return ""
        observed = cast(Sequence[Observation], results)
        turn = self._turns[-1]
        if isinstance(turn.move, Act):
            ids = tuple(tuple(hit.passage.id for hit in o.hits) for o in observed)
            self._turns[-1] = replace(turn, hit_ids=ids + ((),) * len(self._refused))
        self._hits[-1] = tuple(o.hits for o in observed)
        return self._reply(self._answer_messages(turn.move, calls, observed))

    def abandon(self, message: str) -> None:
        """Ends the episode because the policy failed, such as a model's server.

        Raises:
            EpisodeStateError: it is not the policy's turn.
        """
        self._end("abandon", message, StopReason.POLICY_ERROR)
        self._error = message

    def exhaust(self, message: str) -> None:
        """Ends the episode, unanswered, because no more text fits into what the policy can read.

        Raises:
            EpisodeStateError: it is not the policy's turn.
        """
        self._end("exhaust", message, StopReason.MAX_TOKENS)

    @property
    def result(self) -> Result:
        """The finished episode.

        Raises:
            EpisodeStateError: it is not over.
        """
        if self._stop is None:
            raise EpisodeStateError("the episode is not over: it has no result yet")
        invalid = sum(isinstance(turn.move, Invalid) for turn in self._turns)
        penalised = self.limits.on_invalid is OnInvalid.PENALTY
        return Result(
            question=self.question,
            protocol=self.protocol.name,
            stop=self._stop,
            turns=self.turns,
            segments=self.segments,
            calls=dict(self._calls),
            penalty=self.limits.invalid_penalty * invalid if penalised else 0.0,
            error=self._error,
        )

    def state(self) -> dict[str, object]:
        """Returns the episode as JSON-able data: what was written and observed so far."""
        return {
            "version": _STATE_VERSION,
            "question": asdict(self.question),
            "seed": self.seed,
            "prompt": self.prompt,
            "log": list(self._log),
        }

    @classmethod
    def restore(
        cls, state: Mapping[str, object], protocol: TextProtocol, limits: Limits
    ) -> "Episode":
        """Returns the saved episode, made again by the same moves and results.

        Raises:
            EpisodeStateError: the state is of another version, or its prompt is not this
                protocol's.
        """
        if state.get("version") != _STATE_VERSION:
            raise EpisodeStateError(
                f"expected an episode state of version {_STATE_VERSION}, "
                f"got {state.get('version')!r}"
            )
        question = question_of(cast(Mapping[str, object], state["question"]))
        episode = cls(question, protocol, limits, seed=cast(int, state.get("seed", 0)))
        if episode.prompt != state["prompt"]:
            raise EpisodeStateError(
                f"the saved prompt is not that of protocol {protocol.name!r}: "
                "restore with the protocol that the episode was played with"
            )
        for entry in cast(Sequence[Mapping[str, object]], state["log"]):
            if "act" in entry:
                ids = cast(Sequence[int] | None, entry["token_ids"])
                episode.act(cast(str, entry["act"]), token_ids=ids, cut=bool(entry["cut"]))
            elif "abandon" in entry:
                episode.abandon(cast(str, entry["abandon"]))
            elif "exhaust" in entry:
                episode.exhaust(cast(str, entry["exhaust"]))
            else:
                saved = cast(Sequence[Mapping[str, object]], entry["observe"])
                episode.observe([result_of(result) for result in saved])
        return episode

    def _end(self, how: str, message: str, stop: StopReason) -> None:
        if not self.awaits_move:
            raise EpisodeStateError(f"{how}() was called while it was not the policy's turn")
        self._log.append({how: message})
        self._stop = stop

    def _admit(self, move: Act) -> tuple[ToolCall, ...]:
        """Returns the calls within budget; the others are refused or end the episode."""
        if not self.limits.max_calls:
            return move.calls
        asked: Counter[str] = Counter(self._calls)
        admitted, refused = list[ToolCall](), list[ToolCall]()
        for call in move.calls:
            asked[call.tool] += 1
            budget = self.limits.max_calls.get(call.tool)
            (admitted if budget is None or asked[call.tool] <= budget else refused).append(call)
        if refused and self.limits.on_limit is OnLimit.END:
            self._stop = StopReason.MAX_CALLS
            return ()
        self._refused = tuple(refused)
        return tuple(admitted)

    def _answer_messages(
        self, move: Move, calls: Sequence[ToolCall], observed: Sequence[Observation]
    ) -> list[Message]:
        if isinstance(move, Invalid):
            messages = self.protocol.remark(self.protocol.hint(move))
        else:
            blocks = [self._block(observation) for observation in observed]
            blocks += [
                self.protocol.framed(NO_CALLS_LEFT.format(tool=call.tool)) for call in self._refused
            ]
            messages = self.protocol.results([*calls, *self._refused], blocks)
            self._refused = ()
        if self.limits.on_limit is OnLimit.TELL and len(self._turns) == self.limits.max_turns - 1:
            messages = [*messages, *self.protocol.remark(LAST_TURN)]
        return messages

    def _block(self, observation: Observation) -> str:
        limits = self.limits
        passages = [hit.passage for hit in observation.hits]
        if observation.text is not None:
            passages = [Passage("", "", observation.text)]
        return self.protocol.render_passages(passages, limits.max_observation, limits.counter)

    def _reply(self, messages: Sequence[Message]) -> str:
        segments = self.protocol.reply(self._segments[-1].text, messages)
        self._segments += segments
        self.messages += messages
        return "".join(s.text for s in segments if s.source is Source.ENVIRONMENT)


class EpisodeView:
    """The part of an episode that a policy may know."""

    def __init__(self, episode: Episode) -> None:
        self._episode = episode

    @property
    def question_id(self) -> str:
        """The id of the question."""
        return self._episode.question.id

    @property
    def question(self) -> str:
        """The question as asked."""
        return self._episode.question.text

    @property
    def seed(self) -> int:
        """What random numbers are drawn from; samples of one question differ in it."""
        return self._episode.seed

    @property
    def protocol(self) -> TextProtocol:
        """How moves must be written."""
        return self._episode.protocol

    @property
    def transcript(self) -> str:
        """Exactly what the policy saw and wrote so far."""
        return self._episode.transcript

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The transcript in pieces, with the ids that a model sampled for its own."""
        return self._episode.segments

    @property
    def messages(self) -> list[dict[str, object]]:
        """The dialogue so far in the form that chat servers take."""
        return [message.as_dict() for message in self._episode.messages]

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves so far."""
        return tuple(turn.move for turn in self._episode.turns)

    @property
    def observations(self) -> tuple[tuple[Hit, ...], ...]:
        """The hits of each call that was run, before any cut to ``max_observation``."""
        return tuple(hits for turn in self._episode.hits for hits in turn)

    @property
    def limits(self) -> Limits:
        """The budgets of the episode."""
        return self._episode.limits

    @property
    def turns_left(self) -> int:
        """Moves that may still be made, the answer included."""
        return self._episode.limits.max_turns - self._episode.num_turns

    def calls_left(self, tool: str = "search") -> int | None:
        """Returns the calls that ``tool`` may still get; None where it is not limited."""
        budget = self._episode.limits.max_calls.get(tool)
        return None if budget is None else budget - self._episode._calls[tool]
