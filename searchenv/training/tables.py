"""Tables of experiments: means over seeds and questions, with intervals over both."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchenv.evaluation import Mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "DECODINGS",
    "F1",
    "MEASURES",
    "fill_tables",
    "interval",
    "table_of",
    "table_of_differences",
    "table_of_types",
]

DECODINGS = ("sampled", "greedy")
"""How every model is examined: at temperature 1, and by its most probable tokens."""
MEASURES = ("em", "search_rate", "searches", "valid_rate")
"""What every model is examined for, question by question."""
F1 = "f1_squad"
"""Examined too, and in tables where all rows have it."""
_DRAWS = 2_000


def table_of(rows: Sequence[Mapping[str, Any]], decoding: str = "sampled") -> str:
    """Returns a Markdown table: means over seeds and questions with 95 % intervals.

    The interval is a bootstrap over both: seeds are drawn, then questions, 2,000 times.

    Args:
        rows: of an experiment; arms may have different numbers of seeds.
        decoding: ``sampled`` or ``greedy``.
    """
    has_f1 = bool(rows) and all(F1 in row[decoding] for row in rows)
    names = (*MEASURES, F1) if has_f1 else MEASURES
    return _table(rows, {name: [row[decoding][name] for row in rows] for name in names})


def table_of_types(rows: Sequence[Mapping[str, Any]], types: Sequence[str]) -> str:
    """Returns a Markdown table as :func:`table_of`: exact match by type of question and decoding.

    Args:
        rows: of an experiment.
        types: of the questions, in the order of the rows' values.
    """
    columns: dict[str, list[list[float]]] = {}
    for decoding, name in product(DECODINGS, sorted({*types})):
        places = [place for place, each in enumerate(types) if each == name]
        columns[f"{decoding}, {name} ({len(places)})"] = [
            [row[decoding]["em"][place] for place in places] for row in rows
        ]
    return _table(rows, columns)


def table_of_differences(rows: Sequence[Mapping[str, Any]], against: str) -> str:
    """Returns a Markdown table of each arm's exact match less that of another arm.

    They are paired by seed and question, over the seeds that both have; a positive difference says
    that the arm is better. Intervals are those of :func:`table_of`.

    Args:
        rows: of an experiment.
        against: the name of the other arm.

    Raises:
        ValueError: no row is of this arm.
    """
    others = {row["seed"]: row for row in rows if row["arm"] == against}
    if not others:
        raise ValueError(f"no row is of an arm {against!r} to compare with")
    paired = [row for row in rows if row["seed"] in others and row["arm"] != against]
    columns = {
        f"{decoding}, less {against}": [
            np.subtract(row[decoding]["em"], others[row["seed"]][decoding]["em"]).tolist()
            for row in paired
        ]
        for decoding in DECODINGS
    }
    return _table(paired, columns)


def _table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Sequence[Sequence[float]]]
) -> str:
    """Takes columns as the values of each row's questions."""
    lines = [f"| arm | seeds | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        seeds = [number for number, row in enumerate(rows) if row["arm"] == arm]
        means = [interval([values[number] for number in seeds]) for values in columns.values()]
        cells = [f"{m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]" for m in means]
        lines.append(f"| {arm} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def fill_tables(page: str | os.PathLike[str], tables: Mapping[str, str]) -> None:
    """Writes tables into their places in a Markdown file.

    Args:
        page: where ``<!-- NAME -->`` begins a place, and the next ``<!-- end -->`` ends it.
        tables: by the names of their places.

    Raises:
        ValueError: the page lacks a place; nothing is written.
    """
    text = Path(page).read_text(encoding="utf-8")
    for name, table in tables.items():
        before, begun, rest = text.partition(f"<!-- {name} -->")
        _, ended, after = rest.partition("<!-- end -->")
        if not (begun and ended):
            raise ValueError(f"expected <!-- {name} --> and then <!-- end --> in {page}")
        text = f"{before}{begun}\n{table}\n{ended}{after}"
    Path(page).write_text(text, encoding="utf-8")


def interval(values: Sequence[Sequence[float]]) -> Mean:
    """Returns the mean of (seeds, questions) with a 95 % bootstrap interval over both."""
    array = np.asarray(values, dtype=np.float64)
    seeds, questions = _counts(*array.shape)
    means = ((seeds @ array) * questions).sum(axis=1) / array.size
    low, high = np.percentile(means, (2.5, 97.5))
    return Mean(float(array.mean()), float(low), float(high), array.shape[1])


@lru_cache(maxsize=4)  # a table has many intervals of one shape
def _counts(seeds: int, questions: int) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Returns how often each draw takes each seed, and how often each question."""
    rng = np.random.default_rng(0)
    counts = np.zeros((_DRAWS, seeds)), np.zeros((_DRAWS, questions))
    for draw in range(_DRAWS):
        for count in counts:
            size = count.shape[1]
            count[draw] = np.bincount(rng.integers(size, size=size), minlength=size)
    return counts
