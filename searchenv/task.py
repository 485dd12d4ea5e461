"""What an environment plays: questions, tools, protocol, reward and limits.

The single and the vector environment take the same arguments and hand them to :class:`Task`.
Nothing heavy happens before the first reset, so that environments can be made, copied and sent to
worker processes freely.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np

from searchenv.episode import Episode
from searchenv.errors import QuestionError, did_you_mean
from searchenv.protocols import TextProtocol, get_protocol
from searchenv.questions import link_gold, read_questions
from searchenv.retrieval import Retriever, RetrieverTool, open_index
from searchenv.retrieval.remote import open_remote
from searchenv.rewards import Outcome, Reward
from searchenv.types import Limits, OnInvalid, Question, Tool
from searchenv.worlds.demo import demo_index, demo_questions

__all__ = ["QuestionOrder", "Task", "TaskOptions"]

DEMO = "demo"


class TaskOptions(TypedDict, total=False):
    """The keyword arguments of :class:`Task`, which both environments take."""

    index: str | Path | Retriever
    """``"demo"`` (a generated world, built on first use), a folder, a name, a retriever, or the
    URL of a service: ``http://host:port`` or ``http://host:port/NAME``."""
    engine: str | None
    """``"lucene"`` or ``"bm25s"``; None means Lucene for the demo and else what the index is."""
    questions: Sequence[Question] | str | Path | None
    """The questions, or a file of them; None means those of the demo world."""
    split: str | None
    """The ``split`` metadata of the questions to play; None: ``train`` of the demo, else all."""
    protocol: str | TextProtocol
    """A protocol, its name, or ``package.module:Name``; ``search_r1`` if not given."""
    reward: Reward | None
    """Scores finished episodes; None means exact match of the answer."""
    limits: Limits | None
    """The budgets of an episode; None means ``Limits()``."""
    k: int
    """Hits a search returns, at least 1; 3 if not given."""
    tools: Mapping[str, Tool] | None
    """More tools by name; one named ``search`` replaces the one over ``index``."""


class Task:
    """Everything an episode needs besides the agent; see :class:`TaskOptions` for the arguments.

    Raises:
        ValueError: ``k`` is below 1.
        QuestionError: an index of the user's own comes without questions.
    """

    def __init__(
        self,
        *,
        index: str | Path | Retriever = DEMO,
        engine: str | None = None,
        questions: Sequence[Question] | str | Path | None = None,
        split: str | None = None,
        protocol: str | TextProtocol = "search_r1",
        reward: Reward | None = None,
        limits: Limits | None = None,
        k: int = 3,
        tools: Mapping[str, Tool] | None = None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be >= 1, got {k}")
        if questions is None and index != DEMO:
            raise QuestionError(
                "questions are needed for an index of your own: pass questions=FILE or a sequence"
            )
        self.protocol = get_protocol(protocol)
        self.reward = Outcome("em") if reward is None else reward
        self.limits = Limits() if limits is None else limits
        self._index = index
        self._engine = engine
        self._questions = questions
        self._split = "train" if questions is None and split is None else split
        self._k = k
        self._more_tools = dict(tools or {})

    @property
    def invalid_cost(self) -> float:
        """What an invalid move costs at once."""
        limits = self.limits
        return limits.invalid_penalty if limits.on_invalid is OnInvalid.PENALTY else 0.0

    @cached_property
    def retriever(self) -> Retriever:
        """The retriever over the index; opened, and for the demo built, when first asked for."""
        if isinstance(self._index, str | Path):
            if self._index == DEMO:
                return demo_index(self._engine or "lucene")
            if str(self._index).startswith(("http://", "https://")):
                return open_remote(str(self._index))
            return open_index(self._index, engine=self._engine)
        return self._index

    @cached_property
    def tools(self) -> Mapping[str, Tool]:
        """The tools by name."""
        if "search" in self._more_tools:
            return self._more_tools
        return {"search": RetrieverTool(self.retriever, self._k), **self._more_tools}

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """The questions of the split, their gold passages linked to ids of the index.

        Raises:
            QuestionError: there are none.
        """
        if self._questions is None:
            questions = demo_questions()
        elif isinstance(self._questions, str | Path):
            questions = read_questions(self._questions)
        else:
            questions = tuple(self._questions)
        if self._split is not None:
            splits = {str(q.metadata.get("split")) for q in questions}
            questions = tuple(q for q in questions if q.metadata.get("split") == self._split)
            if not questions:
                hint = did_you_mean(self._split, splits)
                raise QuestionError(f"no question is in the split {self._split!r}. {hint}")
        if not questions:
            raise QuestionError("expected at least one question, got none")
        passages = getattr(self.retriever, "passages", None) if _needs_link(questions) else None
        return questions if passages is None else link_gold(questions, passages)

    @cached_property
    def by_id(self) -> Mapping[str, Question]:
        """The questions by id."""
        return {question.id: question for question in self.questions}

    def question(self, question_id: str) -> Question:
        """Returns the question with this id.

        Raises:
            QuestionError: there is none.
        """
        try:
            return self.by_id[question_id]
        except KeyError:
            hint = did_you_mean(question_id, self.by_id) if len(self.by_id) < 1000 else ""
            raise QuestionError(
                f"no question has the id {question_id!r} among {len(self.by_id)}. {hint}"
            ) from None

    def episode(self, question: Question) -> Episode:
        """Returns a new episode of ``question``."""
        return Episode(question, self.protocol, self.limits)


class QuestionOrder:
    """An endless order of questions: every epoch is a seeded permutation of its own.

    Two orders with the same random generator state are the same, on every machine.
    """

    def __init__(self, num_questions: int, rng: np.random.Generator) -> None:
        self._num_questions = num_questions
        self._entropy = int(rng.integers(2**63))
        self._epochs: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}

    def __getitem__(self, episode: int) -> int:
        """Returns the question number of an episode, counted from 0 over all epochs."""
        epoch, position = divmod(episode, self._num_questions)
        if epoch not in self._epochs:
            rng = np.random.default_rng([self._entropy, epoch])
            self._epochs.pop(epoch - 2, None)
            self._epochs[epoch] = rng.permutation(self._num_questions)
        return int(self._epochs[epoch][position])


def _needs_link(questions: Sequence[Question]) -> bool:
    return any(gold.title and not gold.ids for q in questions for gold in q.gold)
