import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from searchenv.indexing import build_index, ensure_index
from searchenv.indexing.publish import new_folder, sole_builder
from searchenv.retrieval import open_index
from searchenv.types import Passage

TOWN = [Passage("p1", "Dunmarrow", "Dunmarrow is a town.")]

SLOW_BUILD = """
import sys, time
from pathlib import Path
from searchenv.indexing import build_index
from searchenv.types import Passage

def passages():
    for i in range(int(sys.argv[3])):
        yield Passage(str(i), "Title", f"text number {i} " * 20)
    print("read", flush=True)
    time.sleep(float(sys.argv[4]))

build_index(passages(), Path(sys.argv[1]), engine=sys.argv[2])
"""


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize(
    ("engine", "count", "sleep_s", "wait_s"),
    [
        ("bm25s", 100, 30, 0),  # killed while it reads the corpus
        ("bm25s", 30_000, 0, 0.5),  # while it makes the matrix
        ("lucene", 30_000, 0, 1.0),  # while the child process runs Lucene
    ],
)
def test_kill_in_the_middle_leaves_no_index(
    tmp_path: Path, engine: str, count: int, sleep_s: float, wait_s: float
) -> None:
    out = tmp_path / "index"
    command = [sys.executable, "-c", SLOW_BUILD, str(out), engine, str(count), str(sleep_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"read\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(leftovers(tmp_path)) == 1  # the temporary folder
    for _ in range(20):  # neither the lock nor the rest is in the way of the next build
        build_index(TOWN, out, engine="bm25s", replace=True)
        if leftovers(tmp_path) == ["index"]:
            break
        time.sleep(0.5)  # the killed build's own child may take a moment to end
    assert leftovers(tmp_path) == ["index"]
    assert len(open_index(out).search(["town"], 1)[0]) == 1


def test_error_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def work() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "file").touch()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        work()
    assert leftovers(tmp_path) == []


def test_new_folder_replaces_only_when_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ("old", "new"):
        with new_folder(out, replace=True) as folder:
            (folder / text).touch()
    assert leftovers(out) == ["new"]
    assert leftovers(tmp_path) == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError, match="out is already there"), new_folder(out):
        pass


def build_and_note(out: Path, notes: Path) -> None:
    def build() -> None:
        (notes / str(os.getpid())).touch()
        time.sleep(0.5)
        build_index(TOWN, out, engine="bm25s")

    assert ensure_index(out, build).num_passages == 1


def test_ensure_index_one_process_builds_the_others_wait(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    out = tmp_path / "deep" / "home" / "index"
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=build_and_note, args=(out, tmp_path / "notes")) for _ in range(6)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other tests left threads
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(leftovers(tmp_path / "notes")) == 1


def test_ensure_index_one_thread_builds_the_others_wait(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    calls: list[int] = []

    def build() -> None:
        calls.append(1)
        build_index(TOWN, tmp_path / "index", engine="bm25s")

    threads = [
        threading.Thread(target=ensure_index, args=(tmp_path / "index", build)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert calls == [1]


def test_ensure_index_after_a_failed_build_tries_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="division"):
        ensure_index(tmp_path / "index", lambda: 1 / 0)
    build_index(TOWN, tmp_path / "index", engine="bm25s")
    manifest = ensure_index(tmp_path / "index", lambda: pytest.fail("it is already there"))
    assert manifest.num_passages == 1


def test_sole_builder_may_be_nested(tmp_path: Path) -> None:
    with sole_builder(tmp_path / "a"), sole_builder(tmp_path / "a"), sole_builder(tmp_path / "b"):
        pass
    with sole_builder(tmp_path / "a"):
        pass
