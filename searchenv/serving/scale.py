"""The service on a Ray cluster: shards of one index on several replicas, behind the same HTTP API.

A router speaks HTTP (it is :class:`searchenv.serving.RetrievalApp`, requests are pooled as ever)
and asks all shards at once; each shard has replicas of its own, which Ray Serve starts, watches,
replaces and adds to under load. A search whose replica died is asked again of another one.

    python -m searchenv.serving.scale cluster.toml
"""

import logging
import signal
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchenv.errors import MissingDependencyError, RetrievalError, did_you_mean
from searchenv.retrieval.lucene import TermCounts
from searchenv.retrieval.manifest import read_manifest
from searchenv.retrieval.opening import open_index
from searchenv.retrieval.sharded import LocalShard, ShardedRetriever, shard_folders
from searchenv.serving.app import RetrievalApp, ServiceOptions
from searchenv.serving.batching import BatchOptions
from searchenv.types import Hit

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

__all__ = ["ClusterSpec", "RemoteShard", "deploy", "load_cluster"]

_ONGOING = 8  # searches that a replica is given at once; it does them one after the other
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What to run on a cluster.

    Raises:
        ValueError: a number is out of range.
    """

    shards: Path
    """A folder that :func:`searchenv.indexing.build_shards` made; every node must see it."""
    name: str = "default"
    """What requests call the index."""
    host: str = "127.0.0.1"
    port: int = 8000
    min_replicas: int = 1
    """Of each shard."""
    max_replicas: int = 1
    """Of each shard, under load; two or more also bridge the loss of a machine."""
    target_ongoing_requests: float = 2.0
    """Searches under way a replica above which Ray adds replicas, and below which it takes some."""
    cpus_per_replica: float = 1.0
    routers: int = 1
    deadline_s: float = 30.0
    """Of a request, and of each search of a shard, repetitions included."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                "expected 1 <= min_replicas <= max_replicas, "
                f"got {self.min_replicas} and {self.max_replicas}"
            )
        if self.routers < 1:
            raise ValueError(f"routers must be >= 1, got {self.routers}")
        for name in ("target_ongoing_requests", "cpus_per_replica", "deadline_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")


def load_cluster(path: str | Path) -> ClusterSpec:
    """Returns the spec in a flat TOML file; ``shards`` is relative to the file's own folder.

    Raises:
        ValueError: not TOML, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    known = [field.name for field in fields(ClusterSpec)]
    for key in given:
        if key not in known:
            raise ValueError(f"{path}: unknown key {key!r}. {did_you_mean(key, known)}")
    if "shards" not in given:
        raise ValueError(f"{path}: the key 'shards' is missing")
    return ClusterSpec(**{**given, "shards": path.parent / given["shards"]})


def deploy(spec: ClusterSpec) -> str:
    """Runs the service on the cluster that Ray is connected to; returns its address.

    It returns once all shards and the router answer. ``ray.serve.delete(spec.name)`` ends it.

    Raises:
        IndexNotFoundError: there is no folder of shards.
        MissingDependencyError: Ray is not installed.
    """
    folders = shard_folders(spec.shards)
    try:
        from ray import serve
    except ImportError as error:
        raise MissingDependencyError(
            f'a cluster needs Ray: pip install "searchenv[scale]" ({error})'
        ) from error
    quiet = {"log_level": "WARNING", "enable_access_log": False}
    replicas = {
        "min_replicas": spec.min_replicas,
        "max_replicas": spec.max_replicas,
        "target_ongoing_requests": spec.target_ongoing_requests,
    }
    shard = serve.deployment(
        autoscaling_config=replicas,
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": spec.cpus_per_replica},
        health_check_period_s=2,
        logging_config=quiet,
    )(_ShardReplica)
    router = serve.deployment(name="router", num_replicas=spec.routers, max_ongoing_requests=4096)(
        serve.ingress()(_Router)
    )
    handles = [shard.options(name=folder.name).bind(str(folder)) for folder in folders]
    fingerprints = [read_manifest(folder).fingerprint for folder in folders]
    serve.start(http_options={"host": spec.host, "port": spec.port})
    application = router.bind(spec.name, fingerprints, handles, spec.deadline_s)
    serve.run(application, name=spec.name, route_prefix="/")
    return f"http://{spec.host}:{spec.port}"


class _ShardReplica:
    """One shard in a process of its own; answers only when its index is open."""

    def __init__(self, folder: str) -> None:
        self._shard = LocalShard(open_index(folder))
        self._shard.retriever.search(["warm up"], 1)

    def count_terms(self, queries: Sequence[str]) -> TermCounts | None:
        return self._shard.count_terms(queries)

    def search_counted(
        self, queries: Sequence[str], k: int, counts: TermCounts | None
    ) -> list[list[Hit]]:
        return self._shard.search_counted(queries, k, counts)


class _Router:
    """Speaks HTTP and asks the shards."""

    def __init__(
        self,
        name: str,
        fingerprints: Sequence[str],
        handles: "Sequence[DeploymentHandle[Any]]",
        deadline_s: float,
    ) -> None:
        shards = [
            RemoteShard(handle, fingerprint, deadline_s)
            for handle, fingerprint in zip(handles, fingerprints, strict=True)
        ]
        options = ServiceOptions(batching=BatchOptions(deadline_s=deadline_s))
        self._app = RetrievalApp({name: ShardedRetriever(shards)}, options)

    def __serve_build_asgi_app__(self) -> RetrievalApp:
        return self._app


class RemoteShard:
    """A shard whose replicas run on the cluster.

    A search that loses its replica is asked again: it changes nothing, so that is safe.

    Args:
        handle: of the shard's deployment.
        fingerprint: of its index.
        deadline_s: for one answer, repetitions included.
    """

    def __init__(
        self, handle: "DeploymentHandle[Any]", fingerprint: str, deadline_s: float
    ) -> None:
        self.fingerprint = fingerprint
        self._handle = handle
        self._deadline_s = deadline_s

    def count_terms(self, queries: Sequence[str]) -> TermCounts | None:
        """Returns the shard's statistics for the terms of queries."""
        counts: TermCounts | None = self._ask(self._handle.count_terms, list(queries))
        return counts

    def search_counted(
        self, queries: Sequence[str], k: int, counts: TermCounts | None
    ) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query, scored with the statistics of all shards."""
        hits: list[list[Hit]] = self._ask(self._handle.search_counted, list(queries), k, counts)
        return hits

    def _ask(self, method: Any, *arguments: object) -> Any:
        from ray.exceptions import RayActorError, RayTaskError

        until = time.monotonic() + self._deadline_s
        while True:
            left = until - time.monotonic()
            try:
                return method.remote(*arguments).result(timeout_s=max(left, 0.0))
            except RayActorError as error:  # the replica died: another one, or its successor
                if left <= _RETRY_S:
                    raise RetrievalError(f"the shard's replicas die: {error}") from error
                time.sleep(_RETRY_S)
            except TimeoutError as error:
                raise RetrievalError(f"no shard answered in {self._deadline_s:g} s") from error
            except RayTaskError as error:
                raise RetrievalError(f"a shard failed: {error}") from error


def main(path: str, announce: Callable[[str], object]) -> None:
    """Deploys a spec on the cluster of ``RAY_ADDRESS``, or on this machine, until SIGINT."""
    import ray
    from ray import serve

    spec = load_cluster(path)
    ray.init(logging_level=logging.WARNING)
    try:
        announce(f"serving {spec.name} at {deploy(spec)}")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
        serve.delete(spec.name)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], lambda line: sys.stderr.write(f"{line}\n"))
