"""A retrieval server that is killed in mid-training costs the step it happened in, and no other."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import RunError
from searchenv.integrations.verl.config import VerlConfig
from searchenv.integrations.verl.launch import train_verl
from searchenv.integrations.verl.log import read_log
from searchenv.questions import write_questions
from searchenv.training.settings import settings_of
from searchenv.worlds import FactWorld

BATCH, SAMPLES = 4, 4


@pytest.mark.xdist_group("verl")
def test_a_killed_server_is_reported_and_the_training_goes_on_from_its_checkpoint(
    searching_model: Path,
    index: Path,
    world: FactWorld,
    serve: Callable[..., Any],
    tmp_path: Path,
) -> None:
    questions = tmp_path / "questions.jsonl"
    write_questions(questions, world.split("train"))
    served = serve(index)
    rollout = {"n": SAMPLES, "log_prob_micro_batch_size_per_gpu": 16}
    actor = {"ppo_mini_batch_size": BATCH, "ppo_micro_batch_size_per_gpu": 16}
    lengths = {"max_prompt_length": 32, "max_response_length": 128}
    table = {
        "model": str(searching_model),
        "train": {"questions": str(questions)},
        "val": {"questions": str(questions), "limit": 4},
        "task": {"index": served.url, "max_turns": 2, "max_tokens": 24},
        "verl": {
            "data": {"train_batch_size": BATCH, **lengths},
            "actor_rollout_ref": {"actor": actor, "rollout": rollout},
            "trainer": {
                "total_training_steps": 4,
                "save_freq": 1,
                "test_freq": -1,
                "val_before_train": False,
            },
        },
    }
    config, out = settings_of(VerlConfig, table), tmp_path / "out"
    learnt: list[int] = []

    def kill_after_two(step: int, metrics: Mapping[str, float]) -> None:
        learnt.append(step)
        if step == 2:
            served.stop(signal.SIGKILL)

    with pytest.raises(RunError, match="too many samples of step") as caught:
        train_verl(config, out, device="cpu", on_step=kill_after_two)
    saved = max(learnt)
    assert saved in (2, 3)  # the third may have been under way
    assert f"step {saved} is saved: the same call goes on from there" in str(caught.value)
    assert served.url.removeprefix("http://") in str(caught.value)
    assert any(line["stop"] == "tool_error" for line in read_log(out / "episodes"))

    port = served.url.rpartition(":")[2]
    serve(index, "--port", port)
    learnt.clear()
    outcome = train_verl(config, out, device="cpu", on_step=lambda step, _: learnt.append(step))
    assert learnt == list(range(saved + 1, 5))
    assert (outcome.steps, outcome.failed) == (4, 0)
