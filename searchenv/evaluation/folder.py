"""The files of a run folder: one process writes, and nothing half-written has its final name."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchenv.errors import RunError
from searchenv.evaluation.circumstances import circumstances

__all__ = ["locked", "session", "whole_lines", "write_json", "write_lines"]


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


@contextmanager
def session(path: Path, user: object, **counts: int) -> Iterator[None]:
    """Adds a start to the list in a file: when and where, and once it has ended its seconds.

    Args:
        path: of the list.
        user: a policy or a generator; its ``usage`` is noted at the end if it has one.
        counts: further fields of the entry.
    """
    sessions = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    entry = {**circumstances(), **counts, "seconds": None}
    sessions.append(entry)
    write_json(path, sessions)
    started = time.perf_counter()
    yield
    entry["seconds"] = round(time.perf_counter() - started, 3)
    if (usage := getattr(user, "usage", None)) is not None:
        entry["usage"] = usage
    write_json(path, sessions)


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
