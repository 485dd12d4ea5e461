"""How verl 0.9.1 finds the CPU backend: a replica starts the server, an adapter feeds it."""

from collections.abc import Iterable, Sequence
from typing import Any

import ray
import torch
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica

from searchenv.integrations.verl.cpu_rollout import CpuServer

__all__ = ["CpuAdapter", "CpuReplica"]


class CpuReplica(RolloutReplica):  # type: ignore[misc]
    """One server actor; it has no address in the network, only its handle."""

    async def launch_servers(self) -> None:
        """Starts the server and waits until its model is loaded."""
        name = _server_name(self.replica_rank) + self.name_suffix
        folder = omega_conf_to_dataclass(self.model_config).local_path
        server = (
            ray.remote(CpuServer)
            .options(name=name, num_cpus=0, max_concurrency=self.max_concurrency)
            .remote(str(folder))
        )
        self.servers = [server]
        self._server_handle = server
        self._server_address = name
        await server.wake_up.remote()  # type: ignore[attr-defined]


class CpuAdapter(BaseRollout):  # type: ignore[misc]
    """Lives in the actor's process and hands the server its weights."""

    def __init__(
        self,
        config: Any,
        model_config: Any,
        device_mesh: Any,
        replica_rank: int = -1,
        **ignored: object,
    ) -> None:
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = max(0, replica_rank)
        self.is_leader_rank = True

    async def resume(self, tags: Sequence[str]) -> None:
        """Does nothing: the server keeps its memory."""

    async def release(self) -> None:
        """Does nothing."""

    async def update_weights(
        self,
        weights: Iterable[tuple[str, torch.Tensor]],
        wire_format: str = "named_tensors",
        global_steps: int | None = None,
        **ignored: object,
    ) -> None:
        """Sends copies of all weights to the server.

        Raises:
            ValueError: they come in a form that is not known here.
        """
        if wire_format != "named_tensors":
            raise ValueError(f"expected weights as named_tensors, got {wire_format!r}")
        state = {name: tensor.detach().to("cpu").clone() for name, tensor in weights}
        server = ray.get_actor(_server_name(self.replica_rank))
        await server.load_weights.remote(state, global_steps)


def _server_name(rank: int) -> str:
    return f"searchenv_cpu_server_{rank}"
