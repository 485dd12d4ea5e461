"""Runs the service: one process, or several that share one port."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.synchronize import Semaphore
from types import FrameType

import uvicorn

from searchenv.errors import RetrievalError
from searchenv.retrieval import Retriever
from searchenv.serving.app import RetrievalApp, ServiceOptions
from searchenv.serving.metrics import MULTIPROCESS

__all__ = ["Service", "serve"]

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75
_BACKLOG = 2048
_KILL_AFTER_S = 10.0
_RESTART_WAIT_S = 1.0
# A search thread that comes back from Java or from an encoder would wait up to 5 ms for Python's
# lock while the event loop is busy, several times a search.
_SWITCH_INTERVAL_S = 0.0002


@dataclass(frozen=True)
class Service:
    """What one worker process serves; can be pickled."""

    retrievers: Mapping[str, Retriever]
    options: ServiceOptions
    token: str | None = None


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    announce: Callable[[str], None] = logger.info,
) -> None:
    """Serves until SIGTERM or SIGINT; what was accepted by then is answered.

    Call it from the main thread of a process of its own.

    Args:
        service: what to serve.
        host: the address to listen on.
        port: 0 takes any free one.
        workers: processes; each opens the indexes for itself.
        announce: called with the address once every worker can answer.

    Raises:
        ValueError: ``workers`` is below 1.
        OSError: the port is taken.
        RetrievalError: a worker process could not start.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    listener = _bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    with listener:
        if workers == 1:
            _run(service, listener, lambda: announce(address))
        else:
            _Workers(service, listener, workers).run(lambda: announce(address))


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Tells when it listens, and tells the application when it stops."""

    def __init__(self, app: RetrievalApp, options: ServiceOptions, ready: Callable[[], None]):
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(options.grace_s),
            )
        )
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop_soon()
        await super().shutdown(sockets)


def _run(service: Service, listener: socket.socket, ready: Callable[[], None]) -> None:
    # uvicorn stops on these signals, then raises them again: for us they are a normal end
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_normally)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    app = RetrievalApp(service.retrievers, service.options, service.token)
    _Server(app, service.options, ready).run([listener])
    if app.startup_error is not None:
        raise app.startup_error


def _end_normally(number: int, frame: FrameType | None) -> None:
    """Does nothing."""


def _work(service: Service, listener: socket.socket, ready: Semaphore) -> None:
    _run(service, listener, lambda: ready.release())


class _Workers:
    """Several processes that accept from one socket; one that dies is replaced."""

    def __init__(self, service: Service, listener: socket.socket, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")  # Java does not survive a fork
        self._ready = self._context.Semaphore(0)
        self._service = service
        self._listener = listener
        self._count = count
        self._stopping = False

    def run(self, announce: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory() as folder:
            os.environ[MULTIPROCESS] = folder
            processes = [self._start() for _ in range(self._count)]
            try:
                self._wait_until_ready(processes)
                announce()
                self._watch(processes)
            finally:
                self._end(processes)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> multiprocessing.process.BaseProcess:
        arguments = (self._service, self._listener, self._ready)
        process = self._context.Process(target=_work, args=arguments, name="searchenv-serve")
        process.start()
        return process

    def _wait_until_ready(self, processes: list[multiprocessing.process.BaseProcess]) -> None:
        ready = 0
        while ready < self._count and not self._stopping:
            ready += self._ready.acquire(timeout=0.1)
            if any(process.exitcode is not None for process in processes):
                raise RetrievalError("a worker process could not start: its error is above")

    def _watch(self, processes: list[multiprocessing.process.BaseProcess]) -> None:
        while not self._stopping:
            time.sleep(0.1)
            for i, process in enumerate(processes):
                if process.exitcode is not None and not self._stopping:
                    logger.error("a worker ended (%s): starting another", process.exitcode)
                    time.sleep(_RESTART_WAIT_S)
                    processes[i] = self._start()

    def _end(self, processes: list[multiprocessing.process.BaseProcess]) -> None:
        for process in processes:
            process.terminate()
        until = time.monotonic() + self._service.options.grace_s + _KILL_AFTER_S
        for process in processes:
            process.join(max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()
