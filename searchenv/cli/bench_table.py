"""``searchenv bench table``: means of runs as Markdown, CSV or LaTeX."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.errors import RunError
from searchenv.evaluation.compare import Comparison, compare_runs
from searchenv.evaluation.judge_files import judged, read_judgement
from searchenv.evaluation.merge import differences, merge_runs
from searchenv.evaluation.run import Run, read_run
from searchenv.evaluation.tables import TableFormat, render_table, render_tests, table_rows

__all__ = ["add_judge", "add_table", "whole_run"]


def add_table(names: Commands) -> None:
    """Adds ``searchenv bench table``."""
    parser = names.add_parser("table", help="means of runs, over questions, with intervals")
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN")
    add("--merge", action="store_true", help="the runs are parts of one: a mean over all questions")
    add("--by", nargs="+", default=(), metavar="KEY", help="also by type, hops, or other metadata")
    add("--pass-at", nargs="+", type=int, default=(), metavar="K", help="the best of K samples")
    add(
        "--format",
        choices=list(TableFormat),
        default=TableFormat.MARKDOWN,
        help="(default: markdown)",
    )
    add(
        "--against",
        type=Path,
        metavar="RUN",
        help="also the paired differences of the other runs to this one, with intervals and p",
    )
    add("--allow", nargs="+", default=(), metavar="FIELD", help="as bench compare, for --against")
    add_judge(parser)
    parser.set_defaults(run=_table)


def add_judge(parser: argparse.ArgumentParser) -> None:
    """Adds ``--judge``."""
    parser.add_argument("--judge", metavar="NAME", help="also what a judge of this name says")


def whole_run(folder: Path, judge: str | None = None) -> Run:
    """Returns the run in a folder, with the verdicts of a judge where one is named.

    Raises:
        RunError: there is none, or it has not come to its end, or no such judge was asked.
    """
    run = read_run(folder)
    if not run.complete:
        raise RunError(
            f"the run in {folder} is not whole, it has {len(run.records)} records: "
            "start it again with the same arguments, and it goes on"
        )
    return run if judge is None else judged(run, read_judgement(folder, judge))


def _table(arguments: argparse.Namespace) -> int:
    runs = {_name(folder): whole_run(folder, arguments.judge) for folder in arguments.runs}
    if len(runs) < len(arguments.runs):
        raise ValueError("two runs have the same path: name each once")
    if arguments.merge:
        runs = {" + ".join(runs): merge_runs(list(runs.values()))}
    records = {name: run.records for name, run in runs.items()}
    rows = table_rows(records, by=arguments.by, pass_at=arguments.pass_at)
    tests = {}
    if arguments.against is not None:
        tests = _tests(runs, _name(arguments.against), arguments.allow)
    print(render_table(rows, arguments.format))
    if tests:
        print(f"\n{render_tests(tests, arguments.format)}")
    if unlike := differences([run.header for run in runs.values()]):
        print(f"the runs differ in {', '.join(unlike)}", file=sys.stderr)
    return 0


def _tests(
    runs: Mapping[str, Run], against: str, allow: Sequence[str]
) -> dict[str, list[Comparison]]:
    if against not in runs or len(runs) < 2:
        raise ValueError(
            f"--against {against} needs that run and at least one other among the runs of the table"
        )
    return {
        name: compare_runs(runs[against], run, allow=allow)
        for name, run in runs.items()
        if name != against
    }


def _name(folder: Path) -> str:
    return folder.as_posix().rstrip("/")
