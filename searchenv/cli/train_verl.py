"""``searchenv train verl``: the real trainer, from one file."""

import argparse
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from searchenv.cli.options import Commands

__all__ = ["add_verl"]

_SHOWN = {
    "reward": "critic/score/mean",
    "turns": "num_turns/mean",
    "kl": "actor/ppo_kl",
    "gap": "training/rollout_probs_diff_max",
    "s": "timing_s/step",
}


def add_verl(names: Commands) -> None:
    """Adds ``searchenv train verl``."""
    parser = names.add_parser("verl", help="train a model with verl: Ray, FSDP, vLLM, or a CPU")
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE", help="YAML, see agents/verl_grpo")
    add("--out", type=Path, required=True, metavar="DIR", help="folder; an unfinished one goes on")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="(default: cuda)")
    add("--show", action="store_true", help="print verl's whole configuration; train nothing")
    add(
        "changes",
        nargs="*",
        metavar="KEY=VALUE",
        help="instead of what the file says, such as verl.trainer.total_training_steps=10",
    )
    parser.set_defaults(run=_verl)


def _verl(arguments: argparse.Namespace) -> int:
    from searchenv.integrations.verl.checks import check_packages
    from searchenv.integrations.verl.config import compose, read_config
    from searchenv.integrations.verl.launch import train_verl

    check_packages()
    config = read_config(arguments.config, tuple(arguments.changes))
    if arguments.show:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(compose(config, arguments.out, arguments.device)), end="")
        return 0
    signal.signal(signal.SIGTERM, _end)
    print(f"verl's log: {arguments.out / 'verl.log'}", file=sys.stderr)
    outcome = train_verl(config, arguments.out, device=arguments.device, on_step=_show)
    if outcome.failed:
        print(f"{outcome.failed} samples failed and were left out", file=sys.stderr)
    print(f"model of step {outcome.steps}: {outcome.model or 'not saved; see trainer.save_freq'}")
    return 0


def _show(step: int, metrics: Mapping[str, float]) -> None:
    shown = {name: metrics[key] for name, key in _SHOWN.items() if key in metrics}
    shown |= {
        key.removeprefix("val-core/searchenv/").split("/")[0]: value
        for key, value in metrics.items()
        if key.startswith("val-core/")
    }
    print(f"step {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in shown.items()), flush=True)


def _end(number: int, frame: object) -> NoReturn:
    """Ends verl's processes with this one."""
    raise SystemExit(128 + number)
