"""A platform of verl 0.9.1 that is a CPU, and the two places of verl that need mending for it.

verl knows CUDA, NPU and ROCm. Its registry of platforms takes more, so that no file of verl is
changed; importing this module registers ``cpu``. What the registry cannot reach is patched:

1. ``initialize_global_process_group_ray`` asks for ``cpu:gloo,cpu:gloo``, which torch refuses.
2. ``CPUOffloadPolicy`` of the reference model pins memory, which needs an accelerator.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
import verl.utils.distributed as verl_distributed
import verl.utils.fsdp_utils as verl_fsdp
from torch.distributed.fsdp import CPUOffloadPolicy
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

__all__ = ["CpuPlatform"]


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]
    """One CPU; chosen with ``VERL_PLATFORM=cpu`` and never by itself."""

    @property
    def device_name(self) -> str:
        """What torch calls the device."""
        return "cpu"

    @property
    def vendor_name(self) -> str:
        """What verl looks engines up by."""
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        """``torch.cpu`` itself: verl compares modules."""
        return torch.cpu

    def is_available(self) -> bool:
        """Returns True."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Returns False: nobody gets a CPU who did not ask for it."""
        return False

    def current_device(self) -> torch.device:
        """Returns the device; verl hands it to ``to``."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """Returns 1."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Does nothing."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Does nothing."""

    def manual_seed(self, seed: int) -> None:
        """Seeds torch."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seeds torch."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """Does nothing."""

    def empty_cache(self) -> None:
        """Does nothing."""

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        """Returns that there is none."""
        return None, None

    def communication_backend_name(self) -> str:
        """Returns the back end of process groups."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """Returns a variable that Ray may set."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """Marks nothing."""
        yield

    def profiler_start(self) -> None:
        """Does nothing."""

    def profiler_stop(self) -> None:
        """Does nothing."""

    def ray_resource_name(self) -> str:
        """Returns the resource of which verl counts one a process; it is a logical one here."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """Returns none."""
        return []

    def is_ipc_supported(self) -> bool:
        """Returns False."""
        return False

    def cudart(self) -> None:
        """Returns that there is none."""


def _complete_torch_cpu() -> None:
    """Gives ``torch.cpu`` what verl calls on a device module."""
    missing: dict[str, Any] = {
        "empty_cache": lambda: None,
        "ipc_collect": lambda: None,
        "reset_peak_memory_stats": lambda *_: None,
        "mem_get_info": lambda *_: (0, 0),
        "get_device_name": lambda *_: "CPU",
        "get_rng_state": lambda *_: torch.random.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.random.set_rng_state(state),
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
    }
    for name in ("memory_allocated", "memory_reserved"):
        missing |= {name: lambda *_: 0, f"max_{name}": lambda *_: 0}
    for name, function in missing.items():
        if not hasattr(torch.cpu, name):
            setattr(torch.cpu, name, function)


def _patch_verl() -> None:
    original = verl_distributed.initialize_global_process_group_ray

    def initialize(timeout_second: int | None = None, backend: str | None = None) -> Any:
        return original(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    verl_distributed.initialize_global_process_group_ray = initialize
    verl_fsdp.CPUOffloadPolicy = lambda pin_memory=True: CPUOffloadPolicy(pin_memory=False)


_complete_torch_cpu()
_patch_verl()
