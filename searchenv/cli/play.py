"""``searchenv demo`` and ``searchenv play``."""

import argparse
import sys
import time
from pathlib import Path

from searchenv.cli.options import Commands, add_engine
from searchenv.env import SearchQAEnv
from searchenv.evaluation import evaluate
from searchenv.policies import POLICIES, HumanPolicy, IterativePolicy, Policy, get_policy
from searchenv.protocols import PROTOCOLS
from searchenv.rendering import render_episode
from searchenv.retrieval import Engine
from searchenv.task import DEMO, Task
from searchenv.types import Limits

__all__ = ["add_commands"]

_DEMO_POLICIES = ("random", "one_shot", "iterative", "oracle")
_COLUMNS = ("em", "f1_hotpot", "gold_recall", "searches")
_WIDTHS = (8, 8, 9, 10)


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    _add_demo(commands.add_parser("demo", help="watch an agent search the demo world"))
    _add_play(commands.add_parser("play", help="let a policy, or yourself, answer questions"))


def _demo(arguments: argparse.Namespace) -> int:
    task = Task(engine=arguments.engine, split="dev")
    started = time.perf_counter()
    questions = task.questions
    task.retriever.search(["warm up"], 1)
    print(
        f"The demo world: 2,000 passages in a {arguments.engine} index, ready in "
        f"{time.perf_counter() - started:.1f} s. An agent made of rules\nsearches it, follows the "
        "names that it reads, and answers. Two of its good episodes:\n"
    )
    reports = {
        name: evaluate(get_policy(name, questions), questions, tools=task.tools)
        for name in _DEMO_POLICIES
    }
    env = SearchQAEnv(index=task.retriever, questions=questions)
    good = [r.question_id for r in reports["iterative"].results if r.scores["em"] and r.turns > 2]
    for question_id in good[:2]:
        _play_one(env, question_id, IterativePolicy())
        print(render_episode(env.episode, colour=sys.stdout.isatty()))
    print(f"Policies on the {len(questions)} questions of the dev split, means over questions:\n")
    print(f"{'policy':<12}{'EM':>8}{'F1':>8}{'recall':>9}{'searches':>10}")
    for name, report in reports.items():
        cells = zip(_COLUMNS, _WIDTHS, strict=True)
        print(f"{name:<12}" + "".join(f"{report.means[c].mean:>{w}.3f}" for c, w in cells))
    print(
        "\nEM and F1 compare the answer with the gold answer; recall is the share of gold passages"
        "\nthat were found. The oracle is told which passages are gold: the room above iterative is"
        "\nfor agents that learn. Play yourself: .venv/bin/searchenv play --policy human"
    )
    return 0


def _play(arguments: argparse.Namespace) -> int:
    task = Task(
        index=arguments.index,
        engine=arguments.engine,
        questions=arguments.questions,
        split=arguments.split,
        protocol=arguments.protocol,
        limits=Limits(max_turns=arguments.max_turns),
        k=arguments.k,
    )
    questions = task.questions[: arguments.limit]
    policy = get_policy(arguments.policy, questions)
    env = SearchQAEnv(
        index=task.retriever,
        questions=questions,
        protocol=task.protocol,
        limits=task.limits,
        k=arguments.k,
    )
    if isinstance(policy, HumanPolicy):
        for question in questions:
            _play_one(env, question.id, policy)
            print(render_episode(env.episode, colour=sys.stdout.isatty()))
        return 0
    for question in questions[: arguments.render]:
        _play_one(env, question.id, policy)
        print(render_episode(env.episode, colour=sys.stdout.isatty()))
    started = time.perf_counter()
    report = evaluate(
        policy,
        questions,
        tools=task.tools,
        protocol=task.protocol,
        limits=task.limits,
        num_envs=arguments.num_envs,
        progress=sys.stderr.isatty(),
    )
    print(report.table())
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s; index {task.retriever.fingerprint}, k={arguments.k}")
    if arguments.out is not None:
        report.write_jsonl(arguments.out)
        print(f"results of each question: {arguments.out}")
    return 1 if report.num_failed == len(report.results) else 0


def _play_one(env: SearchQAEnv, question_id: str, policy: Policy) -> None:
    env.reset(options={"question_id": question_id})
    while not env.episode.over:
        env.step(policy.act([env.episode.view])[0])


def _add_demo(parser: argparse.ArgumentParser) -> None:
    add_engine(parser, default=Engine.LUCENE)
    parser.set_defaults(run=_demo)


def _add_play(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--index", default=DEMO, help="folder or name of an index (default: the demo world)")
    add_engine(parser, default=None)
    add("--questions", type=Path, help="a file of questions (default: those of the demo world)")
    add("--split", help="play only questions of this split (demo: train)")
    add(
        "--policy",
        default="iterative",
        help=f"{', '.join(POLICIES)}, or package.module:Name (default: iterative)",
    )
    add(
        "--protocol",
        default="search_r1",
        help=f"{', '.join(PROTOCOLS)}, or package.module:Name (default: search_r1)",
    )
    add("--k", type=int, default=3, help="hits a search returns (default: 3)")
    add("--limit", type=int, help="play only the first LIMIT questions")
    add("--max-turns", type=int, default=8, help="moves an episode may take (default: 8)")
    add("--num-envs", type=int, default=64, help="episodes in flight (default: 64)")
    add("--render", type=int, default=0, metavar="N", help="show the first N episodes")
    add("--out", type=Path, help="write the result of each question to this jsonl file")
    parser.set_defaults(run=_play)
