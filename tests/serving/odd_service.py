"""Serves a retriever whose speed and failures the queries decide; run by the tests, by path.

``sleep 0.5`` takes half a second, ``fail`` raises, ``degraded`` gives a degraded result; everything
else finds one passage that repeats the query. The text of the passage is the size of its batch.
"""

import sys
import time
from collections.abc import Sequence

from searchenv.retrieval import DegradedHits
from searchenv.serving import BatchOptions, Service, ServiceOptions, serve
from searchenv.types import Hit, Passage


class OddRetriever:
    """Does what the queries say."""

    fingerprint = "odd"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Sleeps and fails as asked."""
        found: list[list[Hit]] = []
        for query in queries:
            hits = [Hit(Passage(query, "", str(len(queries))), 1.0, 1)]
            if query.startswith("sleep"):
                time.sleep(float(query.split()[1]))
            if query == "fail":
                raise OSError("the disk is gone")
            found.append(DegradedHits(hits, "half of it") if query == "degraded" else hits)
        return found


if __name__ == "__main__":
    max_queue, deadline_s, grace_s, workers, max_wait_ms = map(float, sys.argv[1:])
    serve(
        Service(
            {"odd": OddRetriever()},
            ServiceOptions(
                batching=BatchOptions(
                    max_queue=int(max_queue), deadline_s=deadline_s, max_wait_ms=max_wait_ms
                ),
                grace_s=grace_s,
            ),
        ),
        port=0,
        workers=int(workers),
        announce=lambda address: print(f"odd at {address}", flush=True),  # noqa: T201
    )
