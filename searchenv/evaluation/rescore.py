"""Scores answers again that were stored, without a model: of runs, and of others' output files.

R1-Searcher's outputs (Song et al. 2025, arXiv 2503.05592v2, RUCAIBox/R1-Searcher at
631167cbb3c2464f805730e3e364a690f5b136d4) are scored as ``evaluation/metric_calc_rule.py`` does. The
differences:

1. A field that is missing or of another type is an error that names the line.
2. Intervals are added, and the searches, stops and verdicts that the script does not report.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from searchenv.evaluation.outputs import (
    Output,
    read_flashrag,
    read_r1_searcher,
    read_search_r1,
)
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean, QuestionResult
from searchenv.metrics import get_scorer

__all__ = [
    "R1_ROWS",
    "Rescored",
    "rescore_flashrag",
    "rescore_r1_searcher",
    "rescore_records",
    "rescore_search_r1",
]

R1_ROWS = 2000
"""R1-Searcher's script scores so many rows from the beginning of a file."""
_R1_SCORERS = ("em_r1", "cover_em_r1", "f1_r1")
_SCORERS = ("em", "sub_em", "f1_hotpot")
_VERDICTS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Rescored:
    """What the rows of an output file come to."""

    n: int
    """The rows that were scored."""
    left_out: int
    """The rows behind them, which were not."""
    means: Mapping[str, Mean]
    """In [0, 1], by scorer, and ``verdict`` where rows have one."""
    searches: Mean | None
    """Searches a row, over the rows that tell them; None where none does."""
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
    rows = read_r1_searcher(source, verdict)
    scored = rows[:limit]
    return _rescored(scored, _R1_SCORERS, left_out=len(rows) - len(scored))


def rescore_flashrag(source: str) -> Rescored:
    """Returns what FlashRAG's ``intermediate_data.json`` comes to; ``pred`` is scored as it is.

    ``em``, ``sub_em`` and ``f1_hotpot`` are what FlashRAG calls ``em``, ``acc`` and ``f1``.

    Raises:
        FileNotFoundError, QuestionError, RunError: as :func:`rescore_r1_searcher`.
    """
    return _rescored(read_flashrag(source), _SCORERS)


def rescore_search_r1(source: str) -> Rescored:
    """Returns what a dump of generations by verl comes to, with transcripts in Search-R1's tags.

    See :func:`searchenv.evaluation.outputs.read_search_r1` for what the answer is; a row without
    one scores 0.

    Raises:
        FileNotFoundError, QuestionError, RunError: as :func:`rescore_r1_searcher`.
    """
    return _rescored(read_search_r1(source), _SCORERS)


def _rescored(rows: Sequence[Output], scorers: Sequence[str], left_out: int = 0) -> Rescored:
    means = {name: Mean.of(_score(name, row) for row in rows) for name in scorers}
    verdicts = [row.verdict for row in rows if row.verdict is not None]
    if verdicts:
        means["verdict"] = Mean.of(_VERDICTS.get(each, 0.0) for each in verdicts)
    searches = [row.searches for row in rows if row.searches is not None]
    return Rescored(
        n=len(rows),
        left_out=left_out,
        means=means,
        searches=Mean.of(searches) if searches else None,
        stops=Counter(row.stop for row in rows),
        unparsable=sum(each not in _VERDICTS for each in verdicts),
    )


def _score(name: str, row: Output) -> float:
    return 0.0 if row.prediction is None else get_scorer(name)(row.prediction, row.answers)


def _line(name: str, mean: Mean, factor: int, decimals: int) -> str:
    value, low, high = (
        f"{factor * each:.{decimals}f}" for each in (mean.mean, mean.low, mean.high)
    )
    return f"{name:<11}  {value:>5}  [{low}, {high}]  n={mean.n}"
