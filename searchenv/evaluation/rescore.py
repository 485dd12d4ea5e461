"""Scores answers again that were stored, without a model: of runs, and of R1-Searcher's outputs.

The outputs are those of Song et al. 2025 (R1-Searcher, arXiv 2503.05592v2), RUCAIBox/R1-Searcher at
631167cbb3c2464f805730e3e364a690f5b136d4, scored as ``evaluation/metric_calc_rule.py`` does. The
differences:

1. A field that is missing or of another type is an error that names the line.
2. Intervals are added, and the searches, stops and verdicts that the script does not report.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from searchenv.errors import RunError
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean, QuestionResult
from searchenv.metrics import get_scorer
from searchenv.questions.files import read_records

__all__ = ["R1_ROWS", "Rescored", "rescore_r1_searcher", "rescore_records"]

R1_ROWS = 2000
"""R1-Searcher's script scores so many rows from the beginning of a file."""
_SCORERS = ("em_r1", "cover_em_r1", "f1_r1")
# The prompt and passages may name the tags; only a query that was answered has them side by side.
_SEARCH = re.compile(r"<\|end_of_query\|>\s*<\|begin_of_documents\|>\n")
_VERDICTS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Rescored:
    """What the rows of an output file come to."""

    n: int
    """The rows that were scored."""
    left_out: int
    """The rows behind them, which were not."""
    means: Mapping[str, Mean]
    """In [0, 1]: ``em_r1``, ``cover_em_r1``, ``f1_r1``, and ``verdict`` where rows have one."""
    searches: Mean | None
    """Searches a row, over the rows that hold ``gen_text_store``; None where none does."""
    stops: Mapping[str, int]
    """How many rows ended for each reason."""
    unparsable: int
    """Verdicts that say neither True nor False; they count as False."""

    def text(self) -> str:
        """Returns the means in percent with one decimal, and the counts, as plain text."""
        lines = [_line(name, mean, 100, 1) for name, mean in self.means.items()]
        lines += [] if self.searches is None else [_line("searches", self.searches, 1, 2)]
        stops = ", ".join(f"{stop} {n}" for stop, n in sorted(self.stops.items()))
        lines.append(f"{self.n} rows; ended by: {stops}")
        if self.unparsable:
            lines.append(f"{self.unparsable} verdicts say neither True nor False: taken as False")
        if self.left_out:
            lines.append(f"{self.left_out} more rows are not scored: the authors stop at {R1_ROWS}")
        return "\n".join(lines)


def rescore_records(records: Sequence[Record], scorers: Sequence[str]) -> tuple[Record, ...]:
    """Returns the records with the scores of ``scorers`` in place of their own.

    Raises:
        ValueError: a scorer is unknown.
    """

    def rescored(record: Record) -> Record:
        outcome = QuestionResult.of(record.result, record.outcome.terms, scorers)
        return replace(record, outcome=replace(record.outcome, scores=outcome.scores))

    return tuple(rescored(record) for record in records)


def rescore_r1_searcher(
    source: str, *, verdict: str = "gpt4o_output", limit: int | None = R1_ROWS
) -> Rescored:
    """Returns what a file of R1-Searcher's outputs comes to; ``pred_ans`` is scored as it is.

    Args:
        source: jsonl or a JSON list, gzipped or not, with ``question``, ``answer`` (one or several
            gold answers), ``pred_ans`` and ``stop_reason_final``; ``gen_text_store`` may be
            missing, as in rows that ran out of searches.
        verdict: the field in which a judge's True or False stands, where it does.
        limit: rows that are scored, from the first on; None for all.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file cannot be read to its end, or holds something other than objects.
        RunError: it has no rows, or a row lacks a field; the message names the line.
    """
    rows = [
        _Row.of(record, verdict, f"{source}, {where}") for where, record in read_records(source)
    ]
    if not rows:
        raise RunError(f"{source} has no rows: expected one output a line")
    scored = rows[:limit]
    means = {
        name: Mean.of(get_scorer(name)(row.prediction, row.answers) for row in scored)
        for name in _SCORERS
    }
    verdicts = [row.verdict for row in scored if row.verdict is not None]
    if verdicts:
        means["verdict"] = Mean.of(_VERDICTS.get(each, 0.0) for each in verdicts)
    searches = [row.searches for row in scored if row.searches is not None]
    return Rescored(
        n=len(scored),
        left_out=len(rows) - len(scored),
        means=means,
        searches=Mean.of(searches) if searches else None,
        stops=Counter(row.stop for row in scored),
        unparsable=sum(each not in _VERDICTS for each in verdicts),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    prediction: str
    answers: Sequence[str]
    stop: str
    searches: int | None
    verdict: str | None

    @classmethod
    def of(cls, record: Mapping[str, object], verdict: str, where: str) -> "_Row":
        _text(record, "question", where)
        said, store = record.get(verdict), record.get("gen_text_store")
        if store is not None:
            store = len(_SEARCH.findall(_text(record, "gen_text_store", where)))
        return cls(
            prediction=_text(record, "pred_ans", where),
            answers=_answers(record, where),
            stop=_text(record, "stop_reason_final", where),
            searches=store,
            verdict=None if said is None else str(said).strip().rstrip(".").lower(),
        )


def _text(record: Mapping[str, object], field: str, where: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        got = f"{value!r:.60}" if field in record else f"only {', '.join(record) or 'no fields'}"
        raise RunError(f"{where}: expected a text in {field!r}, got {got}")
    return value


def _answers(record: Mapping[str, object], where: str) -> Sequence[str]:
    value = record.get("answer")
    if not isinstance(value, list):
        return (_text(record, "answer", where),)
    if not value or not all(isinstance(each, str) for each in value):
        raise RunError(f"{where}: expected gold answers as texts in 'answer', got {value!r:.60}")
    return value


def _line(name: str, mean: Mean, factor: int, decimals: int) -> str:
    value, low, high = (
        f"{factor * each:.{decimals}f}" for each in (mean.mean, mean.low, mean.high)
    )
    return f"{name:<11}  {value:>5}  [{low}, {high}]  n={mean.n}"
