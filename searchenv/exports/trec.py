"""A run as TREC files, so that other programs can measure its retrieval.

- ``qrels.txt``: the gold passages of each question, all of relevance 1.
- ``run-0.txt``, ``run-1.txt``, ...: what was found, one file for each sample of the questions.

An episode ranks passages by when it first saw them: by turn, then by call, then by rank. A passage
that comes again keeps its place. Scores are n, n - 1, ..., 1, where n passages were found.

Set recall over these files is :func:`searchenv.rewards.gold_recall`. To that end a line stands for
a gold passage, not for a docid: one that has several docids goes by the first of them, whichever
was found. A gold passage that no docid is left for, because it is linked to none or shares it with
another one, goes by ``%gold`` and its number.

TREC files cannot hold white space in ids: it is percent-encoded, as are ``%`` and lone surrogates,
in the ids of questions and of passages. An empty id becomes ``%``.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from searchenv.evaluation import Record
from searchenv.exports.whole import whole_folder
from searchenv.results import Result
from searchenv.types import Gold

__all__ = ["TrecCounts", "export_trec"]

_UNSAFE = re.compile(r"[\s%\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TrecCounts:
    """What :func:`export_trec` wrote."""

    questions: int
    """Questions in the qrels."""
    left_out: int
    """Questions whose gold passages are not known; they are in no file."""
    samples: int
    """Run files."""


def export_trec(records: Sequence[Record], folder: str | os.PathLike[str]) -> TrecCounts:
    """Writes ``qrels.txt`` and ``run-0.txt``, ... into a new or empty folder.

    Raises:
        FileExistsError: the folder holds something.
        ValueError: no question has gold passages that are linked to ids.
    """
    known = [record for record in records if record.outcome.gold_recall is not None]
    questions = {record.result.question.id: record.result.question for record in known}
    if not questions:
        raise ValueError(
            "no question of the run has gold passages with ids: link them before the run, as "
            "searchenv.questions.link_gold does"
        )
    samples = sorted({record.sample for record in known})
    with whole_folder(folder) as part:
        qrels = (
            f"{_column(question.id)} 0 {name} 1\n"
            for question in questions.values()
            for name in _names(question.gold)
        )
        (part / "qrels.txt").write_text("".join(qrels), encoding="utf-8", newline="\n")
        for sample in samples:
            lines = "".join(_run_lines(r.result for r in known if r.sample == sample))
            (part / f"run-{sample}.txt").write_text(lines, encoding="utf-8", newline="\n")
    everyone = {record.result.question.id for record in records}
    return TrecCounts(len(questions), len(everyone) - len(questions), len(samples))


def _run_lines(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        question, ranking = _column(result.question.id), _ranking(result)
        for rank, name in enumerate(ranking, start=1):
            yield f"{question} Q0 {name} {rank} {len(ranking) - rank + 1} searchenv\n"


def _ranking(result: Result) -> list[str]:
    """Returns the names of all passages that were found, in the order they were first seen."""
    gold = result.question.gold
    finds: dict[str, list[str]] = {}
    for passage, name in zip(gold, _names(gold), strict=True):
        for docid in set(passage.ids):
            finds.setdefault(docid, []).append(name)
    seen = (docid for turn in result.turns for ids in turn.hit_ids for docid in ids)
    return list(dict.fromkeys(n for docid in seen for n in finds.get(docid, [_column(docid)])))


def _names(gold: Sequence[Gold]) -> list[str]:
    """Returns one name for each gold passage, none twice."""
    names: list[str] = []
    for number, passage in enumerate(gold, start=1):
        free = (name for name in map(_column, passage.ids) if name not in names)
        names.append(next(free, f"%gold{number}"))  # no encoded id has a % before a "g"
    return names


def _column(identifier: str) -> str:
    encoded = _UNSAFE.sub(lambda m: quote(m[0], safe="", errors="surrogatepass"), identifier)
    return encoded or "%"
