"""A policy for Stable-Baselines3 that judges every candidate with the same small network."""

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from searchenv.integrations.choices import LAYOUT, Layout

__all__ = ["ChoicePolicy"]

_FORBIDDEN = -1e8


class ChoicePolicy(ActorCriticPolicy):
    """Actor and critic over features in a layout of :mod:`searchenv.integrations.choices`.

    A candidate and the question meet in sums and in products, so that a word of one can answer to a
    word of the other. Actions that the mask forbids are never chosen.

    Args:
        args: of ``ActorCriticPolicy``.
        width: of the hidden layers.
        layout: of the reader's features.
        kwargs: of ``ActorCriticPolicy``.
    """

    def __init__(self, *args: Any, width: int = 64, layout: Layout = LAYOUT, **kwargs: Any) -> None:
        self._width = width
        self._layout = layout
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Network(self._width, self._layout)  # type: ignore[assignment]

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

    def __init__(self, width: int, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self.latent_dim_pi = layout.num_actions
        self.latent_dim_vf = width
        self.question = nn.Linear(layout.state_size, width)
        self.factor = nn.Linear(layout.state_size, width)
        self.candidate = nn.Linear(layout.candidate_size, width)
        self.partner = nn.Linear(layout.candidate_size, width)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, layout.moves)
        self.whole = nn.Linear(2 * width, width)
        self.fixed = nn.Linear(width, layout.fixed)
        self.critic = nn.Linear(2 * width, width)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns both."""
        layout = self._layout
        rest = layout.candidates * layout.candidate_size
        mask, state, rows = torch.split(
            features, [layout.num_actions, layout.state_size, rest], dim=1
        )
        rows = rows.reshape(-1, layout.candidates, layout.candidate_size)
        question = self.question(state)
        met = self.candidate(rows) + question[:, None]
        met = met + self.partner(rows) * self.factor(state)[:, None]
        hidden = torch.relu(self.hidden(torch.relu(met)))  # (batch, candidates, width)
        whole = torch.cat([torch.relu(question), hidden.amax(dim=1)], dim=1)
        scores = self.score(hidden)
        fixed = self.fixed(torch.relu(self.whole(whole)))
        logits = torch.cat([fixed, scores.transpose(1, 2).flatten(1)], dim=1)
        logits = logits.masked_fill(mask == 0, _FORBIDDEN)
        return logits, torch.relu(self.critic(whole.detach()))

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the scores."""
        return self.forward(features)[0]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """Returns what the critic reads."""
        return self.forward(features)[1]
