"""Experiments: rows of finished runs, what a file may say, tables."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchenv import cli
from searchenv.errors import RunError
from searchenv.evaluation import Setup
from searchenv.training.arms import (
    Experiment,
    exam_questions,
    read_rows,
    run_experiment,
)
from searchenv.training.settings import read_settings
from searchenv.training.tables import (
    fill_tables,
    interval,
    table_of,
    table_of_differences,
    table_of_types,
)
from searchenv.types import Question

RECIPE = Path(__file__).parents[2] / "agents" / "tiny_lm"
FILE = """\
name = "small"
seeds = [0, 1]
max_turns = 3
[base]
world = { entities = 12, relations = 3 }
model = { width = 16, layers = 1, heads = 2, inner = 16 }
phases = [{ updates = 120, batch_size = 16, learning_rate = 0.02, \
mix = { copies = 0, readings = 0, habits = { search = 0.0 } } }]
[exam]
worlds = [5, 6]
questions = 4
[[arms]]
name = "base"
[[arms]]
name = "grpo"
[[arms.stages]]
kind = "grpo"
reward = "em+format"
grpo = { steps = 1, questions = 4, samples = 8, loss = { clip = 0.1 } }
[[arms.stages]]
kind = "grpo"
grpo = { steps = 1, questions = 2, samples = 2 }
[[arms]]
name = "rejection"
[[arms.stages]]
kind = "rejection"
rejection = { questions = 24, samples = 8, sft = { epochs = 1 } }
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    path = tmp_path_factory.mktemp("experiments") / "small.toml"
    path.write_text(FILE)
    return read_settings(Experiment, path)


@pytest.fixture(scope="module")
def folder(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    run_experiment(experiment, folder / "work", folder / "rows")
    return folder


def test_every_arm_and_seed_has_a_row(experiment: Experiment, folder: Path) -> None:
    rows = read_rows(experiment, folder / "rows")
    assert [(row["arm"], row["seed"]) for row in rows] == [
        *(("base", 0), ("base", 1), ("grpo", 0), ("grpo", 1)),
        *(("rejection", 0), ("rejection", 1)),
    ]
    row = rows[2]
    assert [len(row[d]["em"]) for d in ("sampled", "greedy")] == [8, 8]
    assert [[exam["step"] for exam in curve] for curve in row["curves"]] == [[0, 1], [0, 1]]
    assert row["stages"][0]["grpo"]["loss"] == {"clip": 0.1, "kl": 0.0}
    assert row["commit"] is not None
    assert rows[0]["greedy"] == rows[1]["greedy"]  # the base is one model


def test_stages_follow_each_other(folder: Path) -> None:
    headers = [
        json.loads((folder / "work" / f"grpo-0-{stage}" / "training.json").read_text())
        for stage in (0, 1)
    ]
    models = [header["policy"]["model"]["sha256"] for header in headers]
    assert models[0] != models[1]
    assert [header["seed"] for header in headers] == [0, 0]


def test_finished_rows_are_not_run_again(experiment: Experiment, folder: Path) -> None:
    path = folder / "rows" / "rejection-1.json"
    before = path.read_bytes()
    path.unlink()
    run_experiment(experiment, folder / "work", folder / "rows", only=["base"])
    assert not path.exists()
    run_experiment(experiment, folder / "work", folder / "rows", only=["rejection"])
    names = ("sampled", "greedy", "stages")
    first, second = json.loads(before), json.loads(path.read_text())
    assert [first[name] for name in names] == [second[name] for name in names]


def test_rows_of_other_settings_are_an_error(experiment: Experiment, folder: Path) -> None:
    other = replace(experiment, hits=2)
    with pytest.raises(RunError, match=r"base-0\.json was run with other settings"):
        run_experiment(other, folder / "work", folder / "rows")
    more = replace(experiment, seeds=(0, 1, 2))
    assert len(read_rows(more, folder / "rows")) == 6  # seeds and arms may be added


def test_table_command(
    experiment: Experiment, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "small.toml").write_text(FILE)
    command = ["train", "arms", str(folder / "small.toml"), "--work", str(folder / "work")]
    page = folder / "README.md"
    page.write_text(
        "# A\n<!-- sampled -->\nold\n<!-- end -->\n<!-- greedy --><!-- end -->\n"
        "<!-- types --><!-- end -->\n<!-- against --><!-- end -->\nlast\n"
    )
    command += ["--rows", str(folder / "rows"), "--table", "--readme", str(page)]
    assert cli.main([*command, "--against", "grop"]) == 2
    assert "no arm is named 'grop'. Did you mean 'grpo'?" in capsys.readouterr().err
    command += ["--against", "base", "--plot", str(folder / "curves.png")]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    rows = read_rows(experiment, folder / "rows")
    types = table_of_types(rows, ["seen_pair"] * len(rows[0]["greedy"]["em"]))
    tables = {"sampled": table_of(rows), "greedy": table_of(rows, "greedy"), "types": types}
    tables["against"] = table_of_differences(rows, "base")
    assert all(table in printed for table in tables.values())
    places = [f"<!-- {name} -->\n{table}\n<!-- end -->\n" for name, table in tables.items()]
    assert page.read_text() == f"# A\n{''.join(places)}last\n"
    assert (folder / "curves.png").stat().st_size > 0


@pytest.mark.parametrize(
    "page", ["<!-- a -->", "<!-- end --> <!-- a -->", "<!-- b --><!-- end -->"]
)
def test_page_without_the_place_stays_as_it_is(tmp_path: Path, page: str) -> None:
    (tmp_path / "page.md").write_text(page)
    with pytest.raises(ValueError, match="expected <!-- a --> and then <!-- end --> in "):
        fill_tables(tmp_path / "page.md", {"a": "| x |"})
    assert (tmp_path / "page.md").read_text() == page


def test_table_by_hand() -> None:
    half: dict[str, Any] = {"em": [0.0, 1.0], "search_rate": [1, 1], "searches": [2, 2]}
    rows = [{"arm": "a", "sampled": {**half, "valid_rate": [0.0, 0.0]}} for _ in range(2)]
    assert table_of(rows).splitlines() == [
        "| arm | seeds | em | search_rate | searches | valid_rate |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 2 | 0.500 [0.000, 1.000] | 1.000 [1.000, 1.000] | 2.000 [2.000, 2.000] "
        "| 0.000 [0.000, 0.000] |",
    ]


def test_table_of_types_by_hand() -> None:
    row = {"arm": "a", "sampled": {"em": [0, 1, 0]}, "greedy": {"em": [1, 1, 1]}}
    other = {"arm": "b", "sampled": {"em": [1, 0, 1]}, "greedy": {"em": [0, 0, 0]}}
    assert table_of_types([row, row, other], ["y", "x", "y"]).splitlines() == [
        "| arm | seeds | sampled, x (1) | sampled, y (2) | greedy, x (1) | greedy, y (2) |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 2 | 1.000 [1.000, 1.000] | 0.000 [0.000, 0.000] | 1.000 [1.000, 1.000] "
        "| 1.000 [1.000, 1.000] |",
        "| b | 1 | 0.000 [0.000, 0.000] | 1.000 [1.000, 1.000] | 0.000 [0.000, 0.000] "
        "| 0.000 [0.000, 0.000] |",
    ]


def test_table_of_differences_by_hand() -> None:
    def row(arm: str, seed: int, em: list[int]) -> dict[str, Any]:
        return {"arm": arm, "seed": seed, "sampled": {"em": em}, "greedy": {"em": [1, 1]}}

    rows = [row("a", 0, [0, 1]), row("a", 1, [1, 1]), row("b", 1, [0, 0]), row("b", 2, [0, 0])]
    assert table_of_differences(rows, "a").splitlines() == [
        "| arm | seeds | sampled, less a | greedy, less a |",
        "| --- | --- | --- | --- |",
        "| b | 1 | -1.000 [-1.000, -1.000] | 0.000 [0.000, 0.000] |",
    ]
    both = [*rows[:2], row("b", 0, [1, 0]), row("b", 1, [0, 0])]
    # 1 and -1 with seed 0, -1 and -1 with seed 1: drawn again, all are 1 in one of 16 cases
    cells = "| b | 2 | -0.500 [-1.000, 1.000] | 0.000 [0.000, 0.000] |"
    assert table_of_differences(both, "a").splitlines()[2] == cells
    with pytest.raises(ValueError, match="no row is of an arm 'c' to compare with"):
        table_of_differences(rows, "c")


def test_interval_is_wide_where_seeds_differ() -> None:
    alike = interval([[0.0, 1.0] * 50, [0.0, 1.0] * 50])
    unlike = interval([[0.0] * 100, [1.0] * 100])
    assert alike.mean == unlike.mean == 0.5
    assert alike.high - alike.low < 0.25
    assert (unlike.low, unlike.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seeds = [0, 1]", "seeds = [0, 0]"), "arms and seeds must differ"),
        (('kind = "rejection"', 'kind = "ppo"'), "kind must be grpo or rejection, got 'ppo'"),
        (('reward = "em+format"', 'reward = "form"'), "no term of a reward is named 'form'"),
        (
            ("max_turns = 3", 'max_turns = 3\non_invalid = "stop"'),
            "'stop' is not a valid OnInvalid",
        ),
        (
            ("steps = 1", "token_kl = 'x', steps = 1"),
            "expected arms.stages.grpo.token_kl to be of type float, got 'x'",
        ),
        (
            ("steps = 1, questions = 4", "steps = 1 }\nrelations = ['mayor', 'may']\n#"),
            r"no training question of grpo goes over \('mayor', 'may'\): expected two of \('mayor'",
        ),
        (("steps = 1", "stepps = 1"), "unknown key arms.stages.grpo.stepps. Did you mean 'steps'"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "x.toml").write_text(FILE.replace(*change))
    with pytest.raises(ValueError, match=message):
        read_settings(Experiment, tmp_path / "x.toml")


def test_unknown_arm_is_an_error(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no arm is named 'grp'\. Did you mean 'grpo'"):
        run_experiment(experiment, tmp_path, tmp_path, only=["grp"])
    with pytest.raises(ValueError, match=r"expected seeds of \(0, 1\), got \(1, 2\)"):
        run_experiment(experiment, tmp_path, tmp_path, seeds=[1, 2])


def test_some_seeds_of_some_arms(experiment: Experiment, folder: Path, tmp_path: Path) -> None:
    rows = run_experiment(experiment, folder / "work", tmp_path, only=["base"], seeds=[1])
    assert [(row["arm"], row["seed"]) for row in rows] == [("base", 1)]


def test_one_type_of_question_and_one_turn(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = FILE.replace("seeds = [0, 1]", "seeds = [0]").replace(
        'name = "grpo"', 'name = "grpo"\nmax_turns = 1'
    )
    text = text.replace('kind = "grpo"', "kind = 'grpo'\nrelations = ['rival', 'tutor']", 1)
    (tmp_path / "x.toml").write_text(text)
    experiment = read_settings(Experiment, tmp_path / "x.toml")
    asked, turns = list[set[tuple[int, ...]]](), list[int | None]()

    def spy(model: Path, questions: Sequence[Question], setup: Setup, *_: Any, **more: Any) -> Path:
        paths: list[Any] = [question.metadata["path"] for question in questions]
        asked.append({tuple(relation for _, relation, _ in path) for path in paths})
        turns.extend(each.limits.max_turns for each in (setup, more["examination"].setup))
        return model

    monkeypatch.setattr("searchenv.training.arms.train_grpo", spy)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "base").symlink_to(folder / "work" / "base")
    run_experiment(experiment, tmp_path / "work", tmp_path / "rows", only=["base", "grpo"])
    row = read_rows(experiment, tmp_path / "rows")[1]
    assert turns == [1, 1, 1, 1]
    assert asked[0] == {(1, 2)}
    assert len(asked[1]) == 6
    assert (row["experiment"], row["max_turns"]) == (experiment.digest, 1)
    (tmp_path / "x.toml").write_text(text.replace("max_turns = 1", "max_turns = 2"))
    with pytest.raises(RunError, match="was run with other settings"):
        read_rows(read_settings(Experiment, tmp_path / "x.toml"), tmp_path / "rows")


def test_settings_that_are_not_given_are_not_in_rows(experiment: Experiment, folder: Path) -> None:
    row = read_rows(experiment, folder / "rows")[2]
    some = (replace(experiment.arms[0], seeds=(1,)),)
    assert "until_search_rate" not in row["stages"][0]["grpo"]
    assert {"em", "f1_squad"} < row["sampled"].keys()
    assert [seed for arm, seed in replace(experiment, arms=some).runs()] == [1]
    given = replace(experiment, on_invalid="end")
    assert given.digest != experiment.digest
    text = FILE.replace(
        "steps = 1, questions = 2", "steps = 1, until_search_rate = 1, questions = 2"
    )
    other = folder / "other.toml"
    other.write_text(text)
    with pytest.raises(RunError, match="was run with other settings"):
        read_rows(read_settings(Experiment, other), folder / "rows")


def test_recipe_shows_its_rows() -> None:
    experiment = read_settings(Experiment, RECIPE / "arms.toml")
    rows, page = read_rows(experiment, RECIPE / "rows"), (RECIPE / "README.md").read_text()
    assert len(rows) == 12
    assert table_of(rows, "sampled") in page
    assert table_of(rows, "greedy") in page
    types = [str(question.metadata["type"]) for question in exam_questions(experiment)]
    assert types.count("unseen_pair") == 63
    assert table_of_types(rows, types) in page
