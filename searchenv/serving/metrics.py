"""What ``/metrics`` shows, in Prometheus' text format."""

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["MULTIPROCESS", "IndexMetrics", "Metrics"]

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several worker processes add up their counts."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class IndexMetrics:
    """The counts of one index."""

    def __init__(self, metrics: "Metrics", index: str) -> None:
        self.remembered = metrics.remembered.labels(index)
        self._batches = metrics.batches.labels(index)
        self._seconds = metrics.search_seconds.labels(index)

    def batch(self, size: int, seconds: float) -> None:
        """Counts one search."""
        self._batches.observe(size)
        self._seconds.observe(seconds)


class Metrics:
    """The counts of one service.

    Args:
        endpoints: the paths that are counted one by one.
    """

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "searchenv_requests", "Requests answered", ["path", "status"], registry=registry
        )
        seconds = Histogram(
            "searchenv_request_seconds",
            "From the whole request to its answer",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._seconds = {path: seconds.labels(path) for path in endpoints}
        self.remembered = Counter(
            "searchenv_remembered_queries",
            "Queries answered from memory",
            ["index"],
            registry=registry,
        )
        self.batches = Histogram(
            "searchenv_search_batch_queries",
            "Different queries a search",
            ["index"],
            buckets=_SIZES,
            registry=registry,
        )
        self.search_seconds = Histogram(
            "searchenv_search_seconds",
            "Duration of a search",
            ["index"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._counted: dict[tuple[str, int], Counter] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        key = (path if path in self._seconds else "other", status)
        if key not in self._counted:
            self._counted[key] = self.requests.labels(key[0], str(status))
        self._counted[key].inc()
        if path in self._seconds:
            self._seconds[path].observe(seconds)

    def text(self) -> bytes:
        """Returns all counts; those of all worker processes where there are several."""
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
