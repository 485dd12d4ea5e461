"""``searchenv rescore``: other scores for answers that are stored, without a model."""

import argparse
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.options import Commands
from searchenv.evaluation import DEFAULT_SCORERS
from searchenv.evaluation.rescore import (
    R1_ROWS,
    rescore_flashrag,
    rescore_r1_searcher,
    rescore_records,
    rescore_search_r1,
)
from searchenv.evaluation.statistics import summarize
from searchenv.metrics import SCORERS

__all__ = ["add_commands"]

_SHORT = {"f1": "f1_hotpot", "cover_em": "cover_em_r1"}
_OTHERS = {"flashrag": rescore_flashrag, "search_r1": rescore_search_r1}


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv rescore``."""
    parser = commands.add_parser("rescore", help="score stored answers again, without a model")
    add = parser.add_argument
    add("path", metavar="RUN|FILE", help="a run folder, or with --format a file of outputs")
    add("--format", choices=["r1_searcher", *_OTHERS], help="what wrote FILE")
    add(
        "--metric",
        action="append",
        metavar="NAME",
        help=f"of a RUN, may be repeated: {', '.join(SCORERS)}; f1 is {_SHORT['f1']}, cover_em is "
        f"{_SHORT['cover_em']} (default: {', '.join(DEFAULT_SCORERS)})",
    )
    add(
        "--verdict",
        metavar="FIELD",
        default="gpt4o_output",
        help="of r1_searcher, with a judge's True or False (default: gpt4o_output)",
    )
    add(
        "--all",
        action="store_true",
        help=f"of r1_searcher, also rows after the first {R1_ROWS}",
    )
    parser.set_defaults(run=_rescore)


def _rescore(arguments: argparse.Namespace) -> int:
    if arguments.format is not None:
        if arguments.metric:
            raise ValueError("--metric is for runs: each --format has scorers of its own")
        if rescore := _OTHERS.get(arguments.format):
            print(rescore(arguments.path).text())
            return 0
        limit = None if arguments.all else R1_ROWS
        print(rescore_r1_searcher(arguments.path, verdict=arguments.verdict, limit=limit).text())
        return 0
    if Path(arguments.path).is_file():
        raise ValueError(f"{arguments.path} is a file: say with --format what wrote it")
    names = arguments.metric or DEFAULT_SCORERS
    records = whole_run(Path(arguments.path)).records
    print(summarize(rescore_records(records, [_SHORT.get(name, name) for name in names])).text())
    return 0
