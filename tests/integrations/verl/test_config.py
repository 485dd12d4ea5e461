"""One file says what verl trains on; what verl would hang on or take quietly is an error before."""

import tomllib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchenv.cli import main
from searchenv.errors import MissingDependencyError
from searchenv.integrations.verl import checks
from searchenv.integrations.verl.checks import check_packages, check_plan, check_prompts
from searchenv.integrations.verl.config import QuestionSet, VerlConfig, compose, read_config
from searchenv.integrations.verl.settings import LoopSettings
from searchenv.protocols import get_protocol
from searchenv.systems.r1_searcher import TRAIN_K, TRAIN_LIMITS, TURN_TOKENS
from searchenv.training.settings import settings_of
from searchenv.types import Question

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn

    from searchenv.integrations.verl import algorithms  # noqa: F401  (registers them)
    from searchenv.integrations.verl.losses import clip_loss

RECIPES = Path(__file__).parents[3] / "agents"
GPUS = {
    "verl_grpo/qwen2.5-3b_1node": 2560,
    "verl_grpo/qwen2.5-7b_4node": 2560,
    "r1_searcher/qwen2.5-7b_stage1": 12288,
    "r1_searcher/qwen2.5-7b_stage2": 12288,
    "r1_searcher/llama3.1-8b_stage1": 12288,
    "r1_searcher/llama3.1-8b_stage2": 12288,
}
"""The responses of configurations for clusters, in tokens."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text("model: m\ntask: {k: 5}\nverl: {data: {train_batch_size: 8}}\n")
    return path


def config_of(**verl: Any) -> VerlConfig:
    return settings_of(VerlConfig, {"model": "m", "task": {"max_tokens": 24}, "verl": verl})


def test_a_file_and_the_changes_of_the_command_line(file: Path) -> None:
    config = read_config(file, ("task.seed=7", "verl.trainer.total_epochs=2"))
    assert config == VerlConfig(
        model="m",
        task=LoopSettings(k=5, seed=7),
        train=QuestionSet("demo"),
        val=QuestionSet("demo", split="dev", limit=256),
        verl={"data": {"train_batch_size": 8}, "trainer": {"total_epochs": 2}},
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: m\ntask: {protocl: react}\n", "protocl"),
        ("model: m\ntask: {k: 0}\n", "k must be >= 1, got 0"),
        ("model: m\ntask: {retrieval: cloud}\n", "retrieval must be process or node, got 'cloud'"),
        ("model: m\ntask: {max_failed: 2}\n", "max_failed must be in [0, 1], got 2"),
        ("model: m\ntask: {max_searches: -2}\n", "max_searches must be >= -1, got -2"),
        ("task: {k: 3}\n", "model"),
        ("- a\n", "expected a table such as model: FOLDER, got a list"),
        ("model: [\n", "train.yaml"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match=r"train\.yaml") as caught:
        read_config(file)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("verl", "says"),
    [
        ({"trainer": {"total_step": 3}}, "verl has no key trainer.total_step. Did you mean"),
        ({"traner": {"nnodes": 1}}, "verl has no key traner. Did you mean"),
        (
            {"actor_rollout_ref": {"actor": {"optim": {"learning_rate": 1e-6}}}},
            "verl has no key actor_rollout_ref.actor.optim.learning_rate.",
        ),
    ],
)
def test_a_key_that_verl_does_not_have_is_an_error(
    verl: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="verl has no key") as caught:
        compose(config_of(**verl), tmp_path, "cpu")
    assert says in str(caught.value)


def test_the_file_wins_over_our_defaults_and_verls(tmp_path: Path) -> None:
    verl = {
        "actor_rollout_ref": {"rollout": {"n": 3}, "model": {"override_config": {"any": 1}}},
        "ray_kwargs": {"ray_init": {"num_cpus": 8, "dashboard_port": 9000}},
        "trainer": {"default_local_dir": "elsewhere"},
    }
    plan = compose(config_of(**verl), tmp_path, "cpu")
    rollout = plan.actor_rollout_ref.rollout
    assert (rollout.n, rollout.name, rollout.calculate_log_probs) == (3, "searchenv_cpu", True)
    assert plan.actor_rollout_ref.model.override_config == {
        "attn_implementation": "sdpa",
        "any": 1,
    }
    assert plan.ray_kwargs.ray_init.num_cpus == 8
    assert plan.algorithm.adv_estimator == "grpo"
    assert (plan.trainer.device, plan.trainer.default_local_dir) == (
        "cpu",
        str(tmp_path / "checkpoints"),
    )
    assert compose(config_of(), tmp_path, "cuda").actor_rollout_ref.rollout.name == "vllm"


@pytest.mark.parametrize(
    ("verl", "device", "says"),
    [
        ({"trainer": {"use_v1": False}}, "cpu", "use_v1 must be true"),
        ({"actor_rollout_ref": {"actor": {"strategy": "fsdp"}}}, "cpu", "must be fsdp2"),
        ({"actor_rollout_ref": {"rollout": {"temperature": 0.7}}}, "cpu", "must be 1, got 0.7"),
        ({"ray_kwargs": {"ray_init": {"num_cpus": 4}}}, "cpu", "must be >= 6, got 4"),
        ({"actor_rollout_ref": {"rollout": {"name": "searchenv_cpu"}}}, "cuda", "--device cpu"),
        ({"data": {"max_response_length": 16}}, "cpu", "task.max_tokens is 24, more than the 16"),
    ],
)
def test_what_verl_would_hang_on_is_an_error(
    verl: dict[str, Any], device: str, says: str, tmp_path: Path
) -> None:
    config = config_of(**verl)
    with pytest.raises(ValueError, match=says):
        check_plan(compose(config, tmp_path, device), config, device)


def test_texts_beside_the_episodes_change_trainer_and_loss(tmp_path: Path) -> None:
    config = settings_of(VerlConfig, {"model": "m", "task": {"auxiliary": "math:pi"}})
    plan = compose(config, tmp_path, "cuda")
    check_plan(plan, config, "cuda")
    assert plan.trainer.v1.trainer_mode == "searchenv_sync"
    assert plan.actor_rollout_ref.actor.policy_loss.loss_mode == "searchenv_clip"
    assert compose(config_of(), tmp_path, "cuda").trainer.v1.trainer_mode == "sync"


@pytest.mark.parametrize(
    ("verl", "says"),
    [
        ({"trainer": {"v1": {"trainer_mode": "sync"}}}, "trainer_mode searchenv_sync, got sync"),
        (
            {"actor_rollout_ref": {"actor": {"policy_loss": {"loss_mode": "vanilla"}}}},
            "such as searchenv_clip in .* got vanilla",
        ),
        ({"actor_rollout_ref": {"actor": {"shuffle": True}}}, "shuffle to be false"),
    ],
)
def test_texts_that_the_loss_would_not_see_are_an_error(
    verl: dict[str, Any], says: str, tmp_path: Path
) -> None:
    table = {"model": "m", "task": {"auxiliary": "math:pi"}, "verl": verl}
    config = settings_of(VerlConfig, table)
    with pytest.raises(ValueError, match=says):
        check_plan(compose(config, tmp_path, "cuda"), config, "cuda")


def test_the_losses_that_do_not_see_texts_are_all_of_verls() -> None:
    from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY

    of_verl = {n for n, f in POLICY_LOSS_REGISTRY.items() if f.__module__.startswith("verl.")}
    assert set(checks._LOSSES_OF_VERL) == of_verl


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    config = settings_of(VerlConfig, {"model": str(tmp_path / "no"), "task": {"max_tokens": 24}})
    with pytest.raises(ValueError, match="expected a folder with a model, found none at"):
        check_plan(compose(config, tmp_path, "cpu"), config, "cpu")


def test_a_prompt_that_is_too_long_is_an_error(random_model: Path, tmp_path: Path) -> None:
    table = {"model": str(random_model), "verl": {"data": {"max_prompt_length": 2}}}
    config = settings_of(VerlConfig, table)
    question = Question("q7", "Bado 's tutor ?", ("Rupo",))
    with pytest.raises(ValueError, match=r"prompt of question 'q7' has .* which is 2, or leave"):
        check_prompts(compose(config, tmp_path, "cpu"), config, (question,))


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        ({"verl": None}, r"needs verl 0.9.1: pip install"),
        ({"verl": "0.8.0"}, "expected verl 0.9.1, got 0.8.0"),
        ({"verl": "0.9.1", "trl": "1.13.0"}, r'removed: pip install "trl<1.13"'),
    ],
)
def test_versions_that_do_not_live_together_are_an_error(
    versions: dict[str, str | None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_version", versions.get)
    with pytest.raises(MissingDependencyError, match=says):
        check_packages()


def test_the_command_says_so_before_it_reads_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "_version", {}.get)
    assert main(["train", "verl", "--config", "no.yaml", "--out", "no"]) == 2
    assert 'pip install "searchenv[verl]"' in capsys.readouterr().err


def test_an_older_verl_that_was_tried_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_version", {"verl": "0.9.0"}.get)
    with pytest.warns(UserWarning, match=r"written for verl 0.9.1; this is 0.9.0"):
        check_packages()


@pytest.mark.parametrize("name", GPUS)
def test_the_recipes_for_clusters_fit_verls_schema(name: str, tmp_path: Path) -> None:
    from verl.trainer.ppo.utils import need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = read_config(RECIPES / f"{name}.yaml")
    plan = compose(config, tmp_path, "cuda")
    check_plan(plan, config, "cuda")
    validate_config(plan, use_reference_policy=need_reference_policy(plan), use_critic=False)
    for part in (
        plan.actor_rollout_ref.actor,
        plan.actor_rollout_ref.rollout,
        plan.algorithm,
    ):
        omega_conf_to_dataclass(part)
    assert plan.actor_rollout_ref.rollout.response_length == GPUS[name]
    assert get_protocol(config.task.protocol).stop
    assert config.task.make_reward()


@pytest.mark.parametrize("name", [name for name in GPUS if name.startswith("r1_searcher")])
def test_r1_searchers_published_numbers(name: str, tmp_path: Path) -> None:
    config = read_config(RECIPES / f"{name}.yaml")
    plan = compose(config, tmp_path, "cuda")
    actor, rollout = plan.actor_rollout_ref.actor, plan.actor_rollout_ref.rollout
    assert plan.data.train_batch_size * rollout.n == 64 * 16
    assert actor.ppo_mini_batch_size * rollout.n == 256
    assert (actor.optim.lr, actor.clip_ratio, actor.entropy_coeff) == (2e-6, 0.2, 0)
    assert (rollout.temperature, rollout.top_p) == (1.0, 0.95)
    assert plan.algorithm.adv_estimator == "searchenv_token_reinforce++_baseline"
    assert get_adv_estimator_fn(plan.algorithm.adv_estimator)
    assert get_policy_loss_fn(actor.policy_loss.loss_mode) is clip_loss
    divergence = plan.algorithm.use_kl_in_reward and plan.algorithm.kl_ctrl.kl_coef
    assert divergence == (1e-4 if "llama" in name else False)
    assert not actor.use_kl_loss
    limits = config.task.limits(len)
    assert replace(limits, counter=TRAIN_LIMITS.counter) == TRAIN_LIMITS
    assert (config.task.k, config.task.max_tokens) == (TRAIN_K, TURN_TOKENS)


@pytest.mark.parametrize("name", ["verl_grpo", "r1_searcher"])
def test_the_recipe_for_a_cpu_fits(name: str, tmp_path: Path) -> None:
    config = read_config(RECIPES / name / "tiny_cpu.yaml")
    plan = compose(config, tmp_path, "cpu")
    check_plan(plan, config, "cpu")
    assert plan.data.train_batch_size * plan.actor_rollout_ref.rollout.n == 128


def test_the_base_of_r1_searchers_recipe_is_that_of_its_experiment() -> None:
    folder = RECIPES / "r1_searcher"
    experiment = tomllib.loads((folder / "arms.toml").read_text(encoding="utf-8"))
    assert (
        tomllib.loads((folder / "tiny_base.toml").read_text(encoding="utf-8"))
        == (experiment["base"])
    )
