"""Pictures of runs; needs matplotlib (``pip install "searchenv[plots]"``)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from searchenv.errors import MissingDependencyError
from searchenv.evaluation.evidence import recall_by_turn
from searchenv.evaluation.judge_agreement import agreement
from searchenv.evaluation.judge_files import measure_of
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.evaluation.statistics import Summary
from searchenv.evaluation.tables import table_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "draw_judge_agreement",
    "draw_recall_by_turn",
    "draw_score_by_hops",
    "draw_searches",
    "plot_runs",
]

Runs = Mapping[str, Sequence[Record]]


def plot_runs(
    runs: Runs, out: str | Path, *, measure: str | None = None, judge: str | None = None
) -> list[Path]:
    """Draws runs side by side and returns the PNG files that were written into ``out``.

    ``score_by_hops`` (where questions say their ``hops``; bars are 95 % intervals),
    ``searches`` (the share of episodes with each number of searches) and ``recall_by_turn`` (mean
    share of gold passages found up to each turn, where gold passages are known; bands are 95 %
    intervals), and with ``judge`` ``judge_agreement`` (the share of answers that the judge and
    cover-EM call right or wrong, together or one alone).

    Args:
        runs: records by the name that the legend shows, at least one.
        out: a folder, made where it is missing.
        measure: the score by hops; None: the first scorer of the first run.
        judge: the name of verdicts that the records have, see
            :func:`searchenv.evaluation.judge_files.with_verdicts`.

    Raises:
        ValueError: there are no runs, or a run lacks the measure.
        MissingDependencyError: matplotlib is not installed.
    """
    if not runs or not all(runs.values()):
        raise ValueError("expected at least one run, each with records")
    shown = measure or next(iter(next(iter(runs.values()))[0].scores), "turns")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [
        _draw(folder / "score_by_hops.png", lambda axes: draw_score_by_hops(axes, runs, shown)),
        _draw(folder / "searches.png", lambda axes: draw_searches(axes, runs)),
        _draw(folder / "recall_by_turn.png", lambda axes: draw_recall_by_turn(axes, runs)),
    ]
    if judge is not None:
        path = folder / "judge_agreement.png"
        drawn.append(_draw(path, lambda axes: draw_judge_agreement(axes, runs, judge)))
    return [path for path in drawn if path is not None]


def _draw(path: Path, fill: Callable[["Axes"], bool]) -> Path | None:
    """Writes one picture; none where there is nothing to show."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'pictures need matplotlib: pip install "searchenv[plots]"'
        ) from error
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    if not fill(axes):
        return None
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="0.9")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=160)
    return path


def draw_score_by_hops(axes: "Axes", runs: Runs, measure: str) -> bool:
    """Draws the means of a measure by hops, with intervals; False where no question says hops."""
    runs = {
        name: records
        for name, records in runs.items()
        if any("hops" in record.result.question.metadata for record in records)
    }
    if not runs:
        return False
    rows = [row for row in table_rows(runs, by=["hops"]) if row.questions != "all"]
    groups = sorted({row.questions for row in rows})
    width = 0.8 / len(runs)
    for i, name in enumerate(runs):
        found = {row.questions: row.summary for row in rows if row.run == name}
        at = [x for x, group in enumerate(groups) if group in found]
        means = [_mean(found[groups[x]], measure, name) for x in at]
        axes.bar(
            [x + (i - (len(runs) - 1) / 2) * width for x in at],
            [m.mean for m in means],
            width,
            yerr=([m.mean - m.low for m in means], [m.high - m.mean for m in means]),
            capsize=2,
            label=name,
        )
    counts = {row.questions: row.summary.questions for row in rows}
    labels = [f"{group.partition('=')[2]}\nn={counts[group]}" for group in groups]
    axes.set_xticks(range(len(groups)), labels)
    axes.set(xlabel="hops", ylabel=measure, ylim=(0, 1.02))
    return True


def _mean(summary: Summary, measure: str, run: str) -> Mean:
    if measure not in summary.means:
        raise ValueError(f"run {run} has no measure {measure!r}; it has {', '.join(summary.means)}")
    return summary.means[measure]


def draw_searches(axes: "Axes", runs: Runs) -> bool:
    """Draws the share of episodes with each number of searches; False where none is known."""
    from matplotlib.ticker import MaxNLocator

    width = 0.8 / len(runs)
    any_known = False
    for i, (name, records) in enumerate(runs.items()):
        known = [record for record in records if "searches" not in record.untold]
        counts = Counter(record.outcome.calls.get("search", 0) for record in known)
        if not known:
            continue
        any_known = True
        at = sorted(counts)
        axes.bar(
            [x + (i - (len(runs) - 1) / 2) * width for x in at],
            [counts[x] / len(known) for x in at],
            width,
            label=name,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="searches", ylabel="share of episodes")
    return any_known


def draw_recall_by_turn(axes: "Axes", runs: Runs) -> bool:
    """Draws the mean recall up to each turn; False where no gold passages are known."""
    from matplotlib.ticker import MaxNLocator

    any_known = False
    for name, records in runs.items():
        recalls = recall_by_turn(records)
        if recalls:
            any_known = True
            turns = range(1, len(recalls) + 1)
            axes.plot(turns, [m.mean for m in recalls], marker="o", label=name)
            low, high = [m.low for m in recalls], [m.high for m in recalls]
            axes.fill_between(turns, low, high, alpha=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="turn", ylabel="gold passages found", ylim=(0, 1.02))
    return any_known


def draw_judge_agreement(axes: "Axes", runs: Runs, judge: str) -> bool:
    """Draws how a judge and cover-EM rule on answers; False where no answer has both.

    One bar a run, cut into the shares of answers that both call right, that one alone does, and
    that neither does; below it the number of answers and Cohen's kappa.
    """
    found = {name: agreement(records, measure_of(judge)) for name, records in runs.items()}
    found = {name: each for name, each in found.items() if each.n}
    parts = {
        "both right": ([each.both for each in found.values()], "#1f77b4"),
        "judge only": ([each.judge_only for each in found.values()], "#aec7e8"),
        "cover-EM only": ([each.scorer_only for each in found.values()], "#ffbb78"),
        "both wrong": ([each.neither for each in found.values()], "#ff7f0e"),
    }
    below = [0.0] * len(found)
    for label, (counts, colour) in parts.items():
        shares = [count / each.n for count, each in zip(counts, found.values(), strict=True)]
        axes.bar(range(len(found)), shares, 0.6, bottom=below, color=colour, label=label)
        below = [low + share for low, share in zip(below, shares, strict=True)]
    kappas = ["undefined" if e.kappa is None else f"{e.kappa:.2f}" for e in found.values()]
    labels = [
        f"{name}\nn={each.n}, kappa {kappa}"
        for (name, each), kappa in zip(found.items(), kappas, strict=True)
    ]
    axes.set_xticks(range(len(found)), labels)
    axes.set(ylabel="share of answers", ylim=(0, 1.02), xlim=(-0.5, max(len(found), 2) - 0.5))
    return bool(found)
