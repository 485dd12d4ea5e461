"""The files of a run folder: one process writes, and nothing half-written has its final name."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchenv.errors import RunError

__all__ = ["locked", "whole_lines", "write_json", "write_lines"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps the folder for this process.

    Raises:
        RunError: another process has it.
    """
    with (folder / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process is at the run in {folder}") from None
        yield


def whole_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file, if there is one; a last one that a kill cut off is left out."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        return [line for line in stream if line.endswith(b"\n")]


def write_json(path: Path, value: object) -> None:
    """Replaces a file by JSON."""
    write_lines(path, [json.dumps(value, indent=2).encode() + b"\n"])


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Replaces a file by lines; until all of them are on the disk it is as it was."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
