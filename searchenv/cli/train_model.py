"""``searchenv train grpo|sft|rejection``: from a model folder to a better one."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from searchenv.cli.options import Commands, add_engine
from searchenv.evaluation import Setup
from searchenv.protocols import PROTOCOLS
from searchenv.task import DEMO, Task
from searchenv.types import Limits

if TYPE_CHECKING:
    from searchenv.training.grpo import Examination

__all__ = ["add_grpo", "add_rejection", "add_sft"]

Settings = TypeVar("Settings")


def add_grpo(names: Commands) -> None:
    """Adds ``searchenv train grpo``."""
    parser = names.add_parser("grpo", help="train a model by reward, in this process")
    _add_model(parser, "folder of the training: metrics, checkpoint, model; it goes on")
    _add_task(parser)
    add = parser.add_argument
    add("--reward", default="em", metavar="TERMS", help="such as em, em+format (default: em)")
    add("--exam-split", metavar="NAME", help="examine on questions of this split while training")
    add("--exam-limit", type=int, default=256, metavar="N", help="at most so many (default: 256)")
    parser.set_defaults(run=_grpo)


def add_sft(names: Commands) -> None:
    """Adds ``searchenv train sft``."""
    parser = names.add_parser("sft", help="fine-tune a model on episodes")
    add = parser.add_argument
    add("episodes", type=Path, metavar="RUN|FILE", help="run folder, or what export sft wrote")
    _add_model(parser, "a new Hugging Face folder")
    parser.set_defaults(run=_sft)


def add_rejection(names: Commands) -> None:
    """Adds ``searchenv train rejection``."""
    parser = names.add_parser(
        "rejection", help="let a model play, and fine-tune it on its right episodes"
    )
    _add_model(parser, "folder for the run and the model")
    _add_task(parser)
    parser.set_defaults(run=_rejection)


def _add_model(parser: argparse.ArgumentParser, out: str) -> None:
    add = parser.add_argument
    add("--model", type=Path, required=True, metavar="DIR", help="where training starts")
    add("--out", type=Path, required=True, metavar="DIR", help=out)
    add("--config", type=Path, metavar="FILE", help="settings as TOML (default: the library's)")


def _add_task(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--questions", metavar="FILE", help="questions to train on (default: the demo world's)")
    add("--split", default="train", help="only questions of this split (default: train)")
    add("--index", default=DEMO, help="folder, name or URL (default: the demo world)")
    add_engine(parser, default=None)
    protocols = ", ".join(PROTOCOLS)
    add("--protocol", default="search_r1", help=f"{protocols}, or package.module:Name")
    add("--k", type=int, default=3, help="hits a search returns (default: 3)")
    add("--max-turns", type=int, default=5, help="moves an episode may take (default: 5)")


def _grpo(arguments: argparse.Namespace) -> int:
    from searchenv.training.grpo import GrpoSettings, train_grpo

    task = _task(arguments, arguments.split)
    trained = train_grpo(
        arguments.model,
        task.questions,
        _setup(task, reward=arguments.reward),
        _settings(GrpoSettings, arguments),
        arguments.out,
        examination=_examination(arguments),
        progress=sys.stderr.isatty(),
    )
    print(f"model: {trained}")
    return 0


def _sft(arguments: argparse.Namespace) -> int:
    from searchenv.training.models import load_model
    from searchenv.training.sft import SftSettings, fine_tune, read_items

    settings = _settings(SftSettings, arguments)
    _, tokenizer = load_model(arguments.model)
    items = read_items(arguments.episodes, tokenizer)
    progress = sys.stderr.isatty()
    losses = fine_tune(arguments.model, items, settings, arguments.out, progress=progress)
    print(f"{len(items)} episodes, loss {losses[0]:.3f} to {losses[-1]:.3f}")
    print(f"model: {arguments.out}")
    return 0


def _rejection(arguments: argparse.Namespace) -> int:
    from searchenv.training.sft import RejectionSettings, train_rejection

    task = _task(arguments, arguments.split)
    selection = train_rejection(
        arguments.model,
        task.questions,
        _setup(task),
        _settings(RejectionSettings, arguments),
        arguments.out,
        progress=sys.stderr.isatty(),
    )
    print(f"{len(selection.kept)} episodes kept")
    for reason, count in selection.left_out.items():
        print(f"left out, {reason}: {count}")
    print(f"model: {arguments.out / 'model'}")
    return 0


def _task(arguments: argparse.Namespace, split: str) -> Task:
    return Task(
        index=arguments.index,
        engine=arguments.engine,
        questions=arguments.questions,
        split=split,
        protocol=arguments.protocol,
        limits=Limits(max_turns=arguments.max_turns),
        k=arguments.k,
    )


def _setup(task: Task, *, reward: str = "em") -> Setup:
    from searchenv.training.rewards import reward_of

    return Setup(
        tools=task.tools,
        protocol=task.protocol,
        limits=task.limits,
        scorers=("em", "f1_squad"),
        reward=reward_of(reward),
    )


def _examination(arguments: argparse.Namespace) -> "Examination | None":
    from searchenv.training.grpo import Examination

    if arguments.exam_split is None:
        return None
    task = _task(arguments, arguments.exam_split)
    return Examination(task.questions[: arguments.exam_limit], _setup(task))


def _settings(cls: type[Settings], arguments: argparse.Namespace) -> Settings:
    from searchenv.training.settings import read_settings

    return cls() if arguments.config is None else read_settings(cls, arguments.config)
