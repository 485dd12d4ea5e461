"""Strategies: what to ask a language model and what to search, step by step, as plain code.

A strategy is a generator: it yields what it wants, a text of the model (:class:`Ask`) or a search
(:class:`Find`), is sent it, and returns the answer. :class:`StrategyPolicy` plays it through
episodes, many at once, within their budgets.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError
from searchenv.policies.generation import Generator as Model
from searchenv.policies.models import turn_seed
from searchenv.policies.moves import may_search, write_answer, write_search
from searchenv.types import Passage

__all__ = ["Ask", "Find", "Steps", "Strategy", "StrategyPolicy", "ask", "find"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Asks the model for a text; a string is sent back, without the stop string."""

    prompt: str
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """Searches; the passages are sent back, or None where the budgets allow no more searches."""

    query: str


Wanted = Ask | Find
Sent = str | Sequence[Passage] | None
Steps = Generator[Wanted, Sent, str]
Strategy = Callable[[str], Steps]
"""Called with the question."""


@dataclass(slots=True)
class _Running:
    """A strategy in the middle of an episode."""

    steps: Steps
    turn: int
    want: Wanted | str
    """What it waits for, or the answer."""
    asked: int = 0

    def send(self, value: Sent) -> None:
        try:
            self.want = self.steps.send(value)
        except StopIteration as end:
            self.want = str(end.value)


class StrategyPolicy:
    """Plays a strategy, with a model that writes.

    Every episode has a running strategy of its own; an episode that was begun elsewhere cannot be
    gone on with.

    Args:
        strategy: what is played.
        model: writes the texts.
    """

    def __init__(self, strategy: Strategy, model: Model) -> None:
        self._strategy = strategy
        self._model = model
        self._running: dict[tuple[str, int], _Running] = {}

    @property
    def concurrency(self) -> int:
        """Views that may be asked for at once; 0: ask for all of them together."""
        return int(getattr(self._model, "concurrency", 0))

    @property
    def usage(self) -> Mapping[str, int] | None:
        """What the model's calls have cost so far."""
        return getattr(self._model, "usage", None)

    def describe(self) -> dict[str, object]:
        """Returns what decides the moves, for the header of a run."""
        describe = getattr(self._model, "describe", None)
        return {"model": describe() if describe else type(self._model).__name__}

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the next search or the answer of each view.

        Raises:
            PolicyError: the model failed, or an episode was not begun by this policy.
        """
        running = [self._resume(view) for view in views]
        while True:
            for view, each in zip(views, running, strict=True):
                while isinstance(each.want, Find) and not may_search(view):
                    each.send(None)
            asking = [i for i, each in enumerate(running) if isinstance(each.want, Ask)]
            if not asking:
                break
            self._ask([views[i] for i in asking], [running[i] for i in asking])
        return [self._move(view, each.want) for view, each in zip(views, running, strict=True)]

    def _resume(self, view: EpisodeView) -> _Running:
        """Returns the strategy of an episode, which has read what the last move found."""
        key = (view.question_id, view.seed)
        turn = len(view.moves)
        if turn == 0:
            steps = self._strategy(view.question)
            self._running[key] = _Running(steps, 0, next(steps))
        elif key not in self._running:
            raise PolicyError(f"the episode of question {view.question_id!r} was begun elsewhere")
        running = self._running[key]
        if running.turn < turn:  # not so where the model failed and this move is asked for again
            running.turn = turn
            running.send([hit.passage for hit in view.observations[-1]])
        return running

    def _ask(self, views: Sequence[EpisodeView], running: Sequence[_Running]) -> None:
        """Gives each the text that it waits for; one call of the model for each set of stops."""
        by_stop: dict[tuple[str, ...], list[tuple[EpisodeView, _Running, Ask]]] = {}
        for view, each in zip(views, running, strict=True):
            if isinstance(each.want, Ask):
                by_stop.setdefault(each.want.stop, []).append((view, each, each.want))
        for stop, members in by_stop.items():
            found = self._model.generate(
                [[{"role": "user", "content": want.prompt}] for _, _, want in members],
                stop=stop,
                include_stop=False,
                seeds=[turn_seed(view, each.asked) for view, each, _ in members],
            )
            for (_, each, _), (completion,) in zip(members, found, strict=True):
                each.asked += 1
                each.send(completion.text)

    def _move(self, view: EpisodeView, want: Wanted | str) -> str:
        if isinstance(want, Find):
            return write_search(view, want.query)
        del self._running[view.question_id, view.seed]
        return write_answer(view, str(want))


def ask(prompt: str, *stop: str) -> Steps:
    """Returns what the model writes; for ``yield from``."""
    text = yield Ask(prompt, stop)
    assert isinstance(text, str)
    return text


def find(query: str) -> Generator[Wanted, Sent, Sequence[Passage] | None]:
    """Returns what a search finds, None where there may be none; for ``yield from``."""
    found = yield Find(query)
    assert not isinstance(found, str)
    return found
