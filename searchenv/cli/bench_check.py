"""``searchenv bench check``: runs of the suites against the figures that are expected of them."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import searchenv
from searchenv.cli.options import Commands
from searchenv.errors import RunError
from searchenv.evaluation import Run, read_run
from searchenv.evaluation.expected import Checked, Figures, check_run, read_expected
from searchenv.evaluation.suites import RETRIEVERS, SUITES, Suite, get_suite, play_suite

__all__ = ["add_check"]


def add_check(names: Commands) -> None:
    """Adds ``searchenv bench check``."""
    parser = names.add_parser("check", help="are the figures of the suites what they should be?")
    add = parser.add_argument
    add(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"{', '.join(SUITES)}, or package.module:Name (default: these four)",
    )
    add("--data", type=Path, metavar="DIR", help="(default: what SEARCHENV_DATA names)")
    add(
        "--retriever",
        nargs="+",
        choices=list(RETRIEVERS),
        metavar="NAME",
        help=f"of {', '.join(RETRIEVERS)} (default: that of the suite)",
    )
    add("--policy", nargs="+", metavar="NAME", help="(default: all with expected figures)")
    add(
        "--runs",
        type=Path,
        metavar="DIR",
        help="read DIR/SUITE/POLICY-RETRIEVER; what is not there is played (default: all is)",
    )
    add("--cards", type=Path, metavar="DIR", help="(default: benchmarks/ of the clone)")
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    cards = arguments.cards or Path(searchenv.__path__[0]).parent / "benchmarks"
    found: list[Checked] = []
    with contextlib.ExitStack() as stack:
        runs = arguments.runs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for suite in map(get_suite, arguments.suites or SUITES):
            found += _check_suite(suite, cards, runs, arguments)
    wrong = sum(not each.ok for each in found)
    print(f"{len(found)} figures, {wrong} wrong")
    return int(wrong > 0)


def _check_suite(
    suite: Suite, cards: Path, runs: Path, arguments: argparse.Namespace
) -> list[Checked]:
    path = cards / suite.name / "expected.toml"
    expected = read_expected(path)
    retrievers = arguments.retriever or [suite.retriever]
    chosen = [
        each
        for each in expected.figures
        if each.retriever in retrievers
        and (arguments.policy is None or each.policy in arguments.policy)
    ]
    if not chosen:
        raise RunError(f"{path} expects nothing of these policies and retrievers")
    print(f"{suite.label}: {expected.questions} questions, {suite.split}")
    play = _player(suite, arguments.data)
    found = []
    for figures in chosen:
        out = runs / suite.name / f"{figures.policy}-{figures.retriever}"
        checked = check_run(suite, expected, figures, _whole(out) or play(figures, out))
        for each in checked:
            print(_line(figures, each))
        found += checked
    return found


def _player(suite: Suite, data: Path | None) -> Callable[[Figures, Path], Run]:
    """Returns what plays the suite; files and indexes are opened once, when first needed."""
    read = cache(lambda: suite.read(data))
    progress = sys.stderr.isatty()
    opened = cache(lambda name: suite.open(read(), name, progress=progress))

    def play(figures: Figures, out: Path) -> Run:
        retriever = opened(figures.retriever)
        return play_suite(suite, figures.policy, read(), retriever, out, progress=progress)

    return play


def _whole(out: Path) -> Run | None:
    if not (out / "header.json").is_file():
        return None
    run = read_run(out)
    return run if run.complete else None


def _line(figures: Figures, each: Checked) -> str:
    verdict = "ok   " if each.ok else "WRONG"
    return (
        f"{verdict}  {figures.policy:<10} {figures.retriever:<7} {each.measure:<12} "
        f"{each.measured:7.4f}  expected {each.expected:7.4f} ± {each.tolerance:g}"
    )
