"""A folder appears under its final name whole or not at all, and only one process makes it.

A build holds a lock file beside the folder. The operating system drops the lock when its holder
dies, so whoever gets it knows that the temporary folders of earlier builds are dead, and removes
them.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchenv.retrieval.manifest import MANIFEST_FILE, Manifest, read_manifest

__all__ = ["ensure_index", "new_folder", "sole_builder"]

_held = threading.local()


def ensure_index(out: str | Path, build: Callable[[], object]) -> Manifest:
    """Returns the manifest of the index at ``out``, which ``build()`` makes if it is not there.

    Of several processes or threads that ask at once, one builds and the others wait, then use the
    result. ``build`` is normally a call of :func:`searchenv.indexing.build_index` with the same
    ``out``.
    """
    out = Path(out)
    if not (out / MANIFEST_FILE).is_file():
        with sole_builder(out):
            if not (out / MANIFEST_FILE).is_file():
                build()
    return read_manifest(out)


@contextmanager
def sole_builder(out: Path) -> Iterator[None]:
    """Waits for, then holds, the lock on building ``out``; may be nested in one thread."""
    path = out.absolute()
    held: set[Path] = _held.__dict__.setdefault("paths", set())
    if path in held:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held.add(path)
        try:
            yield
        finally:
            held.discard(path)
            # closing the file is not enough: a process forked meanwhile holds a copy of it
            fcntl.flock(lock, fcntl.LOCK_UN)


@contextmanager
def new_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside ``out`` that takes its name if the block ends well.

    Hold :func:`sole_builder` round it.

    Raises:
        FileExistsError: something is at ``out`` and ``replace`` is False.
    """
    if out.exists() and not replace:
        raise FileExistsError(
            f"{out} is already there: choose another folder, or replace it (--replace)"
        )
    prefix = f".{out.name}.build-"
    for dead in out.parent.glob(f"{prefix}*"):
        shutil.rmtree(dead, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp's 0700 would shut out everybody else
        _sync(folder)
        if out.exists():
            out.rename(folder.with_name(f"{folder.name}-old"))
        folder.rename(out)
        _sync_one(out.parent)
        shutil.rmtree(folder.with_name(f"{folder.name}-old"), ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync_one(Path(root, name))
        _sync_one(Path(root))


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
