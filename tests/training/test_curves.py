"""Curves of trainings: what is read, the line of text, the picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchenv.training.curves import MEASURED, draw_curves, read_curve, sparkline


def stage(*values: float) -> dict[str, list[float]]:
    return {name: [*values] for name in MEASURED}


def test_read_curve_takes_the_steps_of_training(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [
        {"kind": "exam", "step": 0, "em": 1.0},
        *({"kind": "train", "step": s, **dict.fromkeys(MEASURED, s / 3)} for s in (1, 2)),
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_curve(path) == stage(0.3333, 0.6667)
    assert read_curve(tmp_path / "none.jsonl") == {}
    path.write_text(json.dumps(rows[0]) + "\n")
    assert read_curve(path) == {}


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 4, ""),
        ([2.0, 2.0], 4, "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([-1, 1, 0, 0, 3, 5], 3, "▁▁█"),  # means 0, 0 and 4
        ([1, 0], 1, "▁"),
    ],
)
def test_sparkline_by_hand(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


def test_draw_curves_joins_stages_and_averages_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot

    def spy(self: Axes, x: object, y: object, *line: str, **style: object) -> object:
        drawn.append((np.asarray(x).tolist(), np.asarray(y).tolist()))
        return plot(self, x, y, *line, **style)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "plot", spy)
    rows: list[dict[str, Any]] = [
        {"arm": "base", "training": []},
        {"arm": "old"},
        {
            "arm": "two",
            "training": [stage(0), stage(2)],
        },
        {"arm": "two", "training": [stage(4), {}]},
    ]
    path = draw_curves(rows, tmp_path / "new" / "curves.png")
    assert path is not None
    assert path.read_bytes().startswith(b"\x89PNG")
    # the first point is the mean of 0 and 4; the second has one seed, whose two steps are averaged
    assert drawn == [([1, 2], [2.0, 1.0])] * len(MEASURED)
    assert draw_curves(rows[:2], tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_no_two_arms_look_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    looks: list[tuple[str, object]] = []
    save = Figure.savefig

    def spy(self: Figure, path: Path, **options: Any) -> None:
        lines = self.axes[0].lines
        looks.extend((to_hex(line.get_color()), line.get_linestyle()) for line in lines)
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    draw_curves([{"arm": f"a{n}", "training": [stage(n)]} for n in range(13)], tmp_path / "a.png")
    assert len(looks) == len({*looks}) == 13
