"""Tables of runs: means over questions with intervals, for all questions and for groups of them."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from searchenv.errors import did_you_mean
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.evaluation.statistics import Summary, summarize

__all__ = ["Row", "TableFormat", "render_table", "table_rows"]


class TableFormat(StrEnum):
    """How a table is written."""

    MARKDOWN = "markdown"
    CSV = "csv"
    """One column each for mean, ends of the interval and n."""
    LATEX = "latex"
    """A ``tabular`` with the rules of the package booktabs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    run: str
    questions: str
    """Which: ``all``, or ``KEY=VALUE``."""
    summary: Summary


def table_rows(
    runs: Mapping[str, Sequence[Record]], *, by: Sequence[str] = (), pass_at: Sequence[int] = ()
) -> list[Row]:
    """Returns the rows of each run: all questions, then those of each value of each key.

    Args:
        runs: the records of each, at least one, by the name that the table shows.
        by: keys of ``Question.metadata``, such as ``type`` and ``hops``; questions that lack one
            are the group ``KEY=?``.
        pass_at: see :func:`searchenv.evaluation.statistics.summarize`.

    Raises:
        ValueError: a run has no records, no question has a key, or one has too few samples.
    """
    rows = []
    for name, records in runs.items():
        groups = {"all": records}
        for key in by:
            groups |= _groups(records, key)
        rows += [
            Row(name, group, summarize(some, pass_at=pass_at)) for group, some in groups.items()
        ]
    return rows


def render_table(rows: Sequence[Row], format: TableFormat = TableFormat.MARKDOWN) -> str:
    """Returns the rows as text, with the measures of all of them as columns.

    Means that are over fewer questions than the row has say so.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.summary.means))
    return _WRITERS[TableFormat(format)](rows, names)


def _groups(records: Sequence[Record], key: str) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        value = record.result.question.metadata.get(key, "?")
        groups.setdefault(f"{key}={value}", []).append(record)
    if list(groups) == [f"{key}=?"]:
        known = {each for record in records for each in record.result.question.metadata}
        raise ValueError(f"no question says its {key!r}. {did_you_mean(key, known)}")
    return {group: groups[group] for group in sorted(groups)}


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    summary = row.summary
    means = [_shown(summary.means.get(name), summary.questions) for name in names]
    return [row.run, row.questions, str(summary.questions), str(summary.failed), *means]


def _shown(mean: Mean | None, n: int) -> str:
    if mean is None:
        return ""
    fewer = "" if mean.n == n else f" (n={mean.n})"
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]{fewer}"


_LABELS = ("run", "questions", "n", "failed")


def _markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    lines = [[*_LABELS, *names], ["---", "---", *["---:"] * (2 + len(names))]]
    lines += [[cell.replace("|", "\\|") for cell in _cells(row, names)] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _csv(rows: Sequence[Row], names: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    ends = ("", " low", " high", " n")
    writer.writerow([*_LABELS, *(f"{name}{end}" for name in names for end in ends)])
    for row in rows:
        cells = _cells(row, ())
        for name in names:
            mean = row.summary.means.get(name)
            cells += (
                [""] * 4 if mean is None else map(str, (mean.mean, mean.low, mean.high, mean.n))
            )
        writer.writerow(cells)
    return stream.getvalue().rstrip("\n")


def _latex(rows: Sequence[Row], names: Sequence[str]) -> str:
    head, *body = [[*_LABELS, *names], *(_cells(row, names) for row in rows)]
    lines = [f"{' & '.join(map(_escaped, cells))} \\\\" for cells in (head, *body)]
    columns = f"ll{'r' * (len(head) - 2)}"
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            lines[0],
            "\\midrule",
            *lines[1:],
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


_SPECIAL = str.maketrans(
    {
        **{each: f"\\{each}" for each in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


def _escaped(text: str) -> str:
    return text.translate(_SPECIAL)


_WRITERS: Mapping[TableFormat, Callable[[Sequence[Row], Sequence[str]], str]] = {
    TableFormat.MARKDOWN: _markdown,
    TableFormat.CSV: _csv,
    TableFormat.LATEX: _latex,
}
