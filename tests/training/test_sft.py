"""Fine-tuning on masked episodes, and on a model's own right ones."""

import json
from pathlib import Path

import pytest
import torch

from searchenv.evaluation import Record, Setup, read_run, run_header, run_questions
from searchenv.exports import export_sft
from searchenv.protocols import SearchR1
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.rewards import Format, Outcome, Reward
from searchenv.tokens import token_sample
from searchenv.training.items import Kind, TrainItem
from searchenv.training.losses import score_tokens
from searchenv.training.models import load_model
from searchenv.training.rewards import reward_of
from searchenv.training.rollout import Clock, roll_out
from searchenv.training.sft import (
    RejectionSettings,
    SftSettings,
    by_tokens,
    fine_tune,
    keep_right,
    read_items,
    train_rejection,
)
from searchenv.training.teacher import Habits, Teacher
from searchenv.types import Limits
from searchenv.worlds import FactWorld


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, world: FactWorld) -> Path:
    """A run of the teacher."""
    setup = Setup(
        tools={"search": RetrieverTool(MemoryRetriever(world.passages), 3)},
        protocol=SearchR1(),
        limits=Limits(),
        scorers=("em",),
    )
    questions = world.split("train", 6)
    header = run_header(questions, setup, name="x", policy={"name": "teacher"}, retriever={})
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    run_questions(Teacher(world, Habits()), questions, setup, folder, header=header)
    return folder


def records_of(world: FactWorld, setup: Setup, habits: Habits) -> list[Record]:
    questions = world.split("train")
    return roll_out(Teacher(world, habits), questions, setup, seed=0, clock=Clock()).records


def test_run_and_export_are_the_same_items(random_model: Path, run: Path, tmp_path: Path) -> None:
    _, tokenizer = load_model(random_model)
    export_sft(read_run(run).records, tmp_path / "sft.jsonl", tokenizer=tokenizer)
    items = read_items(run, tokenizer)
    assert items == read_items(tmp_path / "sft.jsonl", tokenizer)
    assert len(items) == 6
    assert {item.kind for item in items} == {Kind.SFT}
    first = items[0]
    trained = [id_ for id_, seen in zip(first.ids, first.mask, strict=True) if seen]
    result = read_run(run).records[0].result
    written = "".join(segment.text for segment in result.segments if segment.trained)
    assert tokenizer.decode(trained) == written


def test_fine_tuning_makes_episodes_more_probable(
    random_model: Path, run: Path, tmp_path: Path
) -> None:
    items = read_items(run, load_model(random_model)[1])
    settings = SftSettings(epochs=4, batch_size=4, learning_rate=1e-2)
    losses = fine_tune(random_model, items, settings, tmp_path / "model")
    assert len(losses) == 4
    assert losses[-1] < losses[0] - 0.2
    ids = torch.tensor([items[0].ids])
    mask = torch.tensor([items[0].mask[1:]])
    before, after = (
        float((score_tokens(load_model(f)[0], ids).logprobs.detach() * mask).sum())
        for f in (random_model, tmp_path / "model")
    )
    assert after > before
    written = json.loads((tmp_path / "model" / "fine_tuning.json").read_text())
    assert written == {"episodes": 6, "loss": losses}


def test_fine_tuning_is_decided_by_its_seed(random_model: Path, run: Path, tmp_path: Path) -> None:
    items = read_items(run, load_model(random_model)[1])
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        settings = SftSettings(epochs=2, batch_size=2, seed=seed)
        fine_tune(random_model, items, settings, tmp_path / name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_by_tokens_makes_a_mean_over_tokens() -> None:
    items = [TrainItem((1, 2), (0.0, 1.0)), TrainItem((1, 2, 3, 4), (0.0, 1.0, 1.0, 1.0))]
    assert [item.weight for item in by_tokens(items)] == [0.5, 1.5]


def test_no_items_is_an_error(random_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at least one episode to fine-tune on, got none"):
        fine_tune(random_model, [], SftSettings(), tmp_path / "model")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", r"line 1: expected an example with input_ids .* \(JSONDecodeError"),
        ('{"text": "x"}', "line 1: .*KeyError: 'input_ids'"),
        ('{"input_ids": [1, 2], "loss_mask": [1]}', "line 1: .*a mask of 2 numbers"),
        ('{"input_ids": [], "loss_mask": []}', "line 1: .*an example without ids"),
        ('{"input_ids": [99999], "loss_mask": [1]}', "line 1: the id 99999 is not one of"),
    ],
)
def test_broken_file_is_an_error(
    random_model: Path, tmp_path: Path, line: str, message: str
) -> None:
    (tmp_path / "sft.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_items(tmp_path / "sft.jsonl", load_model(random_model)[1])


def test_keep_right_counts_what_it_leaves(world: FactWorld, setup: Setup) -> None:
    records = records_of(world, setup, Habits(search=0.5))
    right = [r for r in records if r.scores["em"] == 1]
    guessed = [r for r in right if r.result.num_calls == 0]
    assert 0 < len(guessed) < len(right) < len(records)
    every = keep_right(records, RejectionSettings())
    assert every.kept == tuple(right)
    assert every.left_out == {"em below 1": len(records) - len(right)}
    some = keep_right(records, RejectionSettings(searched=True))
    assert len(some.kept) == len(right) - len(guessed)
    assert some.left_out == {**every.left_out, "did not search": len(guessed)}


def test_rejection_samples_selects_and_trains(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    tokenizer = load_model(random_model)[1]
    guesses = records_of(world, setup, Habits(search=0.0))
    items = [TrainItem.of(token_sample(r.result.segments, tokenizer)) for r in guesses]
    taught = SftSettings(epochs=30, learning_rate=1e-2)
    fine_tune(random_model, items, taught, tmp_path / "taught")  # now and then it is right
    settings = RejectionSettings(questions=12, samples=4, sft=SftSettings(epochs=1))
    arguments = (tmp_path / "taught", world.split("train"), setup, settings, tmp_path / "out")
    selection = train_rejection(*arguments)
    assert len(read_run(tmp_path / "out" / "run").records) == 48
    assert {record.scores["em"] for record in selection.kept} == {1.0}
    written = json.loads((tmp_path / "out" / "model" / "fine_tuning.json").read_text())
    assert written["episodes"] == len(selection.kept) > 0
    assert train_rejection(*arguments) == selection  # nothing is made twice


def test_rejection_without_a_right_episode_is_an_error(
    random_model: Path, world: FactWorld, setup: Setup, tmp_path: Path
) -> None:
    settings = RejectionSettings(questions=1, samples=1, max_tokens=1)
    with pytest.raises(ValueError, match="expected at least one episode to fine-tune on, got none"):
        train_rejection(random_model, world.split("train"), setup, settings, tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SftSettings(epochs=0), "epochs must be >= 1, got 0"),
        (lambda: SftSettings(learning_rate=0), "learning_rate must be > 0, got 0"),
        (lambda: RejectionSettings(samples=0), "samples must be >= 1, got 0"),
    ],
)
def test_settings_out_of_range(make: type, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_reward_of_names() -> None:
    def terms(reward: Reward) -> list[object]:
        return list(getattr(reward, "rewards", [reward]))

    assert terms(reward_of("em+searchenv.rewards:Format")) == [Outcome("em"), Format()]
    assert terms(reward_of(" f1_squad + format ")) == [Outcome("f1_squad"), Format()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emm", "no term of a reward is named 'emm'. Did you mean 'em'"),
        ("em+math:pi", "reward 'math:pi': expected an object with reads_transcript .* got float"),
    ],
)
def test_reward_of_unknown_name_is_an_error(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reward_of(name)
