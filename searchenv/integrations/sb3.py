"""Stable-Baselines3 on SearchQA: discrete actions, Box features, a batched ``VecEnv``."""

from collections.abc import Sequence
from typing import Any, Protocol, SupportsFloat, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from searchenv.env import Info, SearchQAEnv
from searchenv.episode import EpisodeView
from searchenv.integrations.choices import ChoiceReader, Choices, Features, Layout, Reader
from searchenv.vector import SearchQAVectorEnv

__all__ = ["DiscreteSearch", "SB3Policy", "SB3VecEnv"]


def _spaces(layout: Layout) -> tuple[gym.spaces.Box, gym.spaces.Discrete]:
    box = gym.spaces.Box(0.0, 1.0, (layout.num_features,), np.float32)
    return box, gym.spaces.Discrete(layout.num_actions)


class DiscreteSearch(gym.Wrapper[Features, np.int64, str, str]):
    """One environment with the actions and features of :mod:`searchenv.integrations.choices`.

    Args:
        env: a ``SearchQA-v0`` environment.
        reader: makes actions and features of views; None: a ``ChoiceReader``.
    """

    def __init__(self, env: gym.Env[str, str], reader: Reader | None = None) -> None:
        super().__init__(env)  # type: ignore[arg-type]
        self._reader = reader or ChoiceReader()
        self.observation_space, self.action_space = _spaces(self._reader.layout)  # type: ignore[assignment]

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Features, Info]:
        """Begins an episode."""
        _, info = self.env.reset(seed=seed, options=options)
        return self._choices().features, info

    def step(self, action: np.int64) -> tuple[Features, SupportsFloat, bool, bool, Info]:
        """Makes the move of an action."""
        text = self._choices().write(int(action), self._view)
        _, reward, terminated, truncated, info = self.env.step(text)  # type: ignore[arg-type]
        return self._choices().features, reward, terminated, truncated, info

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Returns which actions are possible, under the name that MaskablePPO looks for."""
        return self._choices().mask

    def _choices(self) -> Choices:
        return self._reader.read(self._view)

    @property
    def _view(self) -> EpisodeView:
        return cast(SearchQAEnv, self.unwrapped).episode.view


class SB3VecEnv(VecEnv):
    """Many episodes as the ``VecEnv`` of Stable-Baselines3, with one batched search a step.

    Args:
        env: a vector environment with ``autoreset_mode="Disabled"``.
        reader: as for ``DiscreteSearch``.

    Raises:
        ValueError: the environment resets by itself.
    """

    def __init__(self, env: SearchQAVectorEnv, reader: Reader | None = None) -> None:
        if env.autoreset_mode is not AutoresetMode.DISABLED:
            raise ValueError(
                f"expected autoreset_mode='Disabled', got {env.autoreset_mode.value!r}: "
                "SB3VecEnv resets the episodes itself"
            )
        self.env = env
        self._actions: Sequence[int] = ()
        self._reader = reader or ChoiceReader()
        self._choices: list[Choices] = []
        self._returns = np.zeros(env.num_envs)
        self.render_mode = None
        super().__init__(env.num_envs, *_spaces(self._reader.layout))

    def reset(self) -> Features:
        """Begins all episodes, in the order of the seed where one was set."""
        seed = self._seeds[0]
        self.env.reset(seed=seed)
        self._reset_seeds()
        self._returns[:] = 0
        return self._read()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keeps the actions for :meth:`step_wait`."""
        self._actions = [int(action) for action in actions]

    def step_wait(self) -> tuple[Features, Any, Any, list[dict[str, Any]]]:
        """Makes the moves; what is over begins anew and has its last features in its info."""
        played = zip(self._choices, self._actions, self.env.episodes, strict=True)
        texts = [c.write(a, episode.view) for c, a, episode in played]
        _, rewards, terminated, truncated, _ = self.env.step(texts)
        over = terminated | truncated
        self._returns += rewards
        features = self._read()
        infos: list[dict[str, Any]] = [{} for _ in texts]
        for i in np.flatnonzero(over):
            infos[i] = {
                "terminal_observation": features[i],
                "TimeLimit.truncated": bool(truncated[i]),
                "episode": {
                    "r": float(self._returns[i]),
                    "l": self.env.episodes[i].num_turns,
                    "t": 0.0,
                },
            }
        if over.any():
            self.env.reset(options={"reset_mask": over})
            self._returns[over] = 0
            features = self._read(over)
        return features, rewards.astype(np.float32), over, infos

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Answers ``action_masks``, the one method that a learner asks for."""
        if method_name != "action_masks":
            raise AttributeError(f"expected the method action_masks, got {method_name!r}")
        return [self._choices[i].mask for i in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of the vector environment once for each index."""
        value = self.render_mode if attr_name == "render_mode" else getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Is refused: the episodes share one environment."""
        raise NotImplementedError(f"cannot set {attr_name!r}: the episodes share one environment")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Returns False for each index."""
        return [False for _ in self._get_indices(indices)]

    def close(self) -> None:
        """Closes the vector environment."""
        self.env.close()

    def _read(self, fresh: npt.NDArray[np.bool_] | None = None) -> Features:
        """Returns the features; with a mask, those of other episodes are not made again."""
        self._choices = [
            self._reader.read(episode.view) if fresh is None or fresh[i] else self._choices[i]
            for i, episode in enumerate(self.env.episodes)
        ]
        return np.stack([choices.features for choices in self._choices])


class _Model(Protocol):
    def predict(self, observation: Features, *, deterministic: bool) -> tuple[Any, Any]: ...


class SB3Policy:
    """A trained model as a policy of searchenv, for evaluation.

    Args:
        model: a model of Stable-Baselines3; it plays its best action.
        reader: as for the environment that it was trained in.
    """

    def __init__(self, model: _Model, reader: Reader | None = None) -> None:
        self._model = model
        self._reader = reader or ChoiceReader()

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns the move that the model prefers for each view."""
        choices = [self._reader.read(view) for view in views]
        actions, _ = self._model.predict(
            np.stack([c.features for c in choices]), deterministic=True
        )
        chosen = zip(choices, actions, views, strict=True)
        return [c.write(int(a), view) for c, a, view in chosen]
