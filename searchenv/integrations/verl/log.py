"""What became of every episode of a training, one line each, written while it runs."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from searchenv.evaluation import Record
from searchenv.tokens import TokenSample
from searchenv.types import Terms

__all__ = ["EpisodeLog", "log_sizes", "read_faults", "read_log"]

_FAULT = ".fault.txt"


class EpisodeLog:
    """Appends to a file of this process in a folder that all processes of a training share.

    Each line says how many seconds the process has spent since the line before, in the environment
    and in retrieval, so that the sums over all lines are what the training has spent.

    Args:
        folder: made if it is missing; empty: nothing is written.
        spent: gives the seconds so far by kind.
    """

    def __init__(self, folder: str, spent: Callable[[], Mapping[str, float]]) -> None:
        self._spent = spent
        self._before: Mapping[str, float] = {}
        self._folder = Path(folder) if folder else None
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def episode(
        self, record: Record, terms: Terms, tokens: TokenSample, about: Mapping[str, object]
    ) -> None:
        """Notes a finished or failed episode.

        Args:
            record: with its scores.
            terms: of the reward, those of the group included.
            tokens: what is trained on.
            about: where in the training it stands.
        """
        result, spent = record.result, self._spent()
        seconds = {name: s - self._before.get(name, 0.0) for name, s in spent.items()}
        self._before = spent
        self._append(
            {
                **about,
                "question": result.question.id,
                "stop": result.stop.value,
                "error": result.error,
                "reward": sum(terms.values()),
                "terms": dict(terms),
                "scores": dict(record.scores),
                "turns": len(result.turns),
                "searches": result.num_calls,
                "invalid": result.num_invalid,
                "response_tokens": len(tokens.response_ids),
                "trained_tokens": sum(tokens.mask),
                "seconds": {name: round(s, 6) for name, s in seconds.items()},
            }
        )

    def fault(self, message: str) -> None:
        """Notes what is wrong with the set-up or with our code, and must end the training."""
        if self._folder is not None:
            path = self._folder / f"{self._name}{_FAULT}"
            path.write_text(message, encoding="utf-8")

    def _append(self, line: Mapping[str, object]) -> None:
        if self._folder is not None:
            path = self._folder / f"{self._name}.jsonl"
            with path.open("a", encoding="ascii") as stream:
                stream.write(json.dumps(line) + "\n")


def read_faults(folder: str | os.PathLike[str]) -> dict[Path, str]:
    """Returns what :meth:`EpisodeLog.fault` noted, by file."""
    paths = sorted(Path(folder).glob(f"*{_FAULT}"))
    return {path: path.read_text(encoding="utf-8") for path in paths}


def log_sizes(folder: str | os.PathLike[str]) -> dict[Path, int]:
    """Returns the bytes of each file, from which :func:`read_log` can go on later."""
    return {path: path.stat().st_size for path in Path(folder).glob("*.jsonl")}


def read_log(
    folder: str | os.PathLike[str], after: Mapping[Path, int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields the whole lines of all processes; a line that is being written is left out.

    Args:
        folder: of the logs.
        after: what :func:`log_sizes` returned before; only what came since is read.
    """
    for path in sorted(Path(folder).glob("*.jsonl")):
        text = path.read_bytes()[(after or {}).get(path, 0) :].decode("ascii")
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)
