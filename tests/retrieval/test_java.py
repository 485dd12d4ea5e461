import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from searchenv.errors import JavaUnavailableError, MissingDependencyError
from searchenv.retrieval import LuceneRetriever, open_index
from searchenv.retrieval.java import anserini_jar, find_java, java
from searchenv.types import Passage

TOWN = (Passage("p1", "Dunmarrow", "Dunmarrow is a town."),)

Build = Callable[[str, Sequence[Passage]], Path]


def fake_java(home: Path, version: str) -> Path:
    """Makes a folder that looks like a Java runtime of a version."""
    library = "libjvm.dylib" if sys.platform == "darwin" else "libjvm.so"
    (home / "lib" / "server").mkdir(parents=True)
    (home / "lib" / "server" / library).touch()
    (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="java.base"\n')
    (home / "bin").mkdir()
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    return home


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("SEARCHENV_JAVA_HOME", "JAVA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.mark.usefixtures("no_java")
def test_find_java_falls_back_to_the_package_from_pip() -> None:
    home = find_java()
    assert home.path.name == "java-runtime"
    assert not home.has_vector_module


@pytest.mark.usefixtures("no_java")
def test_find_java_order_and_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path = fake_java(tmp_path / "on_path", "23.0.1")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "java").symlink_to(on_path / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "17.0.2")))
    assert find_java().path == on_path  # Java 17 is passed over
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "new", "21")))
    assert find_java().path == tmp_path / "new"
    monkeypatch.setenv("SEARCHENV_JAVA_HOME", str(fake_java(tmp_path / "own", "25.0.2")))
    assert find_java().path == tmp_path / "own"


@pytest.mark.usefixtures("no_java")
def test_find_java_without_any_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "missing"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = r"JAVA_HOME: no Java runtime in .*pip install \"searchenv\[pyserini\]\".*bm25s"
    with pytest.raises(JavaUnavailableError, match=expected):
        find_java()


def test_anserini_jar_without_pyserini_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    expected = r"pip install \"searchenv\[pyserini\]\".*bm25s"
    with pytest.raises(MissingDependencyError, match=expected):
        anserini_jar()


@pytest.mark.parametrize("java_home", ["", "/nowhere"])
def test_java_starts_whatever_the_environment_says(build: Build, java_home: str) -> None:
    code = (
        "import os, sys; from searchenv.retrieval import open_index\n"
        "print(len(open_index(sys.argv[1]).search(['town'], 1)[0]), os.environ['JAVA_HOME'],"
        " os.environ['JVM_PATH'], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(build("lucene", TOWN))],
        env={**os.environ, "JAVA_HOME": java_home, "JVM_PATH": "/nowhere/libjvm.so"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # the caller's environment is as before, and Lucene keeps quiet
    assert (done.stdout, done.stderr) == (f"1 {java_home} /nowhere/libjvm.so False\n", "")


def answer(retriever: LuceneRetriever, pipe: Connection) -> None:
    try:
        pipe.send([hit.passage.id for hit in retriever.search(["town"], 1)[0]])
    except JavaUnavailableError as error:
        pipe.send(str(error))


def ask_forked_child(retriever: LuceneRetriever) -> object:
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=answer, args=(retriever, send))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any such fork
        child.start()
    try:
        assert receive.poll(20), "the forked child hangs"
        return receive.recv()
    finally:
        child.join(5)
        child.kill()


def test_search_after_a_fork_is_an_error_and_never_hangs(build: Build) -> None:
    folder = build("lucene", TOWN)
    opened, unopened = open_index(folder), open_index(folder)
    assert isinstance(opened, LuceneRetriever)
    assert isinstance(unopened, LuceneRetriever)
    opened.search(["town"], 1)
    for retriever in (opened, unopened):
        assert "forked after Java had started" in str(ask_forked_child(retriever))
    assert len(opened.search(["town"], 1)[0]) == 1  # the parent goes on


def test_search_in_a_child_forked_before_java_works(build: Build) -> None:
    code = (
        "import os, sys; from searchenv.retrieval import open_index\n"
        "r = open_index(sys.argv[1]); pid = os.fork()\n"
        "n = len(r.search(['town'], 1)[0])\n"
        "sys.exit(n - 1 if pid == 0 else n - 1 + os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    command = [sys.executable, "-c", code, str(build("lucene", TOWN))]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_search_after_a_fork_from_java_that_others_started(build: Build) -> None:
    code = (
        "import os, sys, jnius_config; from pathlib import Path\n"
        "from searchenv.retrieval.java import anserini_jar, find_java\n"
        "os.environ['JAVA_HOME'] = str(find_java().path)\n"
        "jnius_config.set_classpath(str(anserini_jar()))\n"
        "import jnius; jnius.autoclass('java.lang.System')\n"
        "from searchenv.retrieval import open_index\n"
        "from searchenv.errors import JavaUnavailableError\n"
        "r = open_index(sys.argv[1])\n"
        "if pid := os.fork():\n"
        "    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "    sys.exit(code + 10 * (len(r.search(['town'], 1)[0]) - 1))\n"
        "try: r.search(['town'], 1)\n"
        "except JavaUnavailableError: os._exit(0)\n"
        "os._exit(1)\n"
    )
    command = [sys.executable, "-c", code, str(build("lucene", TOWN))]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_search_in_a_spawned_child_works(build: Build, engine: str) -> None:
    retriever = open_index(build(engine, TOWN))
    hits = retriever.search(["town"], 1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(retriever.search, (["town"], 1)) == hits


def test_threads_that_end_leave_no_java_threads(build: Build) -> None:
    retriever = open_index(build("lucene", TOWN))

    def java_threads() -> int:
        with java() as autoclass:
            factory = autoclass("java.lang.management.ManagementFactory")
            return int(factory.getThreadMXBean().getThreadCount())

    before = java_threads()
    for _ in range(30):
        thread = threading.Thread(target=retriever.search, args=(["town"], 1))
        thread.start()
        thread.join()
    assert java_threads() - before < 5


def test_keyboard_interrupt_reaches_python(build: Build) -> None:
    code = (
        "import os, signal, sys, time; from searchenv.retrieval import open_index\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job with & begins without\n"
        "open_index(sys.argv[1]).search(['town'], 1)\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(5)\n"
        "except KeyboardInterrupt: sys.exit(7)\n"
    )
    command = [sys.executable, "-c", code, str(build("lucene", TOWN))]
    assert subprocess.run(command, timeout=60, check=False).returncode == 7


def test_java_meets_null_after_its_signal_handlers_were_taken_away(build: Build) -> None:
    # as ray.shutdown does; the program ends itself where Java's own handler is not back
    program = f"""
import ctypes
from searchenv.retrieval import open_index
from searchenv.retrieval.java import java

index = open_index({str(build("lucene", TOWN))!r})
index.search(["town"], 1)
libc, SIG_DFL = ctypes.CDLL(None), ctypes.create_string_buffer(256)
for number in (4, 7, 8, 10, 11):
    libc.sigaction(number, SIG_DFL, None)
print(index.search(["town"], 1)[0][0].passage.id)
with java() as autoclass:
    chars = autoclass("java.lang.StringBuilder")
    for _ in range(30_000):  # until the method is compiled
        chars("town").indexOf("o")
    try:
        chars("town").indexOf(None)
    except Exception as error:
        print(type(error).__name__, "NullPointerException" in str(error))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "p1\nJavaException True\n"), ran.stderr
