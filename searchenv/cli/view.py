"""``searchenv view``: one static page on which a run is read."""

import argparse
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.viewer import write_page

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv view``."""
    parser = commands.add_parser("view", help="write a page that shows the episodes of a run")
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of bench run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as page.html")
    parser.set_defaults(run=_view)


def _view(arguments: argparse.Namespace) -> int:
    run = write_page(arguments.folder, arguments.out)
    state = "" if run.complete else ", the run is not whole"
    print(f"{arguments.out}: {len(run.records)} episodes{state}")
    return 0
