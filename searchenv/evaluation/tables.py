"""Tables of runs: means over questions with intervals, for all questions and for groups of them."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from searchenv.errors import did_you_mean
from searchenv.evaluation.compare import Comparison
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.evaluation.statistics import Summary, summarize

__all__ = ["Row", "TableFormat", "render_table", "render_tests", "table_rows"]


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


def render_tests(
    tests: Mapping[str, Sequence[Comparison]], format: TableFormat = TableFormat.MARKDOWN
) -> str:
    """Returns the differences of runs to one that they are compared with, one a line, as text.

    Args:
        tests: what :func:`searchenv.evaluation.compare.compare_runs` found of each run as the
            second, by the name that the table shows.
        format: as for :func:`render_table`.
    """
    found = [(name, each) for name, comparisons in tests.items() for each in comparisons]
    if TableFormat(format) is TableFormat.CSV:
        head = ["run", "measure", "difference", "low", "high", "p", "n"]
        numbers = [(each.difference, each.p) for _, each in found]
        body = [
            [name, each.measure, *map(str, (m.mean, m.low, m.high, p, m.n))]
            for (name, each), (m, p) in zip(found, numbers, strict=True)
        ]
        return _csv_cells([head, *body])
    lines = [["run", "measure", "difference", "p", "n"]]
    for name, each in found:
        m = each.difference
        change = f"{m.mean:+.3f} [{m.low:+.3f}, {m.high:+.3f}]"
        lines.append([name, each.measure, change, f"{each.p:.4f}", str(m.n)])
    write = _latex_cells if TableFormat(format) is TableFormat.LATEX else _markdown_cells
    return write(lines, 2)


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
    return _markdown_cells([[*_LABELS, *names], *(_cells(row, names) for row in rows)], 2)


def _csv(rows: Sequence[Row], names: Sequence[str]) -> str:
    ends = ("", " low", " high", " n")
    lines: list[Sequence[str]] = [[*_LABELS, *(f"{name}{end}" for name in names for end in ends)]]
    for row in rows:
        cells = _cells(row, ())
        for name in names:
            mean = row.summary.means.get(name)
            cells += (
                [""] * 4 if mean is None else map(str, (mean.mean, mean.low, mean.high, mean.n))
            )
        lines.append(cells)
    return _csv_cells(lines)


def _latex(rows: Sequence[Row], names: Sequence[str]) -> str:
    return _latex_cells([[*_LABELS, *names], *(_cells(row, names) for row in rows)], 2)


def _markdown_cells(lines: Sequence[Sequence[str]], texts: int) -> str:
    """Returns a table whose first ``texts`` columns are texts and the others numbers."""
    head, *body = lines
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in body)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *escaped))


def _csv_cells(lines: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue().rstrip("\n")


def _latex_cells(lines: Sequence[Sequence[str]], texts: int) -> str:
    columns = "l" * texts + "r" * (len(lines[0]) - texts)
    head, *body = (f"{' & '.join(map(_escaped, cells))} \\\\" for cells in lines)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            head,
            "\\midrule",
            *body,
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
