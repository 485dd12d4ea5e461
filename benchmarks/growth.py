"""How cost grows with the corpus: build time, disk, memory, cold start, latency, rate.

    python benchmarks/growth.py --out benchmarks/growth.json

Rows that the file holds already are kept: an interrupted run goes on where it was, and ``--again``
starts anew. Every step runs in a process of its own, so that memory and cold start are its own.

Passages: the real ones of ``$SEARCHENV_DATA/scale`` as far as they go (104,792); beyond that
generated ones of the same lengths, whose words are drawn one by one with the real ones'
frequencies. Vectors: synthetic, 384 numbers, 1,000 clusters. Questions: 500 of 2WikiMultihopQA,
k = 5; queries of vectors are vectors of the same clusters.

The table ``indexers`` runs our Lucene indexer and Anserini's own on the same passages in turns;
``shards`` compares three shards with one index that holds all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from searchenv.evaluation import circumstances

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
STEPS = {
    "lucene": ("build-lucene", "search-lucene"),
    "indexers": ("build-indexers",),
    "shards": ("build-shards",),
    "flat": ("build-flat", "search-flat"),
    "hnsw": ("build-hnsw", "search-hnsw"),
}
KINDS = tuple(STEPS)
PACKAGES = ("faiss-cpu", "numpy", "pyarrow", "pyserini", "pyjnius")
LARGEST = {"hnsw": 300_000, "shards": 100_000}
"""Beyond that a row takes more than half an hour on two cores, or shows nothing new."""

Row = dict[str, Any]


def main() -> None:
    """Measures what is missing, one row at a time, and prints the tables."""
    arguments = parse_arguments()
    rows: list[Row] = []
    if arguments.out and arguments.out.is_file() and not arguments.again:
        rows = json.loads(arguments.out.read_text())["rows"]
    for kind in arguments.kinds:
        for size in arguments.sizes:
            known = any((row["kind"], row["passages"]) == (kind, size) for row in rows)
            if known or size > LARGEST.get(kind, size):
                continue
            with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
                rows.append({"kind": kind, "passages": size, **measure(kind, size, folder)})
            print(json.dumps(rows[-1]), file=sys.stderr)
            if arguments.out:
                rest = arguments.out.with_suffix(".part")
                run = {**circumstances(PACKAGES), "rows": rows}
                rest.write_text(json.dumps(run, indent=2) + "\n")
                rest.replace(arguments.out)
    print(tables(rows))


def parse_arguments() -> argparse.Namespace:
    """Returns the command line."""
    if "SEARCHENV_DATA" not in os.environ:
        sys.exit("set SEARCHENV_DATA to the folder of real questions and passages")
    parser = argparse.ArgumentParser(description="Growth with the size of the corpus.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--again", action="store_true", help="measure all rows again")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--work", type=Path, help="where indexes are built (default: temporary)")
    return parser.parse_args()


def measure(kind: str, size: int, folder: str) -> Row:
    """Returns one row: each step runs in its own process, in the same folder."""
    row: Row = {}
    script = str(Path(__file__).with_name("growth_steps.py"))
    for step in STEPS[kind]:
        command = [sys.executable, script, step, str(size), folder]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row |= json.loads(run.stdout.splitlines()[-1])
    return row


def tables(rows: Sequence[Row]) -> str:
    """Returns the rows as Markdown, one table a kind."""
    parts = []
    for kind in KINDS:
        own = sorted((r for r in rows if r["kind"] == kind), key=lambda r: int(r["passages"]))
        if own:
            names = [name for name in own[0] if name != "kind"]
            lines = [" | ".join(names), " | ".join("---:" for _ in names)]
            lines += [" | ".join(shown(row[name]) for name in names) for row in own]
            parts.append(f"{kind}:\n\n" + "\n".join(f"| {line} |" for line in lines))
    return "\n\n".join(parts)


def shown(value: object) -> str:
    """Returns a cell: three digits of small numbers, whole large ones."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
