"""One file that says what verl trains on: the task in our words, all else in verl's own.

The tables of a file:

- ``model``: a folder, or a name on the Hugging Face hub.
- ``train`` and ``val``: which questions; see :class:`QuestionSet`. ``val`` may be left out.
- ``task``: how they are played; see :class:`searchenv.integrations.verl.settings.LoopSettings`.
- ``verl``: keys of verl's own configuration, nested as there. A key that verl does not have is an
  error, also where Hydra would quietly have taken it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from searchenv.errors import did_you_mean
from searchenv.integrations.verl.cpu_rollout import CPU_ROLLOUT
from searchenv.integrations.verl.parquet import AGENT_NAME
from searchenv.integrations.verl.settings import TRAINER, LoopSettings
from searchenv.task import DEMO
from searchenv.training.settings import settings_of

__all__ = ["QuestionSet", "VerlConfig", "compose", "read_config"]

_LOOP = "searchenv.integrations.verl.agent_loop.SearchAgentLoop"
_SAMPLER = "pkg://searchenv.integrations.verl.sampler"
_FREE = ("ray_kwargs.ray_init", "actor_rollout_ref.model.override_config")
"""Tables of verl that take keys which its files do not list."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions in a file, or those of the demo world."""

    questions: str = DEMO
    """A file, ``hf:NAME:SPLIT``, or ``demo``."""
    split: str = ""
    """Only those whose metadata says so; empty: all, of the demo world its ``train``."""
    limit: int = 0
    """At most so many; 0: all."""


@dataclass(frozen=True, slots=True)
class VerlConfig:
    """A training with verl."""

    model: str
    task: LoopSettings = field(default_factory=LoopSettings)
    train: QuestionSet = field(default_factory=QuestionSet)
    val: QuestionSet = field(default_factory=lambda: QuestionSet(split="dev", limit=256))
    verl: Mapping[str, Any] = field(default_factory=dict)


def read_config(path: str | os.PathLike[str], changes: tuple[str, ...] = ()) -> VerlConfig:
    """Returns what a YAML file says.

    Args:
        path: of the file.
        changes: ``key.key=value``, such as ``verl.trainer.total_training_steps=10``.

    Raises:
        OSError: there is no such file.
        ValueError: a key is unknown, or a value is out of range.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        loaded = OmegaConf.load(Path(path))
        if not OmegaConf.is_dict(loaded):
            raise ValueError("expected a table such as model: FOLDER, got a list")
        merged = OmegaConf.merge(loaded, OmegaConf.from_dotlist(list(changes)))
        table = cast(dict[str, Any], OmegaConf.to_container(merged, resolve=False))
        return settings_of(VerlConfig, {str(key): value for key, value in table.items()})
    except (ValueError, YAMLError, OmegaConfBaseException) as error:
        raise ValueError(f"{Path(path)}: {error}") from error


def compose(config: VerlConfig, out: Path, device: str) -> Any:
    """Returns verl's whole configuration, an OmegaConf one: its defaults, ours, the file's.

    Args:
        config: the file's.
        out: the folder of the training; nothing is written here.
        device: ``cpu`` or ``cuda``.

    Raises:
        ValueError: a key is none of verl's.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module("verl.trainer.config", version_base=None):
        base = hydra_compose("ppo_trainer")
    _check_keys(base, config.verl)
    OmegaConf.set_struct(base, False)
    layers = [_defaults(config, out)]
    layers += [_cpu_defaults()] if device == "cpu" else []
    layers += [_JOINT] if config.task.auxiliary else []
    merged = OmegaConf.merge(base, *layers, config.verl, _fixed(out, device))
    OmegaConf.set_struct(merged, True)
    return merged


def loop_file(config: VerlConfig, out: Path) -> list[dict[str, object]]:
    """Returns verl's list of agent loops."""
    from dataclasses import asdict

    task = {**asdict(config.task), "scorers": list(config.task.scorers)}
    return [{"name": AGENT_NAME, "_target_": _LOOP, "task": {**task, "log": str(out / "episodes")}}]


def _defaults(config: VerlConfig, out: Path) -> dict[str, object]:
    """Returns what fits a search agent better than verl's own defaults."""
    return {
        "algorithm": {"adv_estimator": "grpo"},
        "data": {
            "train_files": str(out / "data" / "train.parquet"),
            "val_files": str(out / "data" / "val.parquet"),
            "return_raw_chat": True,
        },
        "actor_rollout_ref": {
            "model": {"path": config.model},
            "actor": {
                "checkpoint": {"save_contents": ["model", "optimizer", "extra", "hf_model"]},
            },
            "rollout": {
                "name": "vllm",
                "calculate_log_probs": True,
                "agent": {"agent_loop_config_path": str(out / "agent_loops.yaml")},
            },
        },
        "trainer": {
            "logger": ["console", "file"],
            "project_name": "searchenv",
            "experiment_name": out.name,
        },
    }


def _cpu_defaults() -> dict[str, object]:
    """Returns what makes verl's trainer run without a GPU."""
    return {
        "data": {"dataloader_num_workers": 0},
        "actor_rollout_ref": {
            "model": {
                "override_config": {"attn_implementation": "sdpa"},
                "use_remove_padding": False,
                "enable_gradient_checkpointing": False,
            },
            "actor": {
                "strategy": "fsdp2",
                "use_torch_compile": False,
                "fsdp_config": _FSDP,
            },
            "ref": {"strategy": "fsdp2", "use_torch_compile": False, "fsdp_config": _FSDP},
            "rollout": {
                "name": CPU_ROLLOUT,
                "tensor_model_parallel_size": 1,
                "agent": {"num_workers": 1},
            },
        },
        "reward": {"num_workers": 1},
        "transfer_queue": {"backend": {"SimpleStorage": {"num_data_storage_units": 1}}},
        "trainer": {
            "n_gpus_per_node": 1,
            "nnodes": 1,
            "v1": {"sampler": {"custom_sampler": {"path": _SAMPLER, "name": "QuickReplayBuffer"}}},
        },
        "ray_kwargs": {
            "ray_init": {
                # logical ones: with fewer, verl waits for ever for the place of a process
                "num_cpus": 16,
                "num_gpus": 1,
                "include_dashboard": False,
                "object_store_memory": 300_000_000,
            }
        },
    }


_JOINT: dict[str, object] = {
    "actor_rollout_ref": {"actor": {"policy_loss": {"loss_mode": "searchenv_clip"}}},
    "trainer": {"v1": {"trainer_mode": TRAINER}},
}
"""What learns auxiliary texts."""
_FSDP = {
    "strategy": "fsdp2",
    "use_torch_compile": False,
    "mixed_precision": {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
}


def _fixed(out: Path, device: str) -> dict[str, object]:
    """Returns what a file cannot change: the folder and the device of the training."""
    return {
        "trainer": {"device": device, "default_local_dir": str(out / "checkpoints")},
        "hydra": {"run": {"dir": str(out / "hydra")}, "output_subdir": None},
    }


def _check_keys(base: Any, given: Mapping[str, Any]) -> None:
    for path in _leaves(given, ""):
        table, where = base, ""
        for name in path.split("."):
            if any(where == free or where.startswith(f"{free}.") for free in _FREE):
                break
            if not hasattr(table, "keys") or not len(table):
                break  # null or {}: verl takes anything there
            known = [str(key) for key in table]
            if name not in known:  # "in table" is false where verl demands a value
                raise ValueError(
                    f"verl has no key {'.'.join(filter(None, (where, name)))}. "
                    f"{did_you_mean(name, known)}"
                )
            table = table._get_node(name)
            table = None if table is None or table._is_none() else table
            where = ".".join(filter(None, (where, name)))


def _leaves(table: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in table.items():
        path = ".".join(filter(None, (where, str(key))))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path
