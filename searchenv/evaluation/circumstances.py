"""What a measured figure must be quoted with."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import searchenv

__all__ = ["circumstances"]


def circumstances(packages: Sequence[str] = ()) -> dict[str, object]:
    """Returns command, commit, machine and date of this run, as JSON-able data.

    Args:
        packages: distributions whose versions matter; None stands for one that is not installed.
    """
    return {
        "command": _command(sys.orig_argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _command(words: Sequence[str]) -> str:
    """Returns what was typed after ``python``, or after the folder of an installed command."""
    script = Path(words[0]) if words else Path()
    return " ".join([script.name, *words[1:]] if script.is_absolute() else ["python", *words])


def _commit() -> str:
    """Returns the commit of the checkout, marked where files differ from it; "" without git."""
    folder = Path(searchenv.__path__[0]).parent
    git = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
