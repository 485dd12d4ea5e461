"""One retrieval service on each node of a Ray cluster, which the workers of the node share."""

import atexit
import re
import subprocess
import sys

from searchenv.errors import RetrievalError
from searchenv.integrations.verl.settings import LoopSettings

__all__ = ["node_service"]

_ADDRESS = re.compile(r"serving .* at (http://\S+)")


def node_service(settings: LoopSettings) -> str:
    """Returns the URL of the service over ``settings.index`` on this node; starts it if need be.

    It is a process of ``searchenv serve`` under an actor of the training's Ray job, and ends with
    the job.

    Raises:
        RetrievalError: it did not start, for example because the index is not on this node.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    actor = (
        ray.remote(_Service)
        .options(
            name=f"searchenv-retrieval-{node}",
            get_if_exists=True,
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        .remote(settings.index)
    )
    return str(ray.get(actor.address.remote()))  # type: ignore[attr-defined]


class _Service:
    """Starts the service and keeps it.

    Args:
        index: a folder or name.
    """

    def __init__(self, index: str) -> None:
        command = [sys.executable, "-m", "searchenv.cli", "serve", index, "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        atexit.register(self._process.terminate)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = _ADDRESS.search(line)
        if found is None:
            code = self._process.wait()
            raise RetrievalError(
                f"searchenv serve {index} ended with {code} before it served: run it by hand on "
                "this node to see why"
            )
        self._address = found[1]

    def address(self) -> str:
        """Returns the URL of the service."""
        return self._address
