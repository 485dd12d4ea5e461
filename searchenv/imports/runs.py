"""Output files of other projects as a run folder, which all that reads runs can read.

Nothing is played and nothing scored but the answers that the files hold. What a file does not tell
stays unknown: its header says :data:`~searchenv.evaluation.merge.UNKNOWN` there, which no other run
is like, and measures that cannot be known are left out of every mean.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import file_digest, sha256
from pathlib import Path

from searchenv import __version__
from searchenv.errors import RunError, did_you_mean
from searchenv.evaluation import DEFAULT_SCORERS, Record, Run, circumstances
from searchenv.evaluation.folder import write_json, write_lines
from searchenv.evaluation.merge import UNKNOWN
from searchenv.evaluation.run import read_run
from searchenv.exports.whole import whole_folder
from searchenv.imports.asked import one_step, questions_of
from searchenv.imports.played import Played, records_of
from searchenv.imports.rows import FORMATS, Format
from searchenv.metrics import get_scorer
from searchenv.types import Question

__all__ = ["import_run"]


def import_run(
    format: str,
    files: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    questions: Sequence[Question] = (),
    scorers: Sequence[str] = DEFAULT_SCORERS,
    name: str | None = None,
    policy: str = UNKNOWN,
) -> Run:
    """Writes what the files hold into a new run folder and returns the run.

    The rows of one question are its samples, in the order of the files. The folder appears under
    its name when it is whole.

    Args:
        format: a name of :data:`FORMATS`.
        files: at least one; jsonl or a JSON list, gzipped or not.
        out: a new or an empty folder.
        questions: where they are given, each row is matched to one of them by its text (case,
            white space and a final question mark apart), and gold answers, gold passages and
            metadata are theirs. Otherwise they are what the row says, and where it has no id, the
            id is made of text and gold answers.
        scorers: names of :data:`searchenv.metrics.SCORERS`.
        name: of the question set; None for the name of the first file.
        policy: what wrote the answers.

    Raises:
        FileNotFoundError: there is no such file.
        FileExistsError: ``out`` holds something.
        QuestionError: a file cannot be read to its end, or holds something other than objects.
        RunError: a file has no rows, a row lacks a field or a question (the message names file and
            line), two questions have one id, no row has the tags of the format, or rows come from
            several steps of a training, which are different models.
        ValueError: the format or a scorer is unknown, or there are no files.
    """
    kind = _format(format)
    for scorer in scorers:
        get_scorer(scorer)
    if not files:
        raise ValueError("expected at least one file, got none")
    rows = [row for file in files for row in kind.read(os.fspath(file))]
    step = one_step(rows)
    asked = questions_of(rows, kind, questions)
    played = [Played(row, kind) for row in rows]
    _check_tags(format, files, played)
    records = records_of(asked, played, scorers)
    imported = {
        "format": format,
        "files": [_file(file) for file in files],
        "rows": len(rows),
        **({} if step is None else {"step": step}),
        "ended": sorted(Counter(row.stop for row in rows).items()),
    }
    header = {
        "format": 1,
        "searchenv": __version__,
        "name": name or Path(files[0]).name,
        "imported": imported,
        **_header(asked, played, records),
        "policy": {"name": policy},
        "scorers": list(scorers),
    }
    with whole_folder(out) as folder:
        write_json(folder / "header.json", header)
        write_json(folder / "sessions.json", [{**circumstances(), "imported": len(rows)}])
        lines = (json.dumps(record.to_dict()).encode() + b"\n" for record in records)
        write_lines(folder / "results.jsonl", lines)
    return read_run(out)


def _header(
    asked: Sequence[Question], played: Sequence[Played], records: Sequence[Record]
) -> dict[str, object]:
    """Returns what the rows tell of the fields that other runs have, the others as unknown."""
    questions = {question.id: asdict(question) for question in asked}
    protocols = {each.protocol for each in played if each.protocol is not None}
    samples = Counter(record.key[0] for record in records)
    return {
        "questions": {"n": len(questions), "sha256": _digest(list(questions.values()))},
        "retriever": {"fingerprint": UNKNOWN, "k": UNKNOWN},
        "protocol": {
            "name": protocols.pop() if len(protocols) == 1 else UNKNOWN,
            "mode": UNKNOWN,
            "sha256": UNKNOWN,
        },
        "limits": UNKNOWN,
        "reward": UNKNOWN,
        "samples": max(samples.values()),
        "seed": UNKNOWN,
    }


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r}. {did_you_mean(name, FORMATS)}")
    return FORMATS[name]


def _check_tags(format: str, files: Sequence[object], played: Sequence[Played]) -> None:
    if format == "search_r1" and all(each.protocol is None for each in played):
        raise RunError(
            f"{files[0]}: no row has Search-R1's tags <search> and <answer>: "
            "files of another protocol cannot be imported"
        )


def _file(path: str | os.PathLike[str]) -> dict[str, object]:
    with Path(path).open("rb") as stream:
        return {"name": Path(path).name, "sha256": file_digest(stream, "sha256").hexdigest()}


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
