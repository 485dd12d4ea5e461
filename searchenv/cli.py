"""``searchenv``: parse the command line, call one function, print what it returned."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from searchenv import __version__
from searchenv.env import SearchQAEnv
from searchenv.errors import SearchEnvError
from searchenv.evaluation import evaluate
from searchenv.indexing import build_index, build_spec, list_indexes, load_spec, verify_index
from searchenv.policies import POLICIES, HumanPolicy, IterativePolicy, Policy, get_policy
from searchenv.protocols import PROTOCOLS
from searchenv.rendering import render_episode
from searchenv.retrieval import Engine, Manifest, index_home, open_index
from searchenv.task import DEMO, Task
from searchenv.types import Limits

__all__ = ["main"]

_DEMO_POLICIES = ("random", "one_shot", "iterative", "oracle")
_COLUMNS = ("em", "f1_hotpot", "gold_recall", "searches")
_WIDTHS = (8, 8, 9, 10)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 1 for a failed check, 2 for an error."""
    arguments = _parser().parse_args(argv)
    sys.path.append(str(Path.cwd()))  # so that package.module:Name finds the user's own code
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(arguments.run(arguments))
    except (SearchEnvError, ValueError, OSError) as error:
        print(f"searchenv: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


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


def _index_build(arguments: argparse.Namespace) -> int:
    if (arguments.spec is None) == (arguments.corpus is None):
        raise ValueError("give either SPEC.toml or --corpus FILE with --engine and --out")
    if arguments.spec is not None:
        manifest = build_spec(
            load_spec(arguments.spec), arguments.out, replace=arguments.replace, progress=True
        )
        folder = arguments.out or index_home() / manifest.name
    else:
        if arguments.engine is None or arguments.out is None:
            raise ValueError("--corpus needs --engine lucene|bm25s and --out DIR")
        manifest = build_index(
            arguments.corpus,
            arguments.out,
            engine=arguments.engine,
            skip_broken=arguments.skip_broken,
            replace=arguments.replace,
            progress=True,
        )
        folder = arguments.out
    print(f"{folder}: {_describe(manifest)}")
    return 0


def _index_verify(arguments: argparse.Namespace) -> int:
    report = verify_index(arguments.index)
    print(f"{arguments.index}: {_describe(report.manifest)}")
    for problem in report.problems:
        print(f"problem: {problem}")
    print("sound" if report.ok else f"{len(report.problems)} problems")
    return 0 if report.ok else 1


def _index_search(arguments: argparse.Namespace) -> int:
    retriever = open_index(arguments.index, engine=arguments.engine, download=arguments.download)
    (hits,) = retriever.search([arguments.query], arguments.k)
    for hit in hits:
        print(f"{hit.rank:>3}  {hit.score:8.4f}  {hit.passage.id}  {hit.passage.title}")
        print(f"     {' '.join(hit.passage.text.split())[:200]}")
    if not hits:
        print("nothing found")
    return 0


def _index_list(arguments: argparse.Namespace) -> int:
    manifests = list_indexes()
    for manifest in manifests:
        print(f"{manifest.name}: {_describe(manifest)}")
    if not manifests:
        print(f"no indexes under {index_home()}")
    return 0


def _describe(manifest: Manifest) -> str:
    return (
        f"{manifest.engine}, {manifest.num_passages:,} passages, "
        f"k1={manifest.k1} b={manifest.b}, fingerprint {manifest.fingerprint}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="searchenv", description="Search agents: environments, indexes, evaluation."
    )
    parser.add_argument("--version", action="version", version=f"searchenv {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="watch an agent search the demo world"))
    _add_play(commands.add_parser("play", help="let a policy, or yourself, answer questions"))
    index = commands.add_parser("index", help="build, verify, search and list indexes")
    _add_index(index)
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _engine(parser, default=Engine.LUCENE)
    parser.set_defaults(run=_demo)


def _add_play(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--index", default=DEMO, help="folder or name of an index (default: the demo world)")
    _engine(parser, default=None)
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


def _add_index(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build an index from a spec or a corpus")
    build.add_argument("spec", nargs="?", type=Path, metavar="SPEC.toml")
    build.add_argument("--corpus", nargs="+", type=Path, metavar="FILE")
    build.add_argument("--out", type=Path, metavar="DIR")
    build.add_argument("--replace", action="store_true", help="replace an index that is there")
    build.add_argument(
        "--skip-broken", action="store_true", help="leave out broken and repeated records"
    )
    _engine(build, default=None)
    build.set_defaults(run=_index_build)

    verify = commands.add_parser("verify", help="check an index against its manifest")
    verify.add_argument("index", type=Path, metavar="DIR")
    verify.set_defaults(run=_index_verify)

    search = commands.add_parser("search", help="search an index once")
    search.add_argument("index", metavar="DIR|NAME")
    search.add_argument("query")
    search.add_argument("--k", type=int, default=5, help="hits to show (default: 5)")
    search.add_argument("--download", action="store_true", help="fetch a Pyserini prebuilt index")
    _engine(search, default=None)
    search.set_defaults(run=_index_search)

    commands.add_parser("list", help="list the indexes that have a name").set_defaults(
        run=_index_list
    )


def _engine(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    shown = default or "what the index is"
    parser.add_argument(
        "--engine", choices=list(Engine), default=default, help=f"(default: {shown})"
    )


if __name__ == "__main__":
    sys.exit(main())
