"""``searchenv export``: the records of a run in the formats of other programs."""

import argparse
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.options import Commands
from searchenv.exports import export_jsonl, export_parquet

__all__ = ["add_commands"]

_WRITERS = {"jsonl": export_jsonl, "parquet": export_parquet}


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv export``."""
    parser = commands.add_parser("export", help="write the records of a run as one file")
    parser.add_argument("format", choices=list(_WRITERS))
    parser.add_argument("run_folder", metavar="RUN", type=Path)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True)
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    _WRITERS[arguments.format](records, arguments.out)
    print(f"{len(records)} records in {arguments.out}")
    return 0
