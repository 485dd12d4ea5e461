"""The tiny model before and after GRPO in verl, and after rejection sampling, over three seeds.

    python agents/verl_grpo/experiment.py --work build/verl_grpo

It goes on where it was interrupted, writes a row a finished arm and seed into ``rows`` beside it,
and then the tables of README.md and ``curve.png``. ``--tables`` writes only those. ``--share DIR``
prints where the time of a training went that ``searchenv train verl`` left in ``DIR``.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from searchenv.evaluation import circumstances, read_run
from searchenv.training.arms import Experiment, measures_of
from searchenv.training.pretrain import pretrain
from searchenv.training.settings import read_settings
from searchenv.training.tables import fill_tables, table_of

HERE = Path(__file__).parent
ARMS = ("base", "verl_grpo", "rejection", "rejection_searched")
SEEDS = (0, 1, 2)
FIRST_WORLD = 20001
EXAM_WORLDS = (30001, 30002)
TEMPERATURES = {"sampled": 1.0, "greedy": 0.0}
REJECTION = """seed = {seed}
questions = 960
samples = 8
searched = {searched}
sft = {{ epochs = 6, batch_size = 32, learning_rate = 3e-4, seed = {seed} }}
"""


def main() -> None:
    """Runs what has no row, then writes tables and curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/verl_grpo"))
    parser.add_argument("--tables", action="store_true", help="only tables and curve")
    parser.add_argument("--share", type=Path, metavar="DIR", help="only the shares of a training")
    arguments = parser.parse_args()
    if arguments.share:
        print(json.dumps(shares(arguments.share), indent=2))
        return
    if not arguments.tables:
        for arm in ARMS:
            for seed in SEEDS:
                path = HERE / "rows" / f"{arm}-{seed}.json"
                if not path.exists():
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(json.dumps(run(arm, seed, arguments.work)) + "\n")
    rows = [json.loads(p.read_text()) for a in ARMS for p in sorted(HERE.glob(f"rows/{a}-*.json"))]
    fill_tables(HERE / "README.md", {name: table_of(rows, name) for name in TEMPERATURES})
    draw([row for row in rows if row["arm"] == "verl_grpo"])


def run(arm: str, seed: int, work: Path) -> dict[str, Any]:
    """Trains an arm and examines it; returns its row."""
    folder = work / f"{arm}-{seed}"
    model = train(arm, seed, work, folder)
    return {
        "arm": arm,
        "seed": seed,
        **{name: exam(model, t, seed, work, folder) for name, t in TEMPERATURES.items()},
        "steps": list(steps(folder)),
        "spent": spent(folder),
        **circumstances(["torch", "transformers", "verl"]),
    }


def train(arm: str, seed: int, work: Path, folder: Path) -> Path:
    """Returns the folder of the arm's model."""
    base = pretrained(work)
    if arm == "base":
        return base
    world = made_world(FIRST_WORLD + seed, work)
    questions, index = str(world / "questions.jsonl"), str(world / "index")
    if not (folder / "model").exists():
        if arm == "verl_grpo":
            changes = {
                "model": base,
                "train.questions": questions,
                "val.questions": questions,
                "task.index": index,
                "task.seed": seed,
                "verl.data.seed": seed,
                "verl.actor_rollout_ref.actor.data_loader_seed": seed,
            }
            words = ["train", "verl", "--config", str(HERE / "tiny_cpu.yaml"), "--device", "cpu"]
            call(*words, "--out", str(folder), *(f"{k}={v}" for k, v in changes.items()))
        else:
            settings = folder.with_suffix(".toml")
            searched = str(arm == "rejection_searched").lower()
            settings.write_text(REJECTION.format(seed=seed, searched=searched))
            words = ["train", "rejection", "--model", str(base), "--config", str(settings)]
            call(*words, "--questions", questions, "--index", index, "--out", str(folder))
    return folder / "model"


def pretrained(work: Path) -> Path:
    """Returns the base model: the one of agents/tiny_lm, trained here if it is not there yet."""
    folder = work / "base"
    if not folder.exists():
        experiment = read_settings(Experiment, HERE.parent / "tiny_lm" / "arms.toml")
        pretrain(experiment.base, folder, progress=True)
    return folder


def made_world(seed: int, work: Path) -> Path:
    """Returns the folder of a world with its questions and index."""
    folder = work / f"world-{seed}"
    if not folder.exists():
        call("train", "world", "--out", str(folder), "--seed", str(seed))
    return folder


def exam(model: Path, temperature: float, seed: int, work: Path, folder: Path) -> dict[str, Any]:
    """Returns each measure of each held-out question, world by world, through the runner."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in EXAM_WORLDS:
        world, out = made_world(number, work), folder / f"exam-{number}-{temperature:g}"
        files = ["--questions", str(world / "questions.jsonl"), "--index", str(world / "index")]
        words = ["bench", "run", *files, "--policy", "model", "--model", str(model)]
        limits = ["--split", "test", "--limit", "256", "--max-turns", "5", "--max-tokens", "24"]
        how = ["--temperature", f"{temperature:g}", "--seed", str(seed)]
        batch = ["--batch-size", "256", "--num-envs", "256"]
        scorers = ["--scorer", "em", "f1_squad"]
        call(*words, *limits, *how, *batch, *scorers, "--out", str(out))
        for record in read_run(out).records:
            for name, value in measures_of(record).items():
                found[name].append(value)
    return found


def steps(folder: Path) -> Iterator[dict[str, float]]:
    """Yields what verl noted of each step."""
    for path in sorted(folder.glob("metrics/*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            data: Mapping[str, float] = row["data"]
            kept = {
                "reward": data.get("critic/score/mean"),
                "turns": data.get("num_turns/mean"),
                "gap": data.get("training/rollout_probs_diff_max"),
                "step_s": data.get("timing_s/step"),
                "generation_s": data.get("timing_s/gen"),
                "update_s": data.get("timing_s/update_actor"),
                "val_em": next((v for k, v in data.items() if k.endswith("em/mean@1")), None),
            }
            yield {"step": row["step"], **{k: v for k, v in kept.items() if v is not None}}


def spent(folder: Path) -> dict[str, float]:
    """Returns the seconds of environment and retrieval in training steps."""
    total = {"environment": 0.0, "retrieval": 0.0}
    for path in folder.glob("episodes/*.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if row["split"] == "train":
                for name, seconds in row["seconds"].items():
                    total[name] += seconds
    return total


def shares(folder: Path) -> dict[str, float]:
    """Returns the shares of the time of all steps; what is left over are verl's other parts."""
    rows = list(steps(folder))
    total = sum(row.get("step_s", 0.0) for row in rows)
    parts = {
        name: sum(row.get(f"{name}_s", 0.0) for row in rows) for name in ("generation", "update")
    }
    spent_s = spent(folder)
    parts["generation"] -= sum(spent_s.values())  # verl times the whole roll-out
    return {"seconds": total, **{name: s / total for name, s in {**parts, **spent_s}.items()}}


def draw(rows: list[dict[str, Any]]) -> None:
    """Draws the mean reward of each step, a line a seed."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 3.6), layout="constrained")
    for row in rows:
        found = [(s["step"], s["reward"]) for s in row["steps"] if "reward" in s]
        axes.plot(*zip(*found, strict=True), label=f"seed {row['seed']}", linewidth=1.4)
    axes.set(xlabel="step", ylabel="mean EM of 128 training episodes", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(HERE / "curve.png", dpi=150)


def call(*words: str) -> None:
    """Runs a command of searchenv."""
    subprocess.run([sys.executable, "-m", "searchenv.cli", *words], check=True)


if __name__ == "__main__":
    main()
