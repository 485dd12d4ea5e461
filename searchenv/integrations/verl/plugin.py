"""What verl loads in each of its processes: our rollout backend, and on a CPU the platform.

verl imports it at ``import verl``, as an entry point of the group ``verl.plugins``, so that there
is work at import here. An error in an entry point is swallowed by verl; ``searchenv train verl``
names this module in ``VERL_USE_EXTERNAL_MODULES`` too, where it is not.
"""

import os

from verl.workers.rollout import base
from verl.workers.rollout.replica import RolloutReplicaRegistry

from searchenv.integrations.verl.cpu_rollout import CPU_ROLLOUT

__all__: list[str] = []


def _load_replica() -> type:
    from searchenv.integrations.verl.cpu_backend import CpuReplica

    return CpuReplica


base._ROLLOUT_REGISTRY[CPU_ROLLOUT, "async"] = "searchenv.integrations.verl.cpu_backend.CpuAdapter"
RolloutReplicaRegistry.register(CPU_ROLLOUT, _load_replica)
if os.environ.get("VERL_PLATFORM") == "cpu":
    import searchenv.integrations.verl.cpu_platform  # noqa: F401
