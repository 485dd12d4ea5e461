"""Pictures of runs: what the bars and lines show, and the files."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from searchenv.cli import main
from searchenv.evaluation import Record
from searchenv.evaluation.judge import judge_run
from searchenv.evaluation.judge_files import with_verdicts
from searchenv.evaluation.judge_prompts import get_judge_prompt
from searchenv.evaluation.plots import (
    draw_judge_agreement,
    draw_score_by_hops,
    draw_searches,
    plot_runs,
)
from searchenv.policies.chat import ChatGenerator
from tests.evaluation.conftest import YesRun
from tests.evaluation.judging import judge_server, play_answers

HOPS = {"a": {"hops": 2}, "b": {"hops": 2}, "c": {"hops": 3}}
ANSWERS = {"a": "yes", "b": "no", "c": "yes"}


def bars(fill: object, runs: dict[str, tuple[Record, ...]], *args: str) -> list[float]:
    axes = Figure().add_subplot()
    assert callable(fill)
    assert fill(axes, runs, *args)
    return [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]


def test_bars_are_means_by_hops_and_shares_of_episodes(yes_run: YesRun) -> None:
    run = yes_run("run", ANSWERS, metadata=HOPS)
    assert bars(draw_score_by_hops, {"run": run.records}, "em") == [0.5, 1.0]
    assert bars(draw_searches, {"run": run.records}) == [1.0]  # no episode searched


def test_pictures_without_anything_to_show_are_left_out(yes_run: YesRun, tmp_path: Path) -> None:
    run = yes_run("run", ANSWERS)
    paths = plot_runs({"run": run.records}, tmp_path / "plots")
    assert [path.name for path in paths] == ["searches.png"]


def test_unknown_measure_is_named(yes_run: YesRun, tmp_path: Path) -> None:
    run = yes_run("run", ANSWERS, metadata=HOPS)
    with pytest.raises(ValueError, match="run run has no measure 'f1'; it has em, searches, turns"):
        plot_runs({"run": run.records}, tmp_path, measure="f1")
    with pytest.raises(ValueError, match="expected at least one run"):
        plot_runs({}, tmp_path)


def test_plot_draws_two_runs_of_the_demo_world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for policy in ("one_shot", "iterative"):
        words = ["--engine", "bm25s", "--split", "dev", "--policy", policy, "--limit", "20"]
        main(["bench", "run", *words, "--out", str(tmp_path / policy)])
    capsys.readouterr()
    folders = [str(tmp_path / policy) for policy in ("one_shot", "iterative")]
    assert main(["bench", "plot", *folders, "--out", str(tmp_path / "plots")]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == [
        "score_by_hops.png",
        "searches.png",
        "recall_by_turn.png",
    ]
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (1024, 576)


def test_bars_are_shares_of_answers_that_judge_and_cover_em_rule_on(tmp_path: Path) -> None:
    # cover-EM calls a, b and c right; nobody can tell e
    answers = {"a": "yes", "b": "yes", "c": "yes", "d": "no", "e": "no"}
    run = play_answers(tmp_path / "run", {id_: (["yes"], said) for id_, said in answers.items()})
    exchanges = {"a?": "True", "b?": "True", "c?": "False", "d?": "True", "e?": "Perhaps."}
    with judge_server(exchanges) as server:
        prompt = get_judge_prompt("deepmmsearch_r1")
        judgement = judge_run(tmp_path / "run", prompt, ChatGenerator(server.url, "m"), name="x")
    judged = with_verdicts(run.records, judgement)
    runs = {"judged": judged, "not judged": run.records}
    assert bars(draw_judge_agreement, runs, "x") == [0.5, 0.25, 0.25, 0.0]
    axes = Figure().add_subplot()
    draw_judge_agreement(axes, runs, "x")
    # 2 of 4 agree; by chance 3/4 * 3/4 + 1/4 * 1/4 = 10/16 would
    assert [label.get_text() for label in axes.get_xticklabels()] == ["judged\nn=4, kappa -0.33"]
    paths = plot_runs({"judged": judged}, tmp_path / "plots", judge="x")
    assert [path.name for path in paths] == ["searches.png", "judge_agreement.png"]
    paths = plot_runs({"not judged": run.records}, tmp_path / "none", judge="x")
    assert [path.name for path in paths] == ["searches.png"]
