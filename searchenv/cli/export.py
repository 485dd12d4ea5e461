"""``searchenv export``: the records of a run in the formats of other programs."""

import argparse
from collections.abc import Callable
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.options import Commands
from searchenv.exports import export_jsonl, export_parquet, export_trec

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv export`` and its formats."""
    export = commands.add_parser("export", help="write the records of a run for other programs")
    formats = export.add_subparsers(required=True, metavar="FORMAT")
    _add(formats, "jsonl", _jsonl, "FILE", "one record a line")
    _add(formats, "parquet", _parquet, "FILE", "one record a row")
    _add(formats, "trec", _trec, "DIR", "what was found, as TREC run and qrels files")


def _add(
    formats: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    out: str,
    help: str,
) -> argparse.ArgumentParser:
    parser = formats.add_parser(name, help=help)
    parser.add_argument("run_folder", metavar="RUN", type=Path)
    parser.add_argument("--out", metavar=out, type=Path, required=True)
    parser.set_defaults(run=run)
    return parser


def _jsonl(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    export_jsonl(records, arguments.out)
    print(f"{len(records)} records in {arguments.out}")
    return 0


def _parquet(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    export_parquet(records, arguments.out)
    print(f"{len(records)} records in {arguments.out}")
    return 0


def _trec(arguments: argparse.Namespace) -> int:
    counts = export_trec(whole_run(arguments.run_folder).records, arguments.out)
    print(
        f"{counts.questions} questions, {counts.samples} run files in {arguments.out}; "
        f"{counts.left_out} questions without known gold passages left out"
    )
    return 0
