"""The verdicts of a judge as they are kept beside the results of a run.

``judge.NAME.jsonl`` in the run folder begins with a header, the prompt and the model, and goes on
with one verdict a line in the order of the run's records. A verdict names the hash of what was
asked, so that none outlives its answer.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from searchenv.errors import RunError
from searchenv.evaluation.folder import whole_lines
from searchenv.evaluation.judge_prompts import JudgePrompt
from searchenv.evaluation.records import Record
from searchenv.evaluation.run import Run

__all__ = [
    "Judgement",
    "Ruling",
    "Verdict",
    "asked_about",
    "digest",
    "judged",
    "judgement_names",
    "judgement_path",
    "measure_of",
    "read_judgement",
    "read_verdicts",
    "scored",
    "verdict_lines",
    "with_verdicts",
]

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Ruling(StrEnum):
    """What became of an answer before the judge."""

    RIGHT = "right"
    WRONG = "wrong"
    UNANSWERED = "unanswered"
    """There is no answer: it counts as wrong, and the judge is not asked."""
    UNPARSABLE = "unparsable"
    """The reply says neither; it counts as nothing."""
    FAILED = "failed"
    """The call failed for good; it counts as nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge on one record."""

    id: str
    sample: int
    ruling: Ruling
    asked: str | None = None
    """The SHA-256 of the text that was asked."""
    reply: str | None = None
    cut: bool = False
    """Whether the reply was cut at the judge's number of tokens."""
    error: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """The id of the question and the sample, unique in a run."""
        return self.id, self.sample

    @property
    def value(self) -> float | None:
        """1 for right, 0 for wrong or no answer; None where there is no verdict."""
        return _VALUES.get(self.ruling)

    def line(self) -> bytes:
        """Returns the verdict as a line of its file."""
        return json.dumps(asdict(self)).encode() + b"\n"


_VALUES = {Ruling.RIGHT: 1.0, Ruling.WRONG: 0.0, Ruling.UNANSWERED: 0.0}


@dataclass(frozen=True)
class Judgement:
    """All verdicts of one judge on a run."""

    name: str
    header: Mapping[str, Any]
    """``prompt`` and ``model``."""
    verdicts: tuple[Verdict, ...]
    """In the order of the records."""

    @property
    def measure(self) -> str:
        """What its verdicts are called among the scores of a record."""
        return measure_of(self.name)

    @cached_property
    def prompt(self) -> JudgePrompt:
        """What was asked."""
        return JudgePrompt.of_dict(self.header["prompt"])

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, int], Verdict]:
        return {verdict.key: verdict for verdict in self.verdicts}

    def of(self, record: Record) -> Verdict | None:
        """Returns the verdict on the answer of a record as it is now, if there is one."""
        verdict = self._by_key.get(record.key)
        if verdict is None or verdict.asked != digest(asked_about(self.prompt, record)):
            return None
        return verdict


def measure_of(judge: str) -> str:
    """Returns what the verdicts of this name are called among the scores of a record."""
    return f"judge_{judge}"


def verdict_lines(header: Mapping[str, Any], verdicts: Iterable[Verdict]) -> list[bytes]:
    """Returns the lines of a file of verdicts."""
    return [json.dumps(header).encode() + b"\n", *(verdict.line() for verdict in verdicts)]


def read_judgement(folder: str | os.PathLike[str], name: str) -> Judgement:
    """Returns the verdicts of this name in a run folder.

    Raises:
        RunError: there are none, or a line of the file is broken.
    """
    path = judgement_path(Path(folder), name)
    if not path.exists():
        known = ", ".join(judgement_names(folder)) or "none"
        raise RunError(
            f"no verdicts {name!r} in {folder}, found: {known}. searchenv judge makes them"
        )
    header, verdicts = read_verdicts(path)
    return Judgement(name, header, tuple(verdicts))


def judgement_names(folder: str | os.PathLike[str]) -> list[str]:
    """Returns the names of all judgements in a run folder, in their order."""
    names = (path.name.split(".")[1:-1] for path in Path(folder).glob("judge.*.jsonl"))
    return sorted(name[0] for name in names if len(name) == 1)


def with_verdicts(records: Sequence[Record], judgement: Judgement) -> tuple[Record, ...]:
    """Returns the records with the verdicts among their scores.

    A record without a verdict lacks the score, so that means are over the others.

    Raises:
        RunError: the verdicts are not on these answers.
    """
    for record in records:
        if judgement.of(record) is None:
            raise RunError(
                f"judge {judgement.name!r} has no verdict on the answer to {record.key[0]!r} as it "
                "is now: run searchenv judge again, it asks about what is missing"
            )
    return tuple(scored(record, judgement) for record in records)


def scored(record: Record, judgement: Judgement) -> Record:
    """Returns a record with the verdict on it among its scores, if there is one."""
    verdict = judgement.of(record)
    if verdict is None or verdict.value is None:
        return record
    scores = {**record.scores, judgement.measure: verdict.value}
    return replace(record, outcome=replace(record.outcome, scores=scores))


def judged(run: Run, judgement: Judgement) -> Run:
    """Returns a run whose records have the verdicts, and whose header has the judge.

    Runs with unlike judges are therefore unlike runs.

    Raises:
        RunError: the verdicts are not on the answers of this run.
    """
    judge = {key: judgement.header[key] for key in ("prompt", "model")}
    return replace(
        run,
        header={**run.header, "judge": judge},
        records=with_verdicts(run.records, judgement),
    )


def read_verdicts(path: Path) -> tuple[dict[str, Any], list[Verdict]]:
    """Returns header and verdicts of a file; a last line that a kill cut off is left out.

    Raises:
        RunError: there is no header, or a line is broken.
    """
    try:
        header, *states = [json.loads(line) for line in whole_lines(path)]
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
        JudgePrompt.of_dict(header["prompt"])
        return header, [Verdict(**{**s, "ruling": Ruling(s["ruling"])}) for s in states]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: expected a header and verdicts of searchenv judge "
            f"({type(error).__name__}: {error})"
        ) from error


def digest(text: str | None) -> str | None:
    """Returns the SHA-256 of what is asked; None where nothing is."""
    return None if text is None else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def judgement_path(folder: Path, name: str, *, part: bool = False) -> Path:
    """Returns where the verdicts of this name are kept, or those of unfinished work.

    Raises:
        ValueError: the name has other characters than letters, digits, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected a name of letters, digits, _ and -, got {name!r}")
    return folder / f"judge.{name}{'.part' if part else ''}.jsonl"


def asked_about(prompt: JudgePrompt, record: Record) -> str | None:
    """Returns what a judge is asked about a record; None where there is no answer."""
    answer = record.result.answer
    return None if answer is None else prompt.render(record.result.question, answer)
