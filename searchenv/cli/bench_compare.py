"""``searchenv bench compare``: two like runs, question by question."""

import argparse
from pathlib import Path

from searchenv.cli.bench_table import add_judge, whole_run
from searchenv.cli.options import Commands
from searchenv.evaluation.compare import compare_runs

__all__ = ["add_compare"]


def add_compare(names: Commands) -> None:
    """Adds ``searchenv bench compare``."""
    parser = names.add_parser("compare", help="two runs, question by question")
    parser.add_argument("first", type=Path, metavar="A")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument(
        "--allow",
        nargs="+",
        default=(),
        metavar="FIELD",
        help="of the headers, that may differ: policy, retriever, retriever.k, ...",
    )
    add_judge(parser)
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    first = whole_run(arguments.first, arguments.judge)
    second = whole_run(arguments.second, arguments.judge)
    found = compare_runs(first, second, allow=arguments.allow)
    width = max(len(each.measure) for each in found)
    print(f"{'':<{width}}  {'A':>7}  {'B':>7}  {'B - A':>7}  {'interval':<16}  {'p':>6}  n")
    for each in found:
        change = each.difference
        interval = f"[{change.low:.3f}, {change.high:.3f}]"
        print(
            f"{each.measure:<{width}}  {each.first:7.3f}  {each.second:7.3f}  {change.mean:+7.3f}  "
            f"{interval:<16}  {each.p:6.4f}  {change.n}"
        )
    return 0
