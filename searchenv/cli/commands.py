"""``searchenv``: the entry point and what all commands share."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from searchenv import __version__
from searchenv.cli import (
    bench,
    export,
    imports,
    index,
    judge,
    play,
    questions,
    rescore,
    serve,
    train,
    view,
)
from searchenv.errors import SearchEnvError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 1 for a failed check, 2 for an error."""
    arguments = _parser().parse_args(argv)
    sys.path.append(str(Path.cwd()))  # so that package.module:Name finds the user's own code
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(arguments.run(arguments))
    except (SearchEnvError, ValueError, OSError) as error:
        print(f"searchenv: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="searchenv", description="Search agents: environments, indexes, evaluation."
    )
    parser.add_argument("--version", action="version", version=f"searchenv {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    groups = (play, index, questions, serve, bench, export, imports, judge, rescore, train, view)
    for group in groups:
        group.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
