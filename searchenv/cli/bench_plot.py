"""``searchenv bench plot``: pictures of runs."""

import argparse
from pathlib import Path

from searchenv.cli.bench_table import add_judge, whole_run
from searchenv.cli.options import Commands
from searchenv.evaluation.plots import plot_runs

__all__ = ["add_plot"]


def add_plot(names: Commands) -> None:
    """Adds ``searchenv bench plot``."""
    parser = names.add_parser("plot", help="score by hops, searches, recall, judge, as PNG")
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--measure", metavar="NAME", help="by hops (default: the first scorer)")
    add_judge(parser)
    parser.set_defaults(run=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    names = [folder.name for folder in arguments.runs]
    if len(set(names)) < len(names):
        names = [folder.as_posix() for folder in arguments.runs]
    runs = {
        name: whole_run(folder, arguments.judge).records
        for name, folder in zip(names, arguments.runs, strict=True)
    }
    for path in plot_runs(runs, arguments.out, measure=arguments.measure, judge=arguments.judge):
        print(path)
    return 0
