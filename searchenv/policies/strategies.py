"""Strategies: what to ask a language model and what to search, step by step, as plain code.

A strategy is a generator: it yields what it wants, a text of the model (:class:`Ask`) or a search
(:class:`Find`), is sent it, and returns the answer. :class:`StrategyPolicy` plays it through
episodes, many at once, within their budgets.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from searchenv.episode import EpisodeView
from searchenv.policies.generation import Generator as Model
from searchenv.policies.generation import sample_seed
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
"""Called with the question; what it wants follows from what it was sent alone."""

_Texts = dict[tuple[int, Ask], str]


class _Run:
    """A strategy that is replayed over the searches and the known texts of an episode."""

    def __init__(self, strategy: Strategy, view: EpisodeView, texts: _Texts) -> None:
        self.view = view
        self.want: Wanted | str
        self._steps = strategy(view.question)
        self._texts = texts
        self._asked = 0
        self._found = iter(view.observations)
        self._send(None)

    @property
    def seed(self) -> int:
        """The seed of the text that it waits for."""
        return sample_seed(self.view.seed, self.view.question_id, self._asked)

    def take(self, want: Ask, text: str) -> None:
        """Takes the text that it waits for."""
        self._texts[self.seed, want] = text
        self._asked += 1
        self._send(text)

    def _send(self, sent: Sent) -> None:
        """Sends this and all that is known, up to a new text, a new search or the answer."""
        try:
            want = self._steps.send(sent)
            while True:
                if isinstance(want, Ask):
                    text = self._texts.get((self.seed, want))
                    if text is None:
                        break
                    self._asked += 1
                    want = self._steps.send(text)
                elif (hits := next(self._found, None)) is not None:
                    want = self._steps.send([hit.passage for hit in hits])
                elif may_search(self.view):
                    break
                else:
                    want = self._steps.send(None)
        except StopIteration as end:
            self.want = str(end.value)
        else:
            self.want = want


class StrategyPolicy:
    """Plays a strategy, with a model that writes.

    In each turn the strategy is replayed over what the view holds. The texts of the model are kept
    until the answer, so that none is asked for twice; those of an episode that was begun elsewhere
    are asked for again, with the same seeds.

    Args:
        strategy: what is played.
        model: writes the texts.
    """

    def __init__(self, strategy: Strategy, model: Model) -> None:
        self._strategy = strategy
        self._model = model
        self._texts: dict[tuple[str, int], _Texts] = {}

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
            PolicyError: the model failed.
        """
        runs = [
            _Run(self._strategy, view, self._texts.setdefault((view.question_id, view.seed), {}))
            for view in views
        ]
        while asking := [(run, run.want) for run in runs if isinstance(run.want, Ask)]:
            self._ask(asking)
        return [self._move(run) for run in runs]

    def _ask(self, asking: Sequence[tuple[_Run, Ask]]) -> None:
        """Gives each the text that it waits for; one call of the model for each set of stops."""
        by_stop: dict[tuple[str, ...], list[tuple[_Run, Ask]]] = {}
        for run, want in asking:
            by_stop.setdefault(want.stop, []).append((run, want))
        for stop, members in by_stop.items():
            found = self._model.generate(
                [[{"role": "user", "content": want.prompt}] for _, want in members],
                stop=stop,
                include_stop=False,
                seeds=[run.seed for run, _ in members],
            )
            for (run, want), (completion,) in zip(members, found, strict=True):
                run.take(want, completion.text)

    def _move(self, run: _Run) -> str:
        if isinstance(run.want, Find):
            return write_search(run.view, run.want.query)
        self._texts.pop((run.view.question_id, run.view.seed), None)
        return write_answer(run.view, str(run.want))


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
