"""The recipe: its experiment as it was written down, and the questions that its script picks."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from searchenv.protocols import get_protocol
from searchenv.questions import read_questions
from searchenv.systems.r1_searcher import (
    STAGE_ONE_PAPER,
    STAGE_TWO_CEM,
    STAGE_TWO_EM,
    STAGE_TWO_PAPER,
    R1Searcher,
)
from searchenv.training.arms import (
    Arm,
    Exam,
    Experiment,
    exam_questions,
    read_rows,
    run_experiment,
)
from searchenv.training.models import ModelSize
from searchenv.training.pretrain import Phase
from searchenv.training.rewards import reward_of
from searchenv.training.settings import read_settings
from searchenv.training.tables import table_of, table_of_differences, table_of_types
from searchenv.worlds import FactWorld

RECIPE = Path(__file__).parents[3] / "agents" / "r1_searcher"


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return read_settings(Experiment, RECIPE / "arms.toml")


def episodes(arm: Arm) -> int:
    return sum(
        s.grpo.steps * s.grpo.questions * s.grpo.samples
        if s.kind == "grpo"
        else s.rejection.questions * s.rejection.samples
        for s in arm.stages
    )


def test_trained_arms_play_as_many_episodes(experiment: Experiment) -> None:
    assert {arm.name: episodes(arm) for arm in experiment.arms if arm.name != "base"} == (
        dict.fromkeys([arm.name for arm in experiment.arms[1:]], 120 * 16 * 8)
    )
    questions = FactWorld(experiment.base.world).split("train")
    assert len(questions) >= 1920


def test_arms_have_the_seeds_and_rewards_that_were_planned(experiment: Experiment) -> None:
    seeds = {arm.name: sum(run[0] is arm for run in experiment.runs()) for arm in experiment.arms}
    assert list(seeds.values()) == [5] * 5 + [3] * 8
    rewards = {
        arm.name: [reward_of(stage.reward) for stage in arm.stages if stage.kind == "grpo"]
        for arm in experiment.arms
    }
    assert rewards["two_stages"] == [STAGE_ONE_PAPER, STAGE_TWO_PAPER]
    assert rewards["stage_two_only"] == [STAGE_TWO_PAPER]
    assert rewards["two_stages_em"] == [STAGE_ONE_PAPER, STAGE_TWO_EM]
    assert rewards["two_stages_cem"] == [STAGE_ONE_PAPER, STAGE_TWO_CEM]
    assert rewards["one_search"] == [STAGE_ONE_PAPER, STAGE_TWO_PAPER]
    assert rewards["closed_book"] == [STAGE_TWO_PAPER]
    turns = {arm.name: arm.max_turns for arm in experiment.arms if arm.max_turns}
    assert turns == {"closed_book": 1, "one_search": 2}
    stages = [stage for arm in experiment.arms for stage in arm.stages]
    assert all(stage.grpo.token_kl == 0.0 for stage in stages if stage.kind == "grpo")
    assert isinstance(get_protocol(experiment.base.protocol), R1Searcher)


def test_recipe_shows_its_rows(experiment: Experiment) -> None:
    rows, page = read_rows(experiment, RECIPE / "rows"), (RECIPE / "README.md").read_text()
    assert len(rows) == len(experiment.runs())
    assert table_of(rows, "sampled") in page
    assert table_of(rows, "greedy") in page
    types = [str(question.metadata["type"]) for question in exam_questions(experiment)]
    assert table_of_types(rows, types) in page
    assert table_of_differences(rows, "two_stages") in page


def test_two_stages_run_in_miniature(experiment: Experiment, tmp_path: Path) -> None:
    (planned,) = (arm for arm in experiment.arms if arm.name == "two_stages")
    stages = [
        replace(s, grpo=replace(s.grpo, steps=2, questions=2, samples=2, max_tokens=8))
        for s in planned.stages
    ]
    arm = Arm("two_stages", tuple(stages))
    base = replace(
        experiment.base,
        world=replace(experiment.base.world, entities=12, relations=3),
        model=ModelSize(width=16, layers=1, heads=2, inner=16),
        phases=(Phase(2, 4, 1e-3),),
    )
    small = replace(
        experiment, base=base, arms=(arm,), seeds=(0,), exam=Exam(worlds=(1,), questions=2)
    )
    (row,) = run_experiment(small, tmp_path / "work", tmp_path / "rows")
    assert [len(curve) for curve in row["curves"]] == [2, 2]
    files = [tmp_path / "work" / f"two_stages-0-{stage}" / "metrics.jsonl" for stage in (0, 1)]
    found = [json.loads(file.read_text().splitlines()[1]) for file in files]
    assert {"term_retrieval", "term_format"} < found[0].keys()
    assert {"term_outcome", "term_format"} < found[1].keys()


def test_script_rolls_out_once_and_writes_questions(tmp_path: Path) -> None:
    command = [sys.executable, str(RECIPE / "select_questions.py"), "--engine", "bm25s"]
    command += ["--policy", "iterative", "--limit", "8", "--work", str(tmp_path / "work")]
    for name in ("a.jsonl", "b.jsonl"):
        more = ["--easy", "1", "--out", str(tmp_path / name)]
        run = subprocess.run(command + more, capture_output=True, text=True, check=True)
        assert " easy, 0 medium, " in run.stdout
    (question,) = read_questions(tmp_path / "a.jsonl")
    assert question.metadata["difficulty"] == "easy"
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
