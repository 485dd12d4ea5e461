"""The cache in processes of its own: several at once, killed, forked, and out of room."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cache.sqlite"


ECHO = """
import os, sys, time
from searchenv.retrieval.cache import CachedRetriever
from searchenv.types import Hit, Passage

class Echo:
    fingerprint = "echo"
    def search(self, queries, k):
        return [[Hit(Passage(f"{q}-1", "t", f"{q} " * 200), 1.0, 1)][:k] for q in queries]

cached = CachedRetriever(Echo(), sys.argv[1])
def check(queries):
    assert cached.search(queries, 1) == Echo().search(queries, 1), queries
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ECHO + code, *map(str, arguments)], text=True, stdout=subprocess.PIPE
    )


def run(code: str, *arguments: object) -> list[str]:
    process = start(code, *arguments)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.splitlines()


def test_two_processes_write_at_once(path: Path) -> None:
    code = """
for i in range(300):
    check([f"{i}", f"{sys.argv[2]}-{i}"])
print(cached.errors)
"""
    processes = [start(code, path, number) for number in (1, 2)]
    assert [p.communicate(timeout=60)[0].strip() for p in processes] == ["0", "0"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (900,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_process_killed_while_it_writes_leaves_a_whole_file(path: Path) -> None:
    code = """
print("ready", flush=True)
for i in range(1_000_000):
    check([f"{i}-{n}" for n in range(20)])
"""
    for delay in (0.05, 0.1, 0.2):
        process = start(code, path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
        (errors, hits) = run(
            'check([f"0-{n}" for n in range(20)])\nprint(cached.errors)\nprint(cached.hits)', path
        )
        assert errors == "0"
    assert hits == "20"


def test_forked_children_use_the_file_on_their_own(path: Path) -> None:
    code = """
import threading
check(["a"])
stop = threading.Event()
def work():
    i = 0
    while not stop.is_set():
        i += 1
        check([f"thread-{i}"])
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        for i in range(50):
            check(["a", f"{number}-{i}"])
        os._exit(min(cached.errors, 9))
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
stop.set()
for thread in threads: thread.join()
check(["a", "0-0", "7-49"])
print(cached.errors)
"""
    assert run(code, path) == [str([0] * 8), "0"]


def test_a_full_disk_loses_nothing_but_the_cache(path: Path) -> None:
    code = """
import resource
check(["a"])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
for i in range(100):
    check([f"{i}-{n}" for n in range(5)])
check(["a"])
print(cached.errors > 0, cached.misses)
"""
    (line,) = run(code, path)
    assert line == "True 501"


def test_a_full_disk_ends_no_episode(path: Path) -> None:
    code = """
import resource
from searchenv import SearchQAEnv
from searchenv.types import Question
env = SearchQAEnv(index=cached, questions=[Question("q", "Who?", ("x",))])
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
for episode in range(30):
    env.reset()
    for turn in range(3):
        seen, _, _, truncated, info = env.step(f"<search>word{episode}x{turn}</search>")
        assert f"word{episode}x{turn}" in seen and not truncated, (seen, info)
print(cached.errors > 0, cached.misses)
"""
    assert run(code, path) == ["True 90"]


def test_a_full_file_system_loses_nothing_but_the_cache(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        code = """
for i in range(100):
    check([f"{i}-{n}" for n in range(5)])
print(cached.errors > 0, cached.misses)
"""
        assert run(code, tmp_path / "cache.sqlite") == ["True 500"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_read_only_folder_loses_nothing_but_the_cache() -> None:
    code = """
if os.geteuid() == 0:  # root may write into any folder
    os.seteuid(65534)
check(["a"])
check(["a"])
print(cached.errors)
"""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        assert run(code, Path(folder) / "cache.sqlite") == ["2"]
