"""Runs that are kept: one folder a run, which an interrupted run goes on from.

A run folder holds

- ``header.json``: what was run. Two runs whose headers agree measured the same thing.
- ``results.part.jsonl`` while it runs: one record a line, as questions end; then
  ``results.jsonl``: the same lines in the order of the questions, and of the samples of each.
- ``sessions.json``: when, where and how long it ran, once for every time it was started. Nothing in
  the other files depends on it: a run that was killed and resumed leaves the same bytes as one that
  was not.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from searchenv.episode import Episode
from searchenv.errors import QuestionError, RunError
from searchenv.evaluation.folder import locked, session, whole_lines, write_json, write_lines
from searchenv.evaluation.play import play
from searchenv.evaluation.records import Record
from searchenv.metrics import get_scorer
from searchenv.policies.base import Policy
from searchenv.protocols import TextProtocol
from searchenv.rewards import Outcome, Reward
from searchenv.types import Limits, Question, Tool

__all__ = ["Run", "Setup", "read_run", "run_questions"]

_HEADER = "header.json"
_SESSIONS = "sessions.json"
_RESULTS = "results.jsonl"
_PART = "results.part.jsonl"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the questions of a run are played with, besides the policy.

    Raises:
        ValueError: a value is out of range, or a scorer is unknown.
    """

    tools: Mapping[str, Tool]
    """By name."""
    protocol: TextProtocol
    limits: Limits
    scorers: Sequence[str]
    """Names of :data:`searchenv.metrics.SCORERS`."""
    reward: Reward = field(default_factory=Outcome)
    """Gives each record its terms."""
    samples: int = 1
    """How often each question is played."""
    seed: int = 0
    """At least 0; every sample has a seed of its own made of it."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.samples < 1:
            raise ValueError(f"samples must be >= 1, got {self.samples}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        for name in self.scorers:
            get_scorer(name)

    def sample_seed(self, sample: int) -> int:
        """Returns what the policy draws random numbers from in the given sample of any question."""
        return int(np.random.SeedSequence([self.seed, sample]).generate_state(1)[0])


@dataclass(frozen=True)
class Run:
    """A run as it was read from its folder."""

    header: Mapping[str, Any]
    """What was run."""
    records: tuple[Record, ...]
    """In the order of the questions, and of the samples of each."""
    complete: bool
    """Whether every sample of every question has been played."""
    sessions: Sequence[Mapping[str, Any]]
    """Command, commit, machine, date and seconds of each time that it was started."""


def run_questions(
    policy: Policy,
    questions: Sequence[Question],
    setup: Setup,
    out: str | os.PathLike[str],
    *,
    header: Mapping[str, object],
    num_envs: int = 64,
    retry_failed: bool = False,
    progress: bool = False,
) -> Run:
    """Plays every question, or those that are still missing in ``out``, and returns the run.

    Args:
        policy: writes the moves.
        questions: at least one, with ids of their own.
        setup: tools, protocol, limits, scorers, samples, seed.
        out: the run's folder; made where it is missing.
        header: JSON-able; says all that decides the results. See
            :func:`searchenv.evaluation.header.run_header`.
        num_envs: episodes in flight, at least 1.
        retry_failed: plays again the questions that a failure ended, also those of a whole run.
        progress: shows a bar with the time left on stderr.

    Raises:
        QuestionError: there are no questions, or two have the same id.
        RunError: the folder holds another run, or another process is at it.
    """
    _check_questions(questions)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _begin(folder, header)
        lines = _recover(folder, retry_failed=retry_failed)
        order = [(q.id, sample) for q in questions for sample in range(setup.samples)]
        todo = [key for key in order if key not in lines]
        if todo:
            with session(folder / _SESSIONS, policy, played=len(todo)):
                _play(policy, questions, setup, folder, todo, lines, num_envs, progress)
        _finish(folder, [lines[key] for key in order])
    return read_run(folder)


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Returns the run in a folder, whole or not.

    Raises:
        RunError: there is no run, or a line of it is broken.
    """
    folder = Path(folder)
    if not (folder / _HEADER).is_file():
        raise RunError(f"no run in {folder}: it holds no {_HEADER}")
    complete = (folder / _RESULTS).is_file()
    path = folder / (_RESULTS if complete else _PART)
    records = [_record(path, i, line) for i, line in enumerate(whole_lines(path), start=1)]
    sessions = folder / _SESSIONS
    return Run(
        header=json.loads((folder / _HEADER).read_text(encoding="utf-8")),
        records=tuple(records),
        complete=complete,
        sessions=json.loads(sessions.read_text(encoding="utf-8")) if sessions.exists() else [],
    )


def _check_questions(questions: Sequence[Question]) -> None:
    if not questions:
        raise QuestionError("expected at least one question, got none")
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise QuestionError(f"two questions have the id {question.id!r}; ids must be unique")
        seen.add(question.id)


def _begin(folder: Path, header: Mapping[str, object]) -> None:
    path = folder / _HEADER
    wanted = json.loads(json.dumps(header))
    if not path.exists():
        if stray := [p.name for p in folder.iterdir() if p.name.startswith("results")]:
            raise RunError(f"{folder} holds {stray[0]} without a {_HEADER}: choose another folder")
        write_json(path, wanted)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    different = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
    if different:
        shown = "; ".join(f"{k}: {found.get(k)!r} there, {wanted.get(k)!r} now" for k in different)
        raise RunError(f"{folder} holds another run ({shown}): choose another folder")


def _recover(folder: Path, *, retry_failed: bool) -> dict[tuple[str, int], bytes]:
    """Returns the whole lines that are there, and leaves nothing else in the part file."""
    results, part = folder / _RESULTS, folder / _PART
    path = results if results.exists() else part
    lines: dict[tuple[str, int], bytes] = {}
    for number, line in enumerate(whole_lines(path), start=1):
        record = _record(path, number, line)
        if not (retry_failed and record.outcome.failed):
            lines[record.key] = line
    write_lines(part, lines.values())
    results.unlink(missing_ok=True)
    return lines


def _play(
    policy: Policy,
    questions: Sequence[Question],
    setup: Setup,
    folder: Path,
    todo: Sequence[tuple[str, int]],
    lines: dict[tuple[str, int], bytes],
    num_envs: int,
    progress: bool,
) -> None:
    by_id = {question.id: question for question in questions}
    samples: dict[Episode, int] = {}

    def begin() -> Iterator[Episode]:
        for question_id, sample in todo:
            seed = setup.sample_seed(sample)
            episode = Episode(by_id[question_id], setup.protocol, setup.limits, seed=seed)
            samples[episode] = sample
            yield episode

    ended = play(policy, begin(), setup.tools, num_envs=num_envs)
    with (
        (folder / _PART).open("ab") as stream,
        tqdm(
            total=len(todo) + len(lines), initial=len(lines), unit="question", disable=not progress
        ) as bar,
    ):
        for episode in ended:
            record = Record.of(episode, setup.reward, setup.scorers, samples.pop(episode))
            lines[record.key] = line = json.dumps(record.to_dict()).encode() + b"\n"
            stream.write(line)
            stream.flush()
            bar.update()


def _finish(folder: Path, lines: Sequence[bytes]) -> None:
    write_lines(folder / _RESULTS, lines)
    (folder / _PART).unlink(missing_ok=True)


def _record(path: Path, number: int, line: bytes) -> Record:
    try:
        return Record.of_dict(json.loads(line))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}, line {number}: expected a record, got {line[:60]!r} "
            f"({type(error).__name__}: {error})"
        ) from error
