"""What must be so before verl starts: it would hang on the rest, or fail after a minute."""

import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from searchenv.episode import Episode
from searchenv.errors import MissingDependencyError
from searchenv.integrations.verl.config import VerlConfig
from searchenv.integrations.verl.cpu_rollout import CPU_ROLLOUT
from searchenv.integrations.verl.settings import TRAINER
from searchenv.protocols import get_protocol
from searchenv.tokens import encode_segments
from searchenv.types import Question

__all__ = ["check_packages", "check_plan", "check_prompts"]

_WRITTEN_FOR = "0.9.1"
_RAN_ON = ("0.9.0", "0.9.1")
_CORE = ("transfer_queue", "cachetools", "zmq", "msgspec")
_MIN_LOGICAL_CPUS = 6
_LOSSES_OF_VERL = (
    *("vanilla", "dppo_tv", "dppo_kl", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean"),
    *("dro", "cispo", "bypass_mode"),
)


def check_packages() -> None:
    """Checks that verl and what it imports are there in versions that work together.

    Raises:
        MissingDependencyError: a package is missing, or of a version that breaks the training.
    """
    install = 'pip install "searchenv[verl]"'
    found = _version("verl")
    if found is None:
        raise MissingDependencyError(f"training with verl needs verl {_WRITTEN_FOR}: {install}")
    if found not in _RAN_ON:
        raise MissingDependencyError(
            f"expected verl {_WRITTEN_FOR}, got {found}: its agent loops and plug-ins change from "
            f"release to release. {install}"
        )
    if found != _WRITTEN_FOR:
        warnings.warn(f"written for verl {_WRITTEN_FOR}; this is {found}", stacklevel=2)
    if missing := [name for name in _CORE if find_spec(name) is None]:
        raise MissingDependencyError(
            f"verl's trainer needs {', '.join(missing)}, of its extra verl-core: {install}"
        )
    trl = _version("trl")
    if trl is not None and tuple(map(int, trl.split(".")[:2])) >= (1, 13):
        raise MissingDependencyError(
            f"trl {trl} breaks verl {found}, which imports what trl 1.13 removed: "
            'pip install "trl<1.13", or remove trl'
        )


def check_plan(plan: Any, config: VerlConfig, device: str) -> None:
    """Checks verl's whole configuration.

    Args:
        plan: what :func:`searchenv.integrations.verl.config.compose` returned.
        config: that it was made of.
        device: ``cpu`` or ``cuda``.

    Raises:
        ValueError: a value would make verl hang, or train on something else than what was sampled.
    """
    rollout, trainer = plan.actor_rollout_ref.rollout, plan.trainer
    if not trainer.use_v1:
        raise ValueError("verl.trainer.use_v1 must be true: our loop may give no trajectory")
    if device == "cpu":
        if plan.actor_rollout_ref.actor.strategy != "fsdp2":
            raise ValueError("on a CPU verl.actor_rollout_ref.actor.strategy must be fsdp2")
        if rollout.name == CPU_ROLLOUT and float(rollout.temperature) != 1.0:
            raise ValueError(
                f"{CPU_ROLLOUT} gives log-probabilities at temperature 1: "
                f"verl.actor_rollout_ref.rollout.temperature must be 1, got {rollout.temperature}"
            )
        if (cpus := int(plan.ray_kwargs.ray_init.num_cpus or 0)) < _MIN_LOGICAL_CPUS:
            raise ValueError(
                f"verl.ray_kwargs.ray_init.num_cpus must be >= {_MIN_LOGICAL_CPUS}, got {cpus}: "
                "these are logical ones, and with fewer verl waits for ever"
            )
    elif rollout.name == CPU_ROLLOUT:
        raise ValueError(f"the rollout {CPU_ROLLOUT} is for --device cpu")
    if config.task.auxiliary:
        _check_auxiliary(plan)
    room = int(rollout.response_length)
    if config.task.max_tokens > room:
        raise ValueError(
            f"task.max_tokens is {config.task.max_tokens}, more than the {room} tokens of "
            "verl.data.max_response_length, which hold all moves and observations"
        )
    if not Path(config.model).is_dir() and Path(config.model).is_absolute():
        raise ValueError(f"expected a folder with a model, found none at {config.model}")


def _check_auxiliary(plan: Any) -> None:
    """Checks that texts beside the episodes reach the loss."""
    actor, mode = plan.actor_rollout_ref.actor, plan.trainer.v1.trainer_mode
    if mode != TRAINER:
        raise ValueError(f"task.auxiliary needs verl.trainer.v1.trainer_mode {TRAINER}, got {mode}")
    if actor.policy_loss.loss_mode in _LOSSES_OF_VERL:
        raise ValueError(
            "task.auxiliary needs a policy loss that sees the texts, such as searchenv_clip in "
            "verl.actor_rollout_ref.actor.policy_loss.loss_mode, got "
            f"{actor.policy_loss.loss_mode}"
        )
    if actor.shuffle:
        raise ValueError(
            "task.auxiliary needs verl.actor_rollout_ref.actor.shuffle to be false: each update "
            "has its share of the texts"
        )


def check_prompts(plan: Any, config: VerlConfig, questions: tuple[Question, ...]) -> None:
    """Checks that every prompt fits into what verl keeps of it.

    Raises:
        ValueError: one does not.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(config.model)
    protocol, longest = get_protocol(config.task.protocol), int(plan.data.max_prompt_length)
    limits = config.task.limits(lambda text: len(tokenizer.encode(text, add_special_tokens=False)))
    for question in questions:
        segments = Episode(question, protocol, limits).segments
        length = sum(len(piece.ids) for piece in encode_segments(segments, tokenizer))
        if length > longest:
            raise ValueError(
                f"the prompt of question {question.id!r} has {length} tokens: raise "
                f"verl.data.max_prompt_length, which is {longest}, or leave the question out"
            )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
