"""``searchenv train arms``: an experiment that is written down before it runs."""

import argparse
import sys
from pathlib import Path

from searchenv.cli.options import Commands

__all__ = ["add_arms"]


def add_arms(names: Commands) -> None:
    """Adds ``searchenv train arms``."""
    parser = names.add_parser("arms", help="run the arms and seeds of an experiment's file")
    add = parser.add_argument
    add("experiment", type=Path, metavar="FILE", help="TOML: base, worlds, arms, seeds")
    add("--work", type=Path, required=True, metavar="DIR", help="for models and metrics")
    add("--rows", type=Path, required=True, metavar="DIR", help="one file a finished run")
    add("--only", nargs="+", default=[], metavar="ARM", help="only these arms")
    add("--seeds", nargs="+", type=int, default=[], metavar="N", help="only these seeds")
    add("--table", action="store_true", help="run nothing, show what is there")
    add("--readme", type=Path, metavar="FILE", help="put the tables where it says <!-- NAME -->")
    add("--against", metavar="ARM", help="compare with this arm, by seed and question")
    add("--plot", type=Path, metavar="PNG", help="draw the curves of the trainings")
    parser.set_defaults(run=_arms)


def _arms(arguments: argparse.Namespace) -> int:
    from searchenv.training.arms import Experiment, exam_questions, read_rows, run_experiment
    from searchenv.training.curves import draw_curves
    from searchenv.training.settings import read_settings
    from searchenv.training.tables import (
        DECODINGS,
        fill_tables,
        table_of,
        table_of_differences,
        table_of_types,
    )

    experiment = read_settings(Experiment, arguments.experiment)
    if arguments.against:
        experiment.check_arms([arguments.against])
    if arguments.table:
        rows = read_rows(experiment, arguments.rows)
    else:
        rows = run_experiment(
            experiment,
            arguments.work,
            arguments.rows,
            only=arguments.only,
            seeds=arguments.seeds,
            progress=sys.stderr.isatty(),
        )
    tables = {decoding: table_of(rows, decoding) for decoding in DECODINGS}
    types = [str(question.metadata["type"]) for question in exam_questions(experiment)]
    tables["types"] = table_of_types(rows, types)
    if arguments.against:
        tables["against"] = table_of_differences(rows, arguments.against)
    for name, table in tables.items():
        print(f"{name}:\n\n{table}\n")
    if arguments.readme:
        fill_tables(arguments.readme, tables)
    if arguments.plot and not draw_curves(rows, arguments.plot):
        print("no training is among the rows: there is nothing to draw", file=sys.stderr)
    return 0
