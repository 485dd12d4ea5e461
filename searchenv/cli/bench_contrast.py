"""``searchenv bench contrast``: MuSiQue-Full's group score of a run."""

import argparse
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.options import Commands
from searchenv.evaluation.contrast import REFUSALS, score_contrast

__all__ = ["add_contrast"]


def add_contrast(names: Commands) -> None:
    """Adds ``searchenv bench contrast``."""
    parser = names.add_parser("contrast", help="MuSiQue-Full's group score, over pairs of twins")
    parser.add_argument("run_folder", type=Path, metavar="RUN")
    parser.add_argument(
        "--refusal",
        nargs="+",
        default=REFUSALS,
        metavar="TEXT",
        help=f"answers that say a question is unanswerable (default: {' '.join(REFUSALS)})",
    )
    parser.set_defaults(run=_contrast)


def _contrast(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    print(score_contrast(records, refusals=arguments.refusal).text())
    return 0
