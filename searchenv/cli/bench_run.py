"""``searchenv bench run``: plays questions into a run folder that can be resumed."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from searchenv.cli.models import add_model_options, make_generator
from searchenv.cli.options import Commands, add_engine
from searchenv.evaluation import DEFAULT_SCORERS, Setup, run_header, run_questions
from searchenv.evaluation.statistics import summarize
from searchenv.evaluation.suites import RETRIEVERS, SUITES, Suite, get_suite
from searchenv.metrics import SCORERS
from searchenv.policies import POLICIES, get_policy
from searchenv.policies.named import MODEL_POLICIES, describe_policy
from searchenv.protocols import PROTOCOLS
from searchenv.task import DEMO, Task
from searchenv.types import Limits, Question

__all__ = ["add_run"]

_OF_A_SUITE = ("data", "retriever")
_OF_QUESTIONS = ("questions", "split", "index", "engine")


def add_run(names: Commands) -> None:
    """Adds ``searchenv bench run``."""
    parser = names.add_parser("run", help="play a suite or questions, and keep what became of each")
    add = parser.add_argument
    add(
        "suite",
        nargs="?",
        metavar="SUITE",
        help=f"{', '.join(SUITES)}, or package.module:Name (default: --questions over --index)",
    )
    policies = ", ".join([*POLICIES, *MODEL_POLICIES])
    add("--policy", required=True, help=f"{policies}, or package.module:Name")
    add("--out", type=Path, required=True, metavar="RUN", help="folder; an unfinished one goes on")
    _add_what(parser)
    add(
        "--protocol",
        help=f"{', '.join(PROTOCOLS)}, or package.module:Name (default: the suite's, or search_r1)",
    )
    add("--k", type=int, help="hits a search returns (default: the suite's, or 3)")
    add("--max-turns", type=int, help="moves an episode may take (default: the suite's, or 8)")
    add(
        "--scorer",
        nargs="+",
        choices=list(SCORERS),
        metavar="NAME",
        help=f"of {', '.join(SCORERS)} (default: the suite's, or {' '.join(DEFAULT_SCORERS)})",
    )
    add("--samples", type=int, default=1, help="how often each question is played (default: 1)")
    add("--seed", type=int, default=0, help="of samples and --sample (default: 0)")
    add("--sample", type=int, metavar="N", help="only N questions, drawn at random by the seed")
    add("--limit", type=int, metavar="N", help="only the first N questions")
    add("--num-envs", type=int, default=64, help="episodes in flight (default: 64)")
    add("--retry-failed", action="store_true", help="play again what a failure ended")
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _add_what(parser: argparse.ArgumentParser) -> None:
    suite = parser.add_argument_group("of a suite")
    suite.add_argument(
        "--data", type=Path, metavar="DIR", help="(default: what SEARCHENV_DATA names)"
    )
    suite.add_argument(
        "--retriever",
        choices=list(RETRIEVERS),
        metavar="NAME",
        help=f"{', '.join(RETRIEVERS)} (default: the suite's)",
    )
    own = parser.add_argument_group("of questions of your own")
    add = own.add_argument
    add("--questions", metavar="FILE", help="a file, or hf:NAME:SPLIT (default: the demo world's)")
    add("--split", help="only questions of this split (demo: train)")
    add("--index", help="folder, name or URL (default: the demo world)")
    add_engine(own, default=None)


@dataclass(frozen=True)
class _How:
    """How questions are played; a suite has the same fields."""

    k: int = 3
    limits: Limits = field(default_factory=Limits)
    protocol: str = "search_r1"
    scorers: Sequence[str] = DEFAULT_SCORERS


def _run(arguments: argparse.Namespace) -> int:
    _check_options(arguments)
    suite = None if arguments.suite is None else get_suite(arguments.suite)
    how = _how(arguments, suite or _How())
    task = _own_task(arguments, how) if suite is None else _suite_task(arguments, how, suite)
    questions = _chosen(task.questions, arguments.sample, arguments.limit, arguments.seed)
    policy = get_policy(arguments.policy, questions, generator=make_generator(arguments))
    setup = Setup(
        tools=task.tools,
        protocol=task.protocol,
        limits=task.limits,
        scorers=how.scorers,
        reward=task.reward,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    header = run_header(
        questions,
        setup,
        name=_name(arguments) if suite is None else suite.label,
        policy=describe_policy(arguments.policy, policy),
        retriever={"fingerprint": task.retriever.fingerprint, "k": how.k},
    )
    run = run_questions(
        policy,
        questions,
        setup,
        arguments.out,
        header=header,
        num_envs=arguments.num_envs,
        retry_failed=arguments.retry_failed,
        progress=sys.stderr.isatty(),
    )
    summary = summarize(run.records)
    print(f"{summary.text()}\nrun: {arguments.out}")
    return 1 if summary.failed == len(run.records) else 0


def _check_options(arguments: argparse.Namespace) -> None:
    is_suite = arguments.suite is not None
    for option in _OF_QUESTIONS if is_suite else _OF_A_SUITE:
        if getattr(arguments, option) is not None:
            why = (
                "the suite says it: leave it out" if is_suite else "it belongs to a SUITE: name one"
            )
            raise ValueError(f"--{option}: {why}")


def _how(arguments: argparse.Namespace, base: _How | Suite) -> _How:
    turns = arguments.max_turns
    return _How(
        k=base.k if arguments.k is None else arguments.k,
        limits=base.limits if turns is None else replace(base.limits, max_turns=turns),
        protocol=arguments.protocol or base.protocol,
        scorers=arguments.scorer or base.scorers,
    )


def _suite_task(arguments: argparse.Namespace, how: _How, suite: Suite) -> Task:
    data = suite.read(arguments.data)
    return Task(
        index=suite.open(data, arguments.retriever, progress=sys.stderr.isatty()),
        questions=data.questions,
        protocol=how.protocol,
        limits=how.limits,
        k=how.k,
    )


def _own_task(arguments: argparse.Namespace, how: _How) -> Task:
    return Task(
        index=arguments.index or DEMO,
        engine=arguments.engine,
        questions=arguments.questions,
        split=arguments.split,
        protocol=how.protocol,
        limits=how.limits,
        k=how.k,
    )


def _name(arguments: argparse.Namespace) -> str:
    return DEMO if arguments.questions is None else Path(arguments.questions).name


def _chosen(
    questions: Sequence[Question], sample: int | None, limit: int | None, seed: int
) -> Sequence[Question]:
    for name, number in (("--sample", sample), ("--limit", limit)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be >= 1, got {number}")
    if sample is not None and sample < len(questions):
        places = np.random.default_rng(seed).choice(len(questions), sample, replace=False)
        questions = [questions[place] for place in sorted(places)]
    return questions[:limit]
