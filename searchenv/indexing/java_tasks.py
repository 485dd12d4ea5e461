"""Work for Java's own threads, put together from methods that the jar already has.

pyjnius lets one Python thread at a time into Java, so threads of Python cannot make Lucene faster.
Java's threads can, but they run Java objects only, and there is no compiler to write one. A bound
method handle is such an object: ``handle.bindTo(writer).bindTo(documents)`` is the call
``writer.addDocuments(documents)``, and ``MethodHandleProxies`` makes a ``Callable`` of it.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["JavaThread", "bound"]

Autoclass = Callable[[str], Any]


def bound(
    autoclass: Autoclass, interface: str, method: tuple[str, str, str | None, str], *values: Any
) -> Any:
    """Returns a Java object of a one-method interface that calls a method with fixed values.

    Args:
        autoclass: what :func:`searchenv.retrieval.java.java` gives.
        interface: what it is to be, for example ``"java.util.concurrent.Callable"``.
        method: class, name, class of the argument (None: none) and class of the result.
        values: the object, then the argument; what is left out is what the interface passes on.
    """
    from jnius import cast

    find = autoclass("java.lang.Class").forName
    owner, name, argument, result = method
    types = autoclass("java.lang.invoke.MethodType").methodType
    kind = autoclass("java.lang.Long").TYPE if result == "long" else find(result)
    signature = types(kind) if argument is None else types(kind, find(argument))
    lookup = autoclass("java.lang.invoke.MethodHandles").publicLookup()
    handle = lookup.findVirtual(find(owner), name, signature)
    for value in values:
        handle = handle.bindTo(value)
    proxies = autoclass("java.lang.invoke.MethodHandleProxies")
    return cast(interface, proxies.asInterfaceInstance(find(interface), handle))


class JavaThread:
    """A thread of Java that runs tasks one after the other; few wait at a time.

    Args:
        autoclass: what :func:`searchenv.retrieval.java.java` gives.
        max_waiting: tasks that may be under way; :meth:`submit` waits for the oldest beyond that.
    """

    def __init__(self, autoclass: Autoclass, max_waiting: int) -> None:
        self._executor = autoclass("java.util.concurrent.Executors").newSingleThreadExecutor()
        self._waiting: deque[Any] = deque()
        self._max_waiting = max_waiting

    def submit(self, task: Any) -> None:
        """Hands over a ``Callable``; raises what an earlier task threw."""
        self._waiting.append(self._executor.submit(task))
        while len(self._waiting) > self._max_waiting:
            self._waiting.popleft().get()

    def finish(self) -> None:
        """Waits for all tasks, raises what one threw, and ends the thread."""
        while self._waiting:
            self._waiting.popleft().get()
        self._executor.shutdown()
