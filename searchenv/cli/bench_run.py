"""``searchenv bench run``: plays questions into a run folder that can be resumed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from searchenv.cli.models import add_model_options, make_generator
from searchenv.cli.options import Commands, add_engine
from searchenv.evaluation import DEFAULT_SCORERS, Setup, run_header, run_questions
from searchenv.evaluation.statistics import summarize
from searchenv.metrics import SCORERS
from searchenv.policies import POLICIES, get_policy
from searchenv.policies.named import MODEL_POLICIES, describe_policy
from searchenv.protocols import PROTOCOLS
from searchenv.task import DEMO, Task
from searchenv.types import Limits, Question

__all__ = ["add_run"]


def add_run(names: Commands) -> None:
    """Adds ``searchenv bench run``."""
    parser = names.add_parser("run", help="play questions, and keep what became of each")
    add = parser.add_argument
    add("--questions", metavar="FILE", help="a file, or hf:NAME:SPLIT (default: the demo world's)")
    add("--split", help="only questions of this split (demo: train)")
    add("--index", default=DEMO, help="folder, name or URL (default: the demo world)")
    add_engine(parser, default=None)
    policies = ", ".join([*POLICIES, *MODEL_POLICIES])
    add("--policy", required=True, help=f"{policies}, or package.module:Name")
    add("--out", type=Path, required=True, metavar="RUN", help="folder; an unfinished one goes on")
    add(
        "--protocol",
        default="search_r1",
        help=f"{', '.join(PROTOCOLS)}, or package.module:Name (default: search_r1)",
    )
    add("--k", type=int, default=3, help="hits a search returns (default: 3)")
    add("--max-turns", type=int, default=8, help="moves an episode may take (default: 8)")
    add(
        "--scorer",
        nargs="+",
        choices=list(SCORERS),
        default=DEFAULT_SCORERS,
        metavar="NAME",
        help=f"of {', '.join(SCORERS)} (default: {' '.join(DEFAULT_SCORERS)})",
    )
    add("--samples", type=int, default=1, help="how often each question is played (default: 1)")
    add("--seed", type=int, default=0, help="of samples and --sample (default: 0)")
    add("--sample", type=int, metavar="N", help="only N questions, drawn at random by the seed")
    add("--limit", type=int, metavar="N", help="only the first N questions")
    add("--num-envs", type=int, default=64, help="episodes in flight (default: 64)")
    add("--retry-failed", action="store_true", help="play again what a failure ended")
    add_model_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    task = Task(
        index=arguments.index,
        engine=arguments.engine,
        questions=arguments.questions,
        split=arguments.split,
        protocol=arguments.protocol,
        limits=Limits(max_turns=arguments.max_turns),
        k=arguments.k,
    )
    questions = _chosen(task.questions, arguments.sample, arguments.limit, arguments.seed)
    policy = get_policy(arguments.policy, questions, generator=make_generator(arguments))
    setup = Setup(
        tools=task.tools,
        protocol=task.protocol,
        limits=task.limits,
        scorers=tuple(arguments.scorer),
        reward=task.reward,
        samples=arguments.samples,
        seed=arguments.seed,
    )
    header = run_header(
        questions,
        setup,
        name=DEMO if arguments.questions is None else Path(arguments.questions).name,
        policy=describe_policy(arguments.policy, policy),
        retriever={"fingerprint": task.retriever.fingerprint, "k": arguments.k},
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
