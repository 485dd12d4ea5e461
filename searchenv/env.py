"""``SearchQA-v0``: one question an episode; the agent searches, reads and answers."""

import sys
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, SupportsFloat, Unpack

import gymnasium as gym

from searchenv.driver import Step, step_episodes
from searchenv.episode import Episode
from searchenv.errors import EpisodeStateError
from searchenv.rendering import render_episode, render_latest
from searchenv.rewards import score
from searchenv.spaces import UnicodeText
from searchenv.task import QuestionOrder, Task, TaskOptions
from searchenv.types import Question, StopReason

__all__ = ["SearchQAEnv"]

Info = dict[str, object]

_TERMINATIONS = frozenset({StopReason.ANSWER, StopReason.INVALID})


class SlotStep(NamedTuple):
    """What one slot reports after a step, in the order of Gymnasium's five-tuple."""

    observation: str
    reward: float
    terminated: bool
    truncated: bool
    info: Info


class Slot:
    """One episode after the other, with the accounts of rewards that both environments keep.

    Args:
        task: what is played.
        reveal_gold: puts the gold answers into ``info["answers"]`` when an episode is over.
    """

    def __init__(self, task: Task, *, reveal_gold: bool) -> None:
        self.task = task
        self.episode: Episode | None = None
        self._reveal_gold = reveal_gold
        self._paid = 0.0

    def start(self, question: Question) -> tuple[str, Info]:
        """Begins an episode and returns its first observation and info."""
        self.episode = self.task.episode(question)
        self._paid = 0.0
        info: Info = {"question_id": question.id, "turn": 0, "calls": 0, "valid": True}
        return self.episode.prompt, info

    def settle(self, step: Step) -> SlotStep:
        """Returns reward and info of a step that the driver has made.

        The rewards of the steps of a scored episode sum to its terms.
        """
        episode = self.running()
        info: Info = {"turn": episode.num_turns, "calls": episode.num_calls, "valid": step.valid}
        if not episode.over:
            reward = 0.0 if step.valid else -self.task.invalid_cost
            self._paid += reward
            return SlotStep(step.observation, reward, False, False, info)
        result = episode.result
        terms = score(self.task.reward, result)
        reward = sum(terms.values()) - self._paid if terms else 0.0
        info |= {"stop_reason": result.stop.value, "terms": dict(terms)}
        if result.tool_error is not None:
            info["tool_error"] = result.tool_error
        if self._reveal_gold:
            info["answers"] = result.question.answers
        terminated = result.stop in _TERMINATIONS
        return SlotStep(step.observation, reward, terminated, not terminated, info)

    def running(self) -> Episode:
        """Returns the current episode.

        Raises:
            EpisodeStateError: there is none.
        """
        if self.episode is None:
            raise EpisodeStateError("step() was called before reset()")
        return self.episode


class SearchQAEnv(gym.Env[str, str]):
    """A question-answering agent that searches, as a Gymnasium environment.

    **Observation**: the text that the agent reads next (``UnicodeText``): the prompt after a reset,
    then the passages of its searches or a hint after an invalid move; empty when the episode is
    over.

    **Action**: the text that the agent writes (``UnicodeText``), in the format of the protocol.

    **Reward**: 0 until the episode is over, then the sum of the reward's terms; with
    ``on_invalid="penalty"`` an invalid move costs at once.

    **End**: ``terminated`` on an answer, right or wrong, and on an invalid move with
    ``on_invalid="end"``; ``truncated`` when a budget is used up or a tool failed (then
    ``info["tool_error"]`` says why, and the episode is unscored: drop it).

    **Info**: ``question_id`` (after a reset), ``turn``, ``calls`` and ``valid`` (was the last move
    valid); at the end also ``stop_reason`` and ``terms``, and ``answers`` if ``reveal_gold`` is
    set.

    ``reset(seed=s)`` begins a new seeded order of questions: each epoch is a permutation.
    ``reset()`` goes on to the next question; ``reset(options={"question_id": id})`` plays that one
    and leaves the order as it was.

    Args:
        max_chars: bound of actions and observations, in characters.
        reveal_gold: puts the gold answers into the last ``info``.
        render_mode: ``"ansi"`` (``render`` returns text), ``"human"`` (prints while playing) or
            None.
        task: what is played, see :class:`searchenv.task.TaskOptions`.
    """

    metadata: ClassVar[dict[str, object]] = {"render_modes": ["ansi", "human"], "render_fps": 1}  # type: ignore[misc]

    def __init__(
        self,
        *,
        max_chars: int = 65_536,
        reveal_gold: bool = False,
        render_mode: str | None = None,
        **task: Unpack[TaskOptions],
    ) -> None:
        if render_mode not in (None, "ansi", "human"):
            raise ValueError(f"render_mode must be 'ansi', 'human' or None, got {render_mode!r}")
        self.task = Task(**task)
        self.render_mode = render_mode
        self.action_space = UnicodeText(max_chars)
        self.observation_space = UnicodeText(max_chars)
        self._slot = Slot(self.task, reveal_gold=reveal_gold)
        self._order: QuestionOrder | None = None
        self._episodes = 0

    @property
    def episode(self) -> Episode:
        """The current episode; trainers and recorders read its segments and result."""
        return self._slot.running()

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[str, Info]:
        """Begins an episode.

        Raises:
            QuestionError: ``options["question_id"]`` names no question.
            ValueError: ``options`` holds anything else.
        """
        super().reset(seed=seed)
        question_id = question_option(options)
        questions = self.task.questions
        if self._order is None or seed is not None:
            self._order, self._episodes = QuestionOrder(len(questions), self.np_random), 0
        if question_id is not None:
            question = self.task.question(question_id)
        else:
            question = questions[self._order[self._episodes]]
            self._episodes += 1
        start = self._slot.start(question)
        self._show()
        return start

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, Info]:
        """Takes what the agent wrote and returns what it reads next.

        Raises:
            EpisodeStateError: the episode is over, or none was begun.
        """
        (step,) = step_episodes([self._slot.running()], [action], self.task.tools)
        settled = self._slot.settle(step)
        self._show()
        return settled

    def render(self) -> str | None:
        """Returns the episode so far as text (``ansi``); ``human`` has printed it while playing."""
        return render_episode(self._slot.running()) if self.render_mode == "ansi" else None

    def _show(self) -> None:
        if self.render_mode == "human":
            sys.stdout.write(render_latest(self._slot.running(), colour=sys.stdout.isatty()))
            sys.stdout.flush()


def question_option(options: Mapping[str, object] | None) -> str | None:
    """Returns ``options["question_id"]``, or None; anything else in ``options`` is an error."""
    if not options:
        return None
    unknown = sorted(set(options) - {"question_id"})
    if unknown:
        raise ValueError(f"unknown reset options {unknown}; the known one is 'question_id'")
    question_id = options["question_id"]
    if not isinstance(question_id, str):
        raise TypeError(f"question_id must be a str, got {type(question_id).__name__}")
    return question_id
