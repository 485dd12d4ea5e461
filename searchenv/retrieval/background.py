"""The event loop in which the clients of HTTP services work, one for each process.

Only a loop can hold an exchange to a deadline whatever the other side does, byte by byte.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import TypeVar

__all__ = ["in_background"]

T = TypeVar("T")

_lock = threading.Lock()
_background: tuple[int, asyncio.AbstractEventLoop] | None = None


def in_background(work: Coroutine[None, None, T]) -> T:
    """Runs a coroutine in the background loop of this process and returns its result."""
    future = asyncio.run_coroutine_threadsafe(work, _background_loop())
    try:
        return future.result()
    except BaseException:  # also Ctrl-C: nobody waits for it any more
        future.cancel()
        raise


def _background_loop() -> asyncio.AbstractEventLoop:
    global _background
    with _lock:
        if _background is None or _background[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="clients", daemon=True).start()
            _background = os.getpid(), loop
        return _background[1]


def _note_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_note_fork)
