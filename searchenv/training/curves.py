"""How a training went: its measures by step, as numbers, as a line of text and as a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchenv.errors import MissingDependencyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEASURED", "draw_curves", "read_curve", "sparkline"]

MEASURED = {
    "reward": "reward",
    "em": "exact match",
    "search_rate": "share that search",
    "searches": "searches",
    "valid_rate": "share without mistakes",
    "length": "tokens of an episode",
}
"""What a curve holds of each step, means over its episodes, and what a picture calls it."""
_BARS = "▁▂▃▄▅▆▇█"
_LINES = ("-", "--", ":")
_SMOOTH = 5  # steps; what is drawn is the mean of so many


def read_curve(metrics: Path) -> dict[str, list[float]]:
    """Returns each of ``MEASURED`` by step of a training by reward; {} where there was none.

    Args:
        metrics: its ``metrics.jsonl``.
    """
    if not metrics.exists():
        return {}
    rows = [json.loads(line) for line in metrics.read_text(encoding="ascii").splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    return {name: [round(row[name], 4) for row in steps] for name in MEASURED} if steps else {}


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """Returns values as a line of at most ``width`` bars, from their least to their greatest.

    More values than that are averaged, each bar over its share of them.
    """
    if not values:
        return ""
    parts = np.array_split(np.asarray(values, dtype=float), min(width, len(values)))
    means = np.array([part.mean() for part in parts])
    span = float(np.ptp(means)) or 1.0
    return "".join(_BARS[int(level)] for level in (means - means.min()) / span * (len(_BARS) - 1))


def draw_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Draws the trainings of an experiment's rows; returns ``path``, or None without any.

    A panel for each of ``MEASURED``, a colour for each arm. The line is the mean over its seeds,
    the band reaches from the lowest to the highest seed; a point is the mean of 5 steps. Stages
    follow each other. Where seeds differ in their number of steps, the mean is over those that got
    so far.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'pictures need matplotlib: pip install "searchenv[plots]"'
        ) from error
    arms: dict[str, list[Mapping[str, list[float]]]] = {}
    for row in rows:
        if stages := [stage for stage in row.get("training", []) if stage]:
            joined = {name: [v for stage in stages for v in stage[name]] for name in MEASURED}
            arms.setdefault(row["arm"], []).append(joined)
    if not arms:
        return None
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True).flat
    for axes, (name, title) in zip(panels, MEASURED.items(), strict=True):
        for number, (arm, seeds) in enumerate(arms.items()):
            colour, line = f"C{number}", _LINES[number // 10 % len(_LINES)]  # ten colours
            points = _smooth([seed[name] for seed in seeds])
            steps = np.arange(1, points.shape[1] + 1)
            label = arm if axes is figure.axes[0] else None
            axes.plot(steps, np.nanmean(points, axis=0), line, color=colour, label=label)
            low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_title(title, fontsize="medium", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
    figure.supxlabel("step, all stages", fontsize="medium")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path


def _smooth(seeds: Sequence[Sequence[float]]) -> "NDArray[np.float64]":
    """Returns (seeds, steps); NaN after a seed's last step."""
    points = np.full((len(seeds), max(map(len, seeds))), np.nan)
    for line, values in zip(points, seeds, strict=True):
        for step in range(len(values)):
            line[step] = np.mean(values[max(0, step - _SMOOTH + 1) : step + 1])
    return points
