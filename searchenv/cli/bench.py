"""``searchenv bench``: runs of questions, and the tables of a clone's ``benchmarks`` folder."""

import argparse
import subprocess
import sys
from pathlib import Path

import searchenv
from searchenv.cli.bench_check import add_check
from searchenv.cli.bench_compare import add_compare
from searchenv.cli.bench_contrast import add_contrast
from searchenv.cli.bench_plot import add_plot
from searchenv.cli.bench_run import add_run
from searchenv.cli.bench_table import add_table
from searchenv.cli.options import Commands
from searchenv.errors import SearchEnvError

__all__ = ["add_commands"]

_SPEED = ("throughput", "service", "dense", "growth")


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv bench`` and its commands."""
    bench = commands.add_parser("bench", help="play suites and questions, compare; measure speed")
    names = bench.add_subparsers(required=True, metavar="COMMAND")
    add_run(names)
    add_table(names)
    add_check(names)
    add_compare(names)
    add_contrast(names)
    add_plot(names)
    speed = names.add_parser("speed", help="engines, environment, service, dense, growth")
    speed.add_argument(
        "--only",
        nargs="+",
        choices=_SPEED,
        default=_SPEED,
        help="some of the tables (default: all)",
    )
    speed.set_defaults(run=_speed)


def _speed(arguments: argparse.Namespace) -> int:
    folder = Path(searchenv.__path__[0]).parent / "benchmarks"
    if not folder.is_dir():
        raise SearchEnvError(
            f"no folder {folder}: the benchmarks are part of the repository, not of the package. "
            "Clone it and install it with pip install --editable"
        )
    for name in arguments.only:
        print(f"== {name}", flush=True)
        script = [sys.executable, str(folder / f"{name}.py"), "--out", str(folder / f"{name}.json")]
        subprocess.run(script, check=True)
    subprocess.run([sys.executable, str(folder / "tables.py")], check=True)
    return 0
