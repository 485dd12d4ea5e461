"""The folder of a training: what is measured, and the state from which it goes on."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from searchenv.errors import RunError
from searchenv.evaluation.folder import locked, session, whole_lines, write_json, write_lines
from searchenv.training.optimizer import Updater

__all__ = ["Checkpoints"]

_METRICS, _TIMINGS, _STATE = "metrics.jsonl", "timings.jsonl", "checkpoint.pt"


class Checkpoints:
    """Keeps a training in a folder while it is entered.

    Args:
        folder: made where it is missing.
        header: what is trained, JSON-able; a training goes on only under an equal header.
    """

    def __init__(self, folder: Path, header: Mapping[str, object]) -> None:
        self._folder = folder
        self._header = json.loads(json.dumps(header))
        self._open = ExitStack()

    def __enter__(self) -> "Checkpoints":
        """Takes the folder.

        Raises:
            RunError: it holds another training, or another process is at it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open.enter_context(locked(self._folder))
        path = self._folder / "training.json"
        if not path.exists():
            write_json(path, self._header)
        elif (found := json.loads(path.read_text(encoding="utf-8"))) != self._header:
            self._open.close()
            differing = sorted(
                key for key in {*found, *self._header} if found.get(key) != self._header.get(key)
            )
            raise RunError(
                f"{self._folder} holds another training (it differs in {', '.join(differing)}): "
                "choose another folder"
            )
        self._open.enter_context(session(self._folder / "sessions.json", None))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets the folder go."""
        self._open.__exit__(kind, error, trace)

    def restore(self, updater: Updater) -> int:
        """Returns how many steps are done; rows that were noted after them are removed."""
        import torch

        path = self._folder / _STATE
        rows = {_METRICS: 0, _TIMINGS: 0}
        step = 0
        if path.exists():
            state = torch.load(path, weights_only=True)
            updater.restore(state["updater"])
            step, rows = state["step"], state["rows"]
        for name, count in rows.items():
            file = self._folder / name
            write_lines(file, whole_lines(file)[:count])
        return int(step)

    def rows(self) -> list[dict[str, object]]:
        """Returns what was measured so far."""
        return [json.loads(line) for line in whole_lines(self._folder / _METRICS)]

    def note(self, row: Mapping[str, object], seconds: Mapping[str, float]) -> None:
        """Appends a row of what was measured, and one of the seconds that it took."""
        key = {name: row[name] for name in ("step", "kind")}
        timing = {**key, **{name: round(value, 4) for name, value in sorted(seconds.items())}}
        for name, line in ((_METRICS, row), (_TIMINGS, timing)):
            with (self._folder / name).open("a", encoding="ascii") as stream:
                stream.write(json.dumps(line) + "\n")

    def save(self, step: int, updater: Updater) -> None:
        """Writes the state after ``step`` steps; the file before it stays until it is whole."""
        import torch

        rows = {name: len(whole_lines(self._folder / name)) for name in (_METRICS, _TIMINGS)}
        part = self._folder / f".{_STATE}.part"
        torch.save({"step": step, "rows": rows, "updater": updater.state()}, part)
        part.replace(self._folder / _STATE)
