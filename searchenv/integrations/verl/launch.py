"""Starts verl's own trainer in a process of its own, watches it, and says what became of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchenv.errors import RunError
from searchenv.exports.whole import whole_file, whole_folder
from searchenv.integrations.verl.checks import check_packages, check_plan, check_prompts
from searchenv.integrations.verl.config import QuestionSet, VerlConfig, compose, loop_file
from searchenv.integrations.verl.log import log_sizes, read_faults, read_log
from searchenv.integrations.verl.parquet import write_parquet
from searchenv.protocols import get_protocol
from searchenv.task import DEMO, Task
from searchenv.types import Question

__all__ = ["Outcome", "prepare", "train_verl"]

_HERE = "searchenv.integrations.verl"
_MODULES = tuple(f"{_HERE}.{name}" for name in ("plugin", "algorithms", "losses"))
_POLL_S = 0.5
_MAY_CHANGE = ("total_training_steps", "total_epochs", "save_freq", "test_freq", "logger")
"""Keys of ``trainer`` that may differ when a training goes on."""

OnStep = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to."""

    steps: int
    """The last step whose weights are saved."""
    model: Path | None
    """The trained model as a Hugging Face folder; None: none was saved."""
    failed: int
    """Samples that a failed tool, or a prompt that was too long, left without a trajectory."""


def train_verl(
    config: VerlConfig,
    out: str | os.PathLike[str],
    *,
    device: str = "cuda",
    on_step: OnStep | None = None,
) -> Outcome:
    """Trains with ``verl.trainer.main_ppo``, and goes on where an earlier call was interrupted.

    ``out`` holds ``data``, ``verl.yaml`` (the whole configuration), ``agent_loops.yaml``,
    ``metrics`` (verl's, a line a step, a file a call), ``episodes`` (a line an episode),
    ``verl.log``, ``checkpoints``, and at the end ``model``.

    Args:
        config: what to train.
        out: a folder of the training's own.
        device: ``cuda``, or ``cpu`` for tiny models.
        on_step: called with each step's number and metrics.

    Raises:
        MissingDependencyError: see :func:`check_packages`.
        ValueError: the configuration is wrong.
        RunError: ``out`` holds another training, or verl failed; the message says why.
    """
    folder = Path(out).resolve()
    prepare(config, folder, device=device)
    before = log_sizes(folder / "episodes")
    code = _run(config, folder, device, on_step)
    lines = list(read_log(folder / "episodes", before))
    steps = _saved_steps(folder)
    if code:
        raise RunError(_why(folder, code, lines, steps))
    failed = sum(line["error"] is not None for line in lines)
    return Outcome(steps, _export(folder, steps), failed)


def prepare(config: VerlConfig, out: Path, *, device: str = "cuda") -> Any:
    """Writes all that verl reads into a folder, and returns verl's whole configuration.

    Raises:
        MissingDependencyError, ValueError, RunError: as for :func:`train_verl`.
    """
    import yaml
    from omegaconf import OmegaConf

    check_packages()
    plan = compose(config, out, device)
    check_plan(plan, config, device)
    sets = {"train": _questions(config, config.train), "val": _questions(config, config.val)}
    for questions in sets.values():
        check_prompts(plan, config, questions)
    loops = yaml.safe_dump(loop_file(config, out), sort_keys=False)
    _check_same(out, OmegaConf.to_container(plan), loops)
    protocol = get_protocol(config.task.protocol)
    for name, questions in sets.items():
        write_parquet(questions, protocol, out / "data" / f"{name}.parquet", split=name)
    for name, text in (("agent_loops", loops), ("verl", OmegaConf.to_yaml(plan))):
        with whole_file(out / f"{name}.yaml") as part:
            part.write_text(text, encoding="utf-8")
    return plan


def _questions(config: VerlConfig, chosen: QuestionSet) -> tuple[Question, ...]:
    task = Task(
        index=config.task.index,
        engine=config.task.engine or None,
        questions=None if chosen.questions == DEMO else chosen.questions,
        split=chosen.split or None,
        protocol=config.task.protocol,
        k=config.task.k,
    )
    return task.questions[: chosen.limit or None]


def _check_same(out: Path, plan: Any, loops: str) -> None:
    """Checks that what an earlier call left in the folder is the same training."""
    import yaml

    if not (out / "checkpoints").exists():
        return
    earlier = yaml.safe_load((out / "verl.yaml").read_text(encoding="utf-8"))
    for key in _MAY_CHANGE:
        earlier["trainer"][key] = plan["trainer"][key]
    unlike = [path for path, a, b in _pairs(earlier, plan, "") if a != b]
    if loops != (out / "agent_loops.yaml").read_text(encoding="utf-8"):
        unlike.append("task")
    if unlike:
        raise RunError(
            f"{out} holds a training that differs in {', '.join(unlike[:5])}: choose another "
            "folder, or give the configuration that it began with"
        )


def _pairs(a: Any, b: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from _pairs(a.get(key), b.get(key), f"{where}.{key}".lstrip("."))
    else:
        yield where, a, b


def _run(config: VerlConfig, out: Path, device: str, on_step: OnStep | None) -> int:
    """Runs verl and returns its exit code; what it prints goes into ``verl.log``."""
    command = [sys.executable, "-m", "verl.trainer.main_ppo"]
    command += [f"--config-path={out}", "--config-name=verl", "hydra/job_logging=none"]
    path = out / "metrics" / f"from_step_{_saved_steps(out)}.jsonl"
    path.parent.mkdir(exist_ok=True)
    for old in (path, *read_faults(out / "episodes")):
        old.unlink(missing_ok=True)
    metrics = _Tail(path)
    with (out / "verl.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=_environment(config, path, device),
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                metrics.tell(on_step)
                if read_faults(out / "episodes"):
                    break  # verl would go on without the samples that met it
        finally:
            _end(process)
    metrics.tell(on_step)
    return process.returncode


def _environment(config: VerlConfig, metrics: Path, device: str) -> dict[str, str]:
    trainer = f"{_HERE}.trainer" if config.task.auxiliary else None  # slow to import
    given = os.environ.get("VERL_USE_EXTERNAL_MODULES")
    modules = [module for module in (given, *_MODULES, trainer) if module]
    own = {
        "VERL_USE_EXTERNAL_MODULES": ",".join(modules),
        "VERL_FILE_LOGGER_PATH": str(metrics),
        "TENSORBOARD_DIR": str(metrics.parent.parent / "tensorboard"),
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    if device == "cpu":
        # verl registers its engine for CUDA; on a CPU the same one runs
        own |= {"VERL_PLATFORM": "cpu", "VERL_ENGINE_DEVICE": "cuda", "OMP_NUM_THREADS": "1"}
        own["RAY_ADDRESS"] = "local"
    return {**os.environ, **own}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends verl with all of its processes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                continue


class _Tail:
    """Reads the lines that are added to verl's metrics."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = 0

    def tell(self, on_step: OnStep | None) -> None:
        if on_step is None or not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._done)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._done += len(line)
                row = json.loads(line)
                on_step(row["step"], row["data"])


def _saved_steps(out: Path) -> int:
    note = out / "checkpoints" / "latest_checkpointed_iteration.txt"
    return int(note.read_text(encoding="utf-8")) if note.exists() else 0


def _export(out: Path, steps: int) -> Path | None:
    """Returns the folder of the model, copied out of the last checkpoint."""
    import shutil

    saved = out / "checkpoints" / f"global_step_{steps}" / "actor" / "huggingface"
    if not any(saved.glob("*.safetensors")):
        return None
    shutil.rmtree(out / "model", ignore_errors=True)
    with whole_folder(out / "model") as folder:
        shutil.copytree(saved, folder, dirs_exist_ok=True)
    return out / "model"


def _why(out: Path, code: int, lines: list[dict[str, Any]], steps: int) -> str:
    """Returns what a user whose training failed needs to know."""
    faults = list(read_faults(out / "episodes").values())
    failed = [line["error"] for line in lines if line["error"] is not None]
    if faults:
        cause = f"this is no mistake of the agent: {faults[0].rstrip()}"
    elif failed:
        cause = f"{len(failed)} of {len(lines)} samples failed, the last one with: {failed[-1]}"
    else:
        cause = _last_error(out / "verl.log")
    where = (
        f"step {steps} is saved: the same call goes on from there" if steps else "no step is saved"
    )
    return f"verl ended with {code}; {cause}\n{where}. Its log: {out / 'verl.log'}"


def _last_error(log: Path) -> str:
    """Returns the last line of a log that names an error."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    found = re.findall(r"^(?:\(.*?\) )?([\w.]*(?:Error|Exception)\b.*)", text, re.MULTILINE)
    return str(found[-1]) if found else "its log names no error"
