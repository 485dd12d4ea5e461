"""Options that several commands take."""

import argparse
from typing import TypeAlias

from searchenv.retrieval import Engine

__all__ = ["Commands", "add_engine"]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What ``add_subparsers`` returns; argparse has no public name for it."""


def add_engine(
    parser: "argparse.ArgumentParser | argparse._ArgumentGroup", *, default: str | None
) -> None:
    """Adds ``--engine``; None means what the index is."""
    shown = default or "what the index is"
    parser.add_argument(
        "--engine", choices=list(Engine), default=default, help=f"(default: {shown})"
    )
