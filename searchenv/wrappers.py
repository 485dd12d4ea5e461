"""Wrappers: the whole transcript as observation, and records of finished episodes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, SupportsFloat, cast

import gymnasium as gym
import pyarrow as pa
import pyarrow.parquet as pq

from searchenv.env import Info, SearchQAEnv
from searchenv.results import Result
from searchenv.spaces import UnicodeText
from searchenv.types import Act, Answer, Move

__all__ = ["RecordEpisodes", "TranscriptObservation", "episode_record", "write_parquet"]


class TranscriptObservation(gym.Wrapper[str, str, str, str]):
    """Observes everything that was read and written so far, instead of the latest text alone.

    Args:
        env: a ``SearchQA-v0`` environment, wrapped or not.
        max_chars: bound of the observation space, in characters.
    """

    def __init__(self, env: gym.Env[str, str], max_chars: int = 262_144) -> None:
        super().__init__(env)
        self.observation_space = UnicodeText(max_chars)

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[str, Info]:
        """Begins an episode and returns its opening."""
        _, info = self.env.reset(seed=seed, options=options)
        return _base(self).episode.transcript, info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, Info]:
        """Steps and returns the transcript so far."""
        _, reward, terminated, truncated, info = self.env.step(action)
        return _base(self).episode.transcript, reward, terminated, truncated, info


class RecordEpisodes(gym.Wrapper[str, str, str, str]):
    """Appends each finished episode to a jsonl file, one line an episode, flushed at once.

    :func:`write_parquet` turns such a file into a parquet table.

    Args:
        env: a ``SearchQA-v0`` environment, wrapped or not.
        path: the file; an existing one is continued.
    """

    def __init__(self, env: gym.Env[str, str], path: str | Path) -> None:
        super().__init__(env)
        self.path = Path(path)
        self._file: IO[str] | None = None

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, Info]:
        """Steps, and records the episode if it is over."""
        step = self.env.step(action)
        _, _, terminated, truncated, info = step
        if terminated or truncated:
            record = episode_record(
                _base(self).episode.result, cast(Mapping[str, float], info["terms"])
            )
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8", newline="\n")
            # ASCII escapes: lone surrogates and line separators survive, and a line stays a line.
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        return step

    def close(self) -> None:
        """Closes the file and the environment."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


def episode_record(result: Result, terms: Mapping[str, float]) -> dict[str, object]:
    """Returns a finished episode as one flat, JSON-able record."""
    return {
        "question_id": result.question.id,
        "question": result.question.text,
        "golden_answers": list(result.question.answers),
        "protocol": result.protocol,
        "answer": result.answer,
        "stop_reason": result.stop.value,
        "tool_error": result.tool_error,
        "reward": sum(terms.values()) if terms else None,
        "terms": [{"name": name, "value": value} for name, value in terms.items()],
        "num_calls": result.num_calls,
        "num_invalid": result.num_invalid,
        "turns": [
            {
                **_move_record(turn.move),
                "overshoot": turn.overshoot,
                "hit_ids": [list(ids) for ids in turn.hit_ids],
            }
            for turn in result.turns
        ],
        "segments": [
            {
                "source": s.source.value,
                "text": s.text,
                "trained": s.trained,
                "token_ids": None if s.token_ids is None else list(s.token_ids),
            }
            for s in result.segments
        ],
    }


def write_parquet(records: str | Path, out: str | Path, *, batch_size: int = 1000) -> int:
    """Writes the episodes of a jsonl file as parquet and returns how many there are.

    A last line that was cut off by a crash is left out. Nothing stays under ``out`` if this fails.
    Lone surrogates, which parquet cannot hold, become ``?``.

    Raises:
        ValueError: a line other than the last is no JSON; the message holds its number.
    """
    out = Path(out)
    part = out.with_name(f".{out.name}.part")
    count = 0
    try:
        with pq.ParquetWriter(part, _SCHEMA) as writer:
            for batch in _batches(_read_records(Path(records)), batch_size):
                writer.write_table(pa.Table.from_pylist(batch, schema=_SCHEMA))
                count += len(batch)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return count


_SCHEMA = pa.schema(
    [
        ("question_id", pa.string()),
        ("question", pa.string()),
        ("golden_answers", pa.list_(pa.string())),
        ("protocol", pa.string()),
        ("answer", pa.string()),
        ("stop_reason", pa.string()),
        ("tool_error", pa.string()),
        ("reward", pa.float64()),
        ("terms", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
        ("num_calls", pa.int64()),
        ("num_invalid", pa.int64()),
        (
            "turns",
            pa.list_(
                pa.struct(
                    [
                        ("move", pa.string()),
                        ("texts", pa.list_(pa.string())),
                        ("overshoot", pa.int64()),
                        ("hit_ids", pa.list_(pa.list_(pa.string()))),
                    ]
                )
            ),
        ),
        (
            "segments",
            pa.list_(
                pa.struct(
                    [
                        ("source", pa.string()),
                        ("text", pa.string()),
                        ("trained", pa.bool_()),
                        ("token_ids", pa.list_(pa.int64())),
                    ]
                )
            ),
        ),
    ]
)


def _move_record(move: Move) -> dict[str, object]:
    if isinstance(move, Act):
        return {"move": "act", "texts": [call.query for call in move.calls]}
    if isinstance(move, Answer):
        return {"move": "answer", "texts": [move.text]}
    return {"move": "invalid", "texts": [move.fault.value]}


def _base(wrapper: gym.Wrapper[str, str, str, str]) -> SearchQAEnv:
    env = wrapper.unwrapped
    if not isinstance(env, SearchQAEnv):
        raise TypeError(f"expected a SearchQAEnv below the wrapper, got {type(env).__name__}")
    return env


def _read_records(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        lines = enumerate(file, start=1)
        for number, line in lines:
            try:
                yield cast(dict[str, object], _storable(json.loads(line)))
            except json.JSONDecodeError as error:
                if not line.endswith("\n"):
                    return
                raise ValueError(f"{path}, line {number}: expected JSON: {error}") from error


def _storable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return value


def _batches(records: Iterator[dict[str, object]], size: int) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
