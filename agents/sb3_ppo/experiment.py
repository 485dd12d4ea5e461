"""A small policy learns to search the demo world with PPO, and is held against the rules.

    python agents/sb3_ppo/experiment.py --work build/sb3_ppo

It goes on where it was interrupted, writes a row a finished seed into ``rows`` beside it, and then
the tables of README.md and ``curve.png``. ``--seeds 7 --rows build/rows`` trains one more model and
leaves the results of this folder alone; ``--tables`` writes only tables and curve.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback
from stable_baselines3.common.utils import LinearSchedule

from searchenv import Outcome, SearchQAVectorEnv, evaluate
from searchenv.evaluation import EvaluationReport, circumstances
from searchenv.integrations.sb3 import SB3Policy, SB3VecEnv
from searchenv.integrations.sb3_network import ChoicePolicy
from searchenv.policies import IterativePolicy, Policy, get_policy
from searchenv.rewards import Composite, GoldRecall
from searchenv.training.tables import fill_tables, interval
from searchenv.types import Question, Tool
from searchenv.worlds import demo_questions

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
ENGINE, HITS = "bm25s", 5
STEPS = 120_000
ENVS, ROLLOUT = 32, 32
EVERY = 8  # rollouts between two checkpoints, and two points of the curve
LEARNING_RATE = 1e-3
BASELINES = ("random", "one_shot", "iterative", "oracle")
MEASURES = ("f1_hotpot", "em", "gold_recall", "searches")
PACKAGES = ("stable_baselines3", "torch", "gymnasium", "bm25s", "numpy")


def main() -> None:
    """Runs what has no row, then writes tables and curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/sb3_ppo"))
    parser.add_argument("--rows", type=Path, default=HERE / "rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS, help="moves to learn from")
    parser.add_argument("--tables", action="store_true", help="only tables and curve")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.rows.mkdir(parents=True, exist_ok=True)
    if not arguments.tables:
        write_row(arguments.rows / "baselines.json", measure_baselines)
        for seed in arguments.seeds:
            folder = arguments.work / f"ppo-{seed}"
            path = arguments.rows / f"ppo-{seed}.json"
            write_row(path, lambda seed=seed, folder=folder: run(seed, folder, arguments.steps))
    rows = [json.loads(path.read_text()) for path in sorted(arguments.rows.glob("ppo-*.json"))]
    baselines = json.loads((arguments.rows / "baselines.json").read_text())
    tables = {"test": table(rows, baselines), "types": table_of_types(rows, baselines)}
    if arguments.rows == HERE / "rows":
        fill_tables(HERE / "README.md", tables)
    else:
        print("\n\n".join(tables.values()))
    draw(rows, baselines, arguments.rows.parent / "curve.png")


def write_row(path: Path, make: Any) -> None:
    """Writes what ``make`` returns, unless it is there."""
    if not path.exists():
        path.write_text(json.dumps(make()) + "\n")


def split(name: str) -> list[Question]:
    """Returns the questions of a split of the demo world."""
    return [question for question in demo_questions() if question.metadata["split"] == name]


def make_env(num_envs: int) -> SearchQAVectorEnv:
    """Returns episodes of the training questions."""
    reward = Composite(Outcome("f1_hotpot"), GoldRecall(0.3))
    return SearchQAVectorEnv(
        num_envs, autoreset_mode="Disabled", engine=ENGINE, k=HITS, split="train", reward=reward
    )


def run(seed: int, folder: Path, steps: int) -> dict[str, Any]:
    """Trains a model and examines it; returns its row."""
    env = make_env(ENVS)
    model = train(env, seed, folder, steps)
    curve = read_curve(folder)
    return {
        "arm": "ppo",
        "seed": seed,
        "steps": model.num_timesteps,
        "seconds": curve[-1]["seconds"],
        "cpu_seconds": curve[-1]["cpu_seconds"],
        "test": exam(SB3Policy(model), split("test"), env.task.tools),
        "dev": exam(SB3Policy(model), split("dev"), env.task.tools),
        "curve": curve,
        **circumstances(PACKAGES),
    }


def train(env: SearchQAVectorEnv, seed: int, folder: Path, steps: int) -> PPO:
    """Returns the model after ``steps`` moves; goes on from the last checkpoint in the folder."""
    venv = SB3VecEnv(env)
    saved = sorted(folder.glob("model_*_steps.zip"), key=steps_of)
    if saved:
        model = PPO.load(saved[-1], env=venv, device="cpu")
        venv.seed(seed + model.num_timesteps)  # other episodes than those already learnt from
    else:
        model = PPO(
            ChoicePolicy,
            venv,
            n_steps=ROLLOUT,
            batch_size=128,
            n_epochs=6,
            learning_rate=LinearSchedule(LEARNING_RATE, 0.0, 1.0),
            ent_coef=0.015,
            gamma=0.99,
            policy_kwargs={"optimizer_kwargs": {"weight_decay": 1e-4}},
            seed=seed,
            device="cpu",
            tensorboard_log=str(folder / "tensorboard"),
            stats_window_size=500,
        )
    checkpoints = CheckpointCallback(EVERY * ROLLOUT, str(folder), name_prefix="model")
    callbacks = [checkpoints, Curve(env, folder)]
    model.learn(
        max(0, steps - model.num_timesteps),
        callback=CallbackList(callbacks),
        reset_num_timesteps=not saved,
        progress_bar=True,
    )
    return model


class Curve(BaseCallback):
    """Notes the training reward and dev F1 in ``curve.jsonl``, before every eighth rollout."""

    def __init__(self, env: SearchQAVectorEnv, folder: Path) -> None:
        super().__init__()
        self._tools = env.task.tools
        self._questions = split("dev")
        self._folder = folder
        self._rollouts = 0

    def _on_training_start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_curve(self._folder) if row["step"] <= self.num_timesteps]
        lines = [json.dumps(row) + "\n" for row in kept]
        (self._folder / "curve.jsonl").write_text("".join(lines))
        before = kept[-1] if kept else {"step": -1, "seconds": 0.0, "cpu_seconds": 0.0}
        self._noted: int = before["step"]
        self._start = time.monotonic() - before["seconds"]
        self._cpu_start = time.process_time() - before["cpu_seconds"]

    def _on_rollout_start(self) -> None:
        if self._rollouts % EVERY == 0:
            self._note()
        self._rollouts += 1

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._note()

    def _note(self) -> None:
        if self.num_timesteps <= self._noted:
            return
        report = evaluate(SB3Policy(self.model), self._questions, tools=self._tools)
        episodes = self.model.ep_info_buffer or ()
        f1 = report.means["f1_hotpot"].mean
        self.logger.record("dev/f1_hotpot", f1)
        row = {
            "step": self.num_timesteps,
            "seconds": time.monotonic() - self._start,
            "cpu_seconds": time.process_time() - self._cpu_start,
            "reward": sum(e["r"] for e in episodes) / len(episodes) if episodes else None,
            "dev_f1_hotpot": f1,
            "dev_searches": report.means["searches"].mean,
        }
        with (self._folder / "curve.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def steps_of(checkpoint: Path) -> int:
    """Returns the moves that a checkpoint has learnt from."""
    return int(checkpoint.stem.split("_")[1])


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Returns what was noted of a training."""
    path = folder / "curve.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def exam(
    policy: Policy, questions: Sequence[Question], tools: Mapping[str, Tool]
) -> dict[str, list[float]]:
    """Returns each measure of each question."""
    report: EvaluationReport = evaluate(policy, questions, tools=tools)
    results = report.results
    return {
        **{name: [r.scores[name] for r in results] for name in ("f1_hotpot", "em")},
        "gold_recall": [r.gold_recall or 0.0 for r in results],
        "searches": [r.calls.get("search", 0) for r in results],
    }


def measure_baselines() -> dict[str, Any]:
    """Returns the row of all policies that learn nothing, ``iterative`` at its best on train."""
    tools = make_env(1).task.tools
    tuned = {n: mean(exam(IterativePolicy(n), split("train"), tools)) for n in range(1, 8)}
    best = max(tuned, key=lambda n: (tuned[n], n))
    found: dict[str, Any] = {"max_searches": best, "train_f1_hotpot": tuned}
    for part in ("test", "dev"):
        questions = split(part)
        found[part] = {
            name: exam(
                IterativePolicy(best) if name == "iterative" else get_policy(name, questions),
                questions,
                tools,
            )
            for name in BASELINES
        }
    return {**found, "types": [q.metadata["type"] for q in split("test")], **circumstances()}


def mean(measured: Mapping[str, Sequence[float]]) -> float:
    """Returns the mean F1."""
    values = measured["f1_hotpot"]
    return sum(values) / len(values)


def table(rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]) -> str:
    """Returns the Markdown table of the test questions."""
    lines = [f"| policy | seeds | {' | '.join(MEASURES)} |", "| --- " * (len(MEASURES) + 2) + "|"]
    arms = {name: [baselines["test"][name]] for name in BASELINES[:3]}
    arms["ppo"] = [row["test"] for row in rows]
    arms["oracle"] = [baselines["test"]["oracle"]]
    for name, found in arms.items():
        cells = [cell([each[measure] for each in found]) for measure in MEASURES]
        lines.append(f"| {name} | {len(found)} | {' | '.join(cells)} |")
    theirs = baselines["test"]["iterative"]
    cells = [
        cell([[a - b for a, b in zip(row["test"][m], theirs[m], strict=True)] for row in rows])
        for m in MEASURES
    ]
    lines.append(f"| ppo minus iterative, paired | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_of_types(rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any]) -> str:
    """Returns the Markdown table of F1 by type of test question."""
    places: dict[str, list[int]] = defaultdict(list)
    for i, kind in enumerate(baselines["types"]):
        places[kind].append(i)
    lines = ["| type | n | iterative | ppo |", "| --- | --- | --- | --- |"]
    for kind, at in sorted(places.items()):
        theirs, *ours = (
            [found["f1_hotpot"][i] for i in at]
            for found in (baselines["test"]["iterative"], *(row["test"] for row in rows))
        )
        lines.append(f"| {kind} | {len(at)} | {cell([theirs])} | {cell(ours)} |")
    return "\n".join(lines)


def cell(values: Sequence[Sequence[float]]) -> str:
    """Returns the mean of (seeds, questions) with its interval over both."""
    found = interval(values)
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def draw(rows: Sequence[Mapping[str, Any]], baselines: Mapping[str, Any], picture: Path) -> None:
    """Draws dev F1 over the moves, a line a seed, and that of the rules."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 3.6), layout="constrained")
    for row in rows:
        found = [(point["step"], point["dev_f1_hotpot"]) for point in row["curve"]]
        axes.plot(*zip(*found, strict=True), label=f"PPO, seed {row['seed']}", linewidth=1.4)
    for name, style in (("iterative", "--"), ("one_shot", ":")):
        axes.axhline(mean(baselines["dev"][name]), color="0.4", linestyle=style, label=name)
    axes.set(xlabel="moves learnt from", ylabel="F1 of 100 dev questions", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, ncols=2)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main()
