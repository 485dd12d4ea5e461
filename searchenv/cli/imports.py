"""``searchenv import``: output files of other projects as a run."""

import argparse
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.evaluation import DEFAULT_SCORERS
from searchenv.evaluation.merge import UNKNOWN
from searchenv.evaluation.statistics import summarize
from searchenv.imports import FORMATS, import_run
from searchenv.metrics import SCORERS
from searchenv.questions import read_questions

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv import``."""
    parser = commands.add_parser("import", help="output files of other projects as a run")
    add = parser.add_argument
    add("format", choices=list(FORMATS), help="what wrote the files")
    add("files", nargs="+", metavar="FILE", help="jsonl or a JSON list, gzipped or not")
    add("--out", type=Path, required=True, metavar="RUN", help="a new folder")
    add("--questions", metavar="FILE", help="with gold passages, types, hops and ids of these")
    add("--name", help="of the question set (default: the first FILE)")
    add("--policy", default=UNKNOWN, metavar="NAME", help="what wrote the answers")
    add(
        "--scorer",
        nargs="+",
        choices=list(SCORERS),
        metavar="NAME",
        default=DEFAULT_SCORERS,
        help=f"of {', '.join(SCORERS)} (default: {' '.join(DEFAULT_SCORERS)})",
    )
    parser.set_defaults(run=_import)


def _import(arguments: argparse.Namespace) -> int:
    questions = read_questions(arguments.questions) if arguments.questions else ()
    run = import_run(
        arguments.format,
        arguments.files,
        arguments.out,
        questions=questions,
        scorers=arguments.scorer,
        name=arguments.name,
        policy=arguments.policy,
    )
    print(f"{summarize(run.records).text()}\nrun: {arguments.out}")
    if questions and (missing := len(questions) - run.header["questions"]["n"]):
        print(f"{missing} of the {len(questions)} questions have no row")
    return 0
