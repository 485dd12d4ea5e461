"""The engine itself, without HTTP: ``Retriever.search`` in a process that stays up and warm.

    python benchmarks/service_inside.py INDEX QUESTIONS

It searches batches for as many seconds as each line of its input says, and answers with the rate
and the latencies of that time as JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.service_load import K
from searchenv.retrieval import open_index

BATCH = 64


class Inside:
    """The process; a context manager."""

    def __init__(self, index: str, questions: Sequence[str], folder: Path) -> None:
        file = folder / "questions.json"
        file.write_text(json.dumps(questions))
        command = [sys.executable, __file__, index, str(file)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def measure(self, seconds: float) -> tuple[float, float, float]:
        """Returns queries a second, and the milliseconds of a batch: p50 and p99."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        rate, p50, p99 = json.loads(self._process.stdout.readline())
        return rate, p50, p99


def main(index: str, questions_file: str) -> None:
    """Answers the lines of the input."""
    retriever = open_index(index)
    questions = json.loads(Path(questions_file).read_text())
    batches = [questions[i : i + BATCH] for i in range(0, len(questions) - BATCH + 1, BATCH)]
    count = 0
    for line in sys.stdin:
        times: list[float] = []
        while sum(times) < float(line):
            started = time.perf_counter()
            retriever.search(batches[count % len(batches)], K)
            times.append(time.perf_counter() - started)
            count += 1
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        rate = len(times) * BATCH / sum(times)
        print(json.dumps([rate, cuts[49] * 1e3, cuts[98] * 1e3]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
