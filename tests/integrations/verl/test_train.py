"""verl's own trainer, in processes of its own, with a model of random weights."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import RunError
from searchenv.integrations.verl.config import VerlConfig
from searchenv.integrations.verl.launch import train_verl
from searchenv.integrations.verl.log import read_log
from searchenv.questions import write_questions
from searchenv.training.advantages import Advantage, grouped_advantages
from searchenv.training.settings import settings_of
from searchenv.worlds import FactWorld

STEPS, BATCH, SAMPLES, UPDATES = 3, 4, 4, 2


@pytest.fixture(scope="module")
def config(
    tmp_path_factory: pytest.TempPathFactory, random_model: Path, index: Path, world: FactWorld
) -> VerlConfig:
    questions = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    write_questions(questions, world.split("train"))
    table = {
        "model": str(random_model),
        "train": {"questions": str(questions)},
        "val": {"questions": str(questions), "limit": 4},
        "task": {
            "index": str(index),
            "reward": "searchenv_probe:Length",
            "auxiliary": "searchenv_probe:memory",
            "max_turns": 3,
            "max_tokens": 12,
        },
        "verl": {
            "algorithm": {"adv_estimator": "searchenv_grpo"},
            "data": {
                "train_batch_size": BATCH,
                "max_prompt_length": 32,
                "max_response_length": 128,
            },
            "actor_rollout_ref": {
                "actor": {
                    "optim": {"lr": 1e-2},
                    "ppo_mini_batch_size": BATCH // UPDATES,
                    "ppo_micro_batch_size_per_gpu": BATCH * SAMPLES // UPDATES,
                    "policy_loss": {"loss_mode": "probe"},
                },
                "rollout": {"n": SAMPLES, "log_prob_micro_batch_size_per_gpu": 16},
            },
            "trainer": {
                "total_training_steps": STEPS,
                "save_freq": STEPS,
                "test_freq": -1,
                "val_before_train": False,
            },
        },
    }
    return settings_of(VerlConfig, table)


@pytest.mark.xdist_group("verl")
def test_the_real_trainer_trains_what_the_policy_wrote_and_nothing_else(
    config: VerlConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules, out, probe = tmp_path / "modules", tmp_path / "out", tmp_path / "probe.jsonl"
    modules.mkdir()
    shutil.copy(Path(__file__).with_name("probe.py"), modules / "searchenv_probe.py")
    monkeypatch.setenv("PYTHONPATH", str(modules), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(modules))
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "searchenv_probe")
    monkeypatch.setenv("PROBE_FILE", str(probe))
    config.verl["trainer"]["rollout_data_dir"] = str(tmp_path / "dump")
    steps: dict[int, Mapping[str, float]] = {}

    outcome = train_verl(config, out, device="cpu", on_step=steps.__setitem__)

    assert (outcome.steps, outcome.failed, sorted(steps)) == (STEPS, 0, [1, 2, 3])
    for metrics in steps.values():
        assert metrics["training/rollout_probs_diff_max"] < 1e-6

    log = (out / "verl.log").read_text(encoding="utf-8", errors="replace")
    changes = [float(found) for found in re.findall(r"largest change (\S+),", log)]
    assert changes[0] == 0
    assert len(changes) == 1 + STEPS
    assert min(changes[1:]) > 0

    played = {f"{line['uid']}_{line['session']}_0": line for line in read_log(out / "episodes")}
    assert len(played) == STEPS * BATCH * SAMPLES
    assert set(Counter(line["uid"] for line in played.values()).values()) == {SAMPLES}
    for step, metrics in steps.items():
        episodes = [line for line in played.values() if line["step"] == step]
        texts = sum(line["texts"] for line in episodes)
        assert 0 < texts < len(episodes)
        assert metrics["actor/sft_items"] == texts
        assert metrics["response_length/mean"] == pytest.approx(
            sum(line["response_tokens"] for line in episodes) / len(episodes)
        )
        noted = lines(probe)
        assert len(noted) == 2 * UPDATES * STEPS  # a part of episodes and one of texts
        check_updates(noted[2 * UPDATES * (step - 1) :][: 2 * UPDATES], episodes, texts)
    for step in steps:
        dumped = lines(tmp_path / "dump" / f"{step}.jsonl")
        assert len(dumped) == BATCH * SAMPLES
        assert {line["step"] for line in dumped} == {step}
        for line in dumped:
            assert line["score"] == pytest.approx(played[line["uid"]]["reward"], abs=1e-6)
        mean = sum(line["score"] for line in dumped) / len(dumped)
        assert steps[step]["critic/score/mean"] == pytest.approx(mean, abs=1e-6)

    assert outcome.model == out / "model"
    config.verl["actor_rollout_ref"]["actor"]["optim"]["lr"] = 1e-3
    with pytest.raises(RunError, match=r"differs in actor_rollout_ref\.actor\.optim\.lr"):
        train_verl(config, out, device="cpu")


def check_updates(
    parts: list[dict[str, Any]], episodes: list[dict[str, Any]], num_texts: int
) -> None:
    """Checks the updates of a step, in which the texts join the episodes.

    Args:
        parts: what the loss noted of each part of an update, in their order.
        episodes: of the step.
        num_texts: likewise.
    """
    rows = BATCH * SAMPLES // UPDATES
    assert [part["rows"] for part in parts] == [rows] * len(parts)  # texts fill whole parts up
    for part in parts:
        assert part["untrained"] == 0
        assert part["both"] == 0
    assert sum(part["trained"] for part in parts) > 0
    half = len(parts) // UPDATES
    updates = [parts[:half], parts[half:]]
    texts = [sum(part["texts"] for part in update) for update in updates]
    assert texts == [num_texts - num_texts // 2, num_texts // 2]
    for update in updates:
        assert [bool(part["advantages"]) for part in update] == [True, False]
        assert sum(part["num_untrained"] for part in update) > 0
        # of each text: the weight, over its tokens, over the texts of the update
        supervised = [gradient for part in update for gradient in part["supervised"]]
        assert max(supervised) < 0
        assert sum(supervised) == pytest.approx(-0.3, rel=1e-4)
    # the texts change nothing in the comparison of the episodes
    found = sorted(value for part in parts for value in part["advantages"])
    expected = grouped_advantages(
        [line["reward"] for line in episodes], [line["uid"] for line in episodes], Advantage.GRPO
    )
    assert found == pytest.approx(sorted(abs(value) for value in expected), abs=1e-4)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
