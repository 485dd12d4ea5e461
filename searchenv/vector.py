"""Many episodes at once with one batched tool call a step."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from searchenv.driver import step_episodes
from searchenv.env import Info, Slot, SlotStep, question_option
from searchenv.episode import Episode
from searchenv.errors import EpisodeStateError
from searchenv.spaces import UnicodeText
from searchenv.task import QuestionOrder, Task, TaskOptions
from searchenv.types import Question

__all__ = ["SearchQAVectorEnv"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class SearchQAVectorEnv(VectorEnv[tuple[str, ...], Sequence[str], np.ndarray]):
    """``num_envs`` episodes that step together; each tool is called once a step.

    Sub-environment i behaves as :class:`searchenv.env.SearchQAEnv` after ``reset(seed=seed + i)``:
    same questions, same observations, rewards and infos.

    **Groups**: with ``group_size=G`` each G neighbouring sub-environments play the same questions
    in the same order, as group-relative optimisers (GRPO) want them; group g then has the seed
    ``seed + g``.

    **Autoreset**, in Gymnasium's words: ``NextStep`` (the default: the step after the last one
    resets and ignores the action), ``SameStep`` (the last step resets; ``infos`` holds
    ``final_obs`` and ``final_info``) or ``Disabled`` (reset with ``options={"reset_mask": mask}``).

    Args:
        num_envs: number of episodes, a multiple of ``group_size``.
        group_size: neighbouring sub-environments that share their questions.
        autoreset_mode: see above.
        max_chars: bound of actions and observations, in characters.
        reveal_gold: puts the gold answers into the last ``info`` of an episode.
        task: what is played, see :class:`searchenv.task.TaskOptions`.

    Raises:
        ValueError: ``num_envs`` is not a positive multiple of ``group_size``.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        *,
        group_size: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_chars: int = 65_536,
        reveal_gold: bool = False,
        **task: Unpack[TaskOptions],
    ) -> None:
        if num_envs < 1 or group_size < 1 or num_envs % group_size:
            raise ValueError(
                "num_envs must be a positive multiple of group_size, "
                f"got num_envs={num_envs} and group_size={group_size}"
            )
        self.task = Task(**task)
        self.num_envs = num_envs
        self.group_size = group_size
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_action_space = self.single_observation_space = UnicodeText(max_chars)
        self.action_space = self.observation_space = batch_space(UnicodeText(max_chars), num_envs)
        self._slots = [Slot(self.task, reveal_gold=reveal_gold) for _ in range(num_envs)]
        self._orders: list[QuestionOrder] = []
        self._played = np.zeros(num_envs, dtype=np.int64)
        self._over = np.zeros(num_envs, dtype=np.bool_)
        self._observations: list[str] = [""] * num_envs

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The current episodes; trainers read their segments and results."""
        return tuple(slot.running() for slot in self._slots)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, object] | None = None,
    ) -> tuple[tuple[str, ...], Info]:
        """Begins an episode in every sub-environment, or in those of ``options["reset_mask"]``.

        Args:
            seed: of the first group, the others count up from it; or one for each group.
            options: ``reset_mask`` (num_envs,) of bool; ``question_id``, played by all that are
                reset.

        Raises:
            ValueError: the mask or the number of seeds is wrong, or an option is unknown.
            QuestionError: ``question_id`` names no question.
        """
        options = dict(options or {})
        mask = self._mask(options.pop("reset_mask", None))
        question_id = question_option(options)
        question = None if question_id is None else self.task.question(question_id)
        self._reseed(seed)
        infos: Info = {}
        for i in np.flatnonzero(mask):
            infos = self._add_info(infos, self._start(int(i), question), int(i))
        return tuple(self._observations), infos

    def step(self, actions: Sequence[str]) -> tuple[tuple[str, ...], Floats, Bools, Bools, Info]:
        """Steps all running episodes, their tool calls in one batch.

        Raises:
            ValueError: there is not one action for each sub-environment.
            EpisodeStateError: autoreset is disabled and an episode is over, or none was begun.
        """
        if len(actions) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} actions, got {len(actions)}")
        if self._over.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise EpisodeStateError(
                f"episodes {np.flatnonzero(self._over).tolist()} are over: "
                "reset them with options={'reset_mask': mask}"
            )
        stale = np.flatnonzero(self._over)
        playing = [i for i in range(self.num_envs) if not self._over[i]]
        slots = [self._slots[i] for i in playing]
        episodes = [slot.running() for slot in slots]
        steps = step_episodes(episodes, [actions[i] for i in playing], self.task.tools)
        settled = [slot.settle(step) for slot, step in zip(slots, steps, strict=True)]
        return self._collect(playing, settled, stale)

    def _collect(
        self, playing: Sequence[int], settled: Sequence[SlotStep], stale: npt.NDArray[np.intp]
    ) -> tuple[tuple[str, ...], Floats, Bools, Bools, Info]:
        n = self.num_envs
        rewards = np.zeros(n)
        terminations, truncations = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        infos: Info = {}
        for i, (observation, reward, terminated, truncated, info) in zip(
            playing, settled, strict=True
        ):
            rewards[i], terminations[i], truncations[i] = reward, terminated, truncated
            self._observations[i] = observation
            if (terminated or truncated) and self.autoreset_mode is AutoresetMode.SAME_STEP:
                final = {"final_obs": observation, "final_info": info}
                infos = self._add_info(infos, final, i)
                info = self._start(i, None)
            infos = self._add_info(infos, info, i)
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        self._over = np.zeros(n, dtype=np.bool_) if same_step else terminations | truncations
        for i in stale:  # next_step: their episodes ended in the step before this one
            infos = self._add_info(infos, self._start(int(i), None), int(i))
        return tuple(self._observations), rewards, terminations, truncations, infos

    def _start(self, i: int, question: Question | None) -> Info:
        if question is None:
            order = self._orders[i // self.group_size]
            question = self.task.questions[order[int(self._played[i])]]
            self._played[i] += 1
        self._over[i] = False
        self._observations[i], info = self._slots[i].start(question)
        return info

    def _reseed(self, seed: int | list[int | None] | None) -> None:
        if self._orders and seed is None:
            return
        groups = self.num_envs // self.group_size
        if seed is None or isinstance(seed, int):
            seeds = [None if seed is None else seed + g for g in range(groups)]
        else:
            seeds = list(seed)
        if len(seeds) != groups:
            raise ValueError(f"expected one seed for each of {groups} groups, got {len(seeds)}")
        size = len(self.task.questions)
        self._orders = [QuestionOrder(size, seeding.np_random(s)[0]) for s in seeds]
        self._played[:] = 0

    def _mask(self, mask: object) -> Bools:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
        ):
            raise ValueError(
                f"reset_mask must be a bool array of shape ({self.num_envs},), got {mask!r}"
            )
        return mask
