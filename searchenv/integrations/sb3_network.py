"""A policy for Stable-Baselines3 that judges every candidate with the same small network."""

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from searchenv.integrations.choices import (
    ACTIONS,
    CANDIDATE_SIZE,
    FIXED,
    NUM_CANDIDATES,
    STATE_SIZE,
)

__all__ = ["ChoicePolicy"]

_FORBIDDEN = -1e8


class ChoicePolicy(ActorCriticPolicy):
    """Actor and critic over the features of :func:`searchenv.integrations.choices.read_choices`.

    A candidate and the question meet in sums and in products, so that a word of one can answer to a
    word of the other. Actions that the mask forbids are never chosen.

    Args:
        args: of ``ActorCriticPolicy``.
        width: of the hidden layers.
        kwargs: of ``ActorCriticPolicy``.
    """

    def __init__(self, *args: Any, width: int = 64, **kwargs: Any) -> None:
        self._width = width
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Network(self._width)  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()  # the network's scores are the logits
        with torch.no_grad():  # a start that chooses nearly evenly
            self.mlp_extractor.score.weight *= 0.01  # type: ignore[operator, union-attr]
            self.mlp_extractor.fixed.weight *= 0.01  # type: ignore[operator, union-attr]
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )


class _Network(nn.Module):
    """Maps features to the scores of all actions, and to what the critic reads."""

    latent_dim_pi = len(ACTIONS)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.latent_dim_vf = width
        self.question = nn.Linear(STATE_SIZE, width)
        self.factor = nn.Linear(STATE_SIZE, width)
        self.candidate = nn.Linear(CANDIDATE_SIZE, width)
        self.partner = nn.Linear(CANDIDATE_SIZE, width)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 2)
        self.whole = nn.Linear(2 * width, width)
        self.fixed = nn.Linear(width, len(FIXED))
        self.critic = nn.Linear(2 * width, width)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns both."""
        mask, state, rows = torch.split(
            features, [len(ACTIONS), STATE_SIZE, NUM_CANDIDATES * CANDIDATE_SIZE], dim=1
        )
        rows = rows.reshape(-1, NUM_CANDIDATES, CANDIDATE_SIZE)
        question = self.question(state)
        met = self.candidate(rows) + question[:, None]
        met = met + self.partner(rows) * self.factor(state)[:, None]
        hidden = torch.relu(self.hidden(torch.relu(met)))  # (batch, candidates, width)
        whole = torch.cat([torch.relu(question), hidden.amax(dim=1)], dim=1)
        scores = self.score(hidden)
        fixed = self.fixed(torch.relu(self.whole(whole)))
        logits = torch.cat([fixed, scores[..., 0], scores[..., 1]], dim=1)
        logits = logits.masked_fill(mask == 0, _FORBIDDEN)
        return logits, torch.relu(self.critic(whole.detach()))

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the scores."""
        return self.forward(features)[0]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """Returns what the critic reads."""
        return self.forward(features)[1]
