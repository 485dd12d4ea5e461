"""Writes the tables of README.md and of the suites' cards from the measured rows beside them.

    python benchmarks/tables.py

A JSON file holds the circumstances of a run and lists of rows. They go into the README where it has
``<!-- NAME -->`` (circumstances), ``<!-- NAME LIST -->`` (all rows of a list) or
``<!-- NAME LIST FIELD=VALUE -->`` (some of them), each up to the next ``<!-- end -->``. A suite's
card has the rows of its ``expected.toml`` at ``<!-- expected -->``.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
PLACE = re.compile(
    r"<!-- (?P<name>\w+)(?: (?P<list>\w+)(?: (?P<field>\w+)=(?P<value>[\w, ]+))?)? -->"
    r".*?<!-- end -->",
    re.DOTALL,
)
EXPECTED = re.compile(r"<!-- expected -->.*?<!-- end -->", re.DOTALL)
MEASURES = {
    "em": "EM",
    "f1_hotpot": "F1",
    "cover_em_r1": "cover-EM",
    "gold_recall": "evidence recall",
    "searches": "searches",
}


def main() -> None:
    """Fills every place of the README whose file is there."""
    readme = FOLDER / "README.md"
    text = PLACE.sub(fill, readme.read_text(encoding="utf-8"))
    readme.write_text(text, encoding="utf-8")
    for path in sorted(FOLDER.glob("*/expected.toml")):
        card = path.with_name("README.md")
        parts = EXPECTED.split(card.read_text(encoding="utf-8"))
        card.write_text(expected(path).join(parts), encoding="utf-8")


def expected(path: Path) -> str:
    """Returns the text of the place of a card's figures."""
    run = tomllib.loads(path.read_text(encoding="utf-8"))
    rows = [
        {
            "policy": figures["policy"],
            "retriever": figures["retriever"],
            **{name: f"{figures[key]:.4f}" for key, name in MEASURES.items() if key in figures},
        }
        for figures in run["figures"]
    ]
    told = f"Command: `{run['command']}`; commit {run['commit']}; {run['machine']}; {run['date']}."
    return f"<!-- expected -->\n{table(rows)}\n\n{told}\n<!-- end -->"


def fill(place: re.Match[str]) -> str:
    """Returns the new text of a place; the old one where nothing was measured."""
    path = FOLDER / f"{place['name']}.json"
    if not path.is_file():
        return place[0]
    run = json.loads(path.read_text(encoding="utf-8"))
    body = circumstances(run)
    if place["list"]:
        field, value = place["field"], place["value"]
        rows = [row for row in run[place["list"]] if field is None or row[field] == value]
        body = table([{k: v for k, v in row.items() if k != field} for row in rows])
    opening = place[0].partition("-->")[0] + "-->"
    return f"{opening}\n{body}\n<!-- end -->"


def circumstances(run: Mapping[str, object]) -> str:
    """Returns what the figures must be quoted with, in one paragraph."""
    versions = run["versions"]
    assert isinstance(versions, dict)
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"Command: `{run['command']}`; commit {run['commit']}; {run['machine']}, Python "
        f"{run['python']}, {packages}; {str(run['date'])[:10]}."
    )


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Returns the rows as Markdown; columns in the order of their first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    numeric = {c for c in columns if any(isinstance(row.get(c), int | float) for row in rows)}
    head = " | ".join(column.replace("_", " ") for column in columns)
    rule = " | ".join("---:" if column in numeric else "---" for column in columns)
    lines = [f"| {head} |", f"| {rule} |"]
    lines += [f"| {' | '.join(shown(row.get(column)) for column in columns)} |" for row in rows]
    return "\n".join(lines)


def shown(value: object) -> str:
    """Returns a cell: numbers with three or four significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
