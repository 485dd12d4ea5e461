"""A small policy learns which name to search next on real questions, beside searches that do not.

    python agents/sb3_queries/experiment.py --work build/sb3_queries

It builds what is missing under ``--work``, goes on where it was interrupted, and writes one file a
finished part into ``rows`` beside it: ``baselines``, ``rrf-SUITE``, ``queries-SEED``; then the
tables of README.md and ``curve.png``. ``--seeds 7 --rows build/rows`` trains one more model and
leaves the results of this folder alone; ``--tables`` writes only tables and curve.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv

from searchenv import Episode, RetrieverTool, SearchQAEnv
from searchenv.evaluation import circumstances
from searchenv.evaluation.play import play
from searchenv.evaluation.suites import Suite, get_suite
from searchenv.integrations.choices import Features
from searchenv.integrations.queries import NewGold, QueryReader, Vectors, passage_text
from searchenv.integrations.sb3 import DiscreteSearch, SB3Policy
from searchenv.integrations.sb3_network import ChoicePolicy
from searchenv.policies import IterativePolicy, Policy
from searchenv.protocols import get_protocol
from searchenv.retrieval import Retriever, TransformersEncoder
from searchenv.rewards import found_share
from searchenv.training.tables import fill_tables, interval
from searchenv.types import Limits, Question

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
TRAIN = {
    "hotpotqa": "train_official_format.jsonl.gz",
    "2wikimultihopqa": "train_official_format.jsonl.gz",
    "musique": "train.jsonl.gz",
}
ENVS = {"hotpotqa": 8, "2wikimultihopqa": 5, "musique": 3}  # as the training questions are shared
HITS, SEARCHES, CANDIDATES = 3, 4, 32
DEV = 200  # questions of a suite
LIMITS = Limits(max_turns=SEARCHES + 1, max_calls={"search": SEARCHES})
STEPS, ROLLOUT = 12_288, 32
EVERY = 6  # rollouts between two points of the curve
COLOURS = {"one-shot": "C0", "RRF": "C4", "in order": "C1", "iterative": "C2", "trained": "C3"}
PACKAGES = (
    "stable_baselines3", "torch", "transformers", "gymnasium", "pyserini", "faiss-cpu", "numpy",
)  # fmt: skip
Recalls = list[list[float]]
"""The share of gold passages found after 1, 2, ... searches, (questions, SEARCHES)."""


@dataclass(frozen=True)
class World:
    """A suite with its index: what is learnt from, what is held back of that, what is measured."""

    suite: Suite
    retriever: Retriever
    train: tuple[Question, ...]
    held: tuple[Question, ...]
    dev: tuple[Question, ...]


class Embeddings:
    """Vectors of MiniLM, each text encoded once and kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = TransformersEncoder("minilm")
        self._known: dict[str, Vectors] = {}
        if path.exists():
            with np.load(path) as kept:
                self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Returns one vector a text."""
        if missing := [text for text in dict.fromkeys(texts) if text not in self._known]:
            vectors = self._encoder.encode_queries(missing)
            self._known.update(zip(missing, vectors, strict=True))
        return np.stack([self._known[text] for text in texts])

    def prepare(self, world: World) -> None:
        """Encodes all questions of a suite and what a search for each of them finds."""
        questions = [question.text for question in (*world.train, *world.held, *world.dev)]
        found = world.retriever.search(questions, HITS)
        texts = [passage_text(hit.passage) for hits in found for hit in hits]
        self([*questions, *texts])
        self.save()

    def save(self) -> None:
        """Writes all vectors."""
        part = self._path.with_suffix(".part.npz")
        vectors = np.stack([*self._known.values()])
        np.savez(part, texts=np.array([*self._known], dtype=str), vectors=vectors)
        part.replace(self._path)


def main() -> None:
    """Runs what has no row, then writes tables and curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/sb3_queries"))
    parser.add_argument("--rows", type=Path, default=HERE / "rows")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--rrf", nargs="*", default=[*TRAIN], help="suites; encodes their passages")
    parser.add_argument("--steps", type=int, default=STEPS, help="moves to learn from")
    parser.add_argument("--tables", action="store_true", help="only tables and curve")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.rows.mkdir(parents=True, exist_ok=True)
    if not arguments.tables:
        measure(arguments)
    rows = {path.stem: json.loads(path.read_text()) for path in arguments.rows.glob("*.json")}
    tables = {name: table(rows, [name]) for name in TRAIN} | {"all": table(rows, [*TRAIN])}
    if arguments.rows == HERE / "rows":
        fill_tables(HERE / "README.md", tables)
    else:
        print("\n\n".join(f"{name}\n{lines}" for name, lines in tables.items()))
    draw(rows, arguments.rows.parent / "curve.png")


def measure(arguments: argparse.Namespace) -> None:
    """Writes the rows that are missing."""
    home = arguments.work / "indexes"
    worlds = {name: open_world(name, home) for name in TRAIN}
    embeddings = Embeddings(arguments.work / "embeddings.npz")

    def write(name: str, make: Callable[[], dict[str, Any]]) -> None:
        path = arguments.rows / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps({**make(), **circumstances(PACKAGES)}) + "\n")

    write("baselines", lambda: baselines(worlds))
    if any(not (arguments.rows / f"queries-{seed}.json").exists() for seed in arguments.seeds):
        for world in worlds.values():
            embeddings.prepare(world)
    reader = QueryReader(embeddings, candidates=CANDIDATES, size=20_000)
    for seed in arguments.seeds:
        folder = arguments.work / f"queries-{seed}"
        learn = partial(run, worlds, reader, seed, steps=arguments.steps, folder=folder)
        write(f"queries-{seed}", learn)
        embeddings.save()
    for name in arguments.rrf:
        write(f"rrf-{name}", partial(fused, name, worlds[name], home))


def open_world(name: str, home: Path) -> World:
    """Returns questions and BM25 index of a suite; a twelfth of the training questions is held."""
    suite = get_suite(name)
    data = suite.read()
    learnt = replace(suite, questions=(TRAIN[name],)).read().questions
    parts: tuple[list[Question], list[Question]] = ([], [])
    for question in learnt:
        parts[shuffled(question) % 12 == 0].append(question)
    retriever = suite.open(data, "BM25", home=home)
    dev = sorted(data.questions, key=shuffled)[:DEV]
    return World(suite, retriever, tuple(parts[0]), tuple(parts[1]), tuple(dev))


def shuffled(question: Question) -> int:
    """Returns a number that has nothing to do with the question, always the same."""
    return crc32(question.id.encode())


def run(
    worlds: Mapping[str, World],
    reader: QueryReader,
    seed: int,
    *,
    steps: int,
    folder: Path,
) -> dict[str, Any]:
    """Trains a model and examines it on the dev questions; returns its row."""
    envs: list[Callable[[], gym.Env[Any, Any]]] = []
    for name, world in worlds.items():
        envs += [partial(make_env, world, reader)] * ENVS[name]
    curve = Curve(worlds, reader)
    model = PPO(
        ChoicePolicy,
        DummyVecEnv(envs),
        n_steps=ROLLOUT,
        batch_size=64,
        n_epochs=8,
        learning_rate=LinearSchedule(1e-3, 0.0, 1.0),
        ent_coef=0.01,
        gamma=0.9,
        policy_kwargs={"layout": reader.layout, "optimizer_kwargs": {"weight_decay": 1e-4}},
        seed=seed,
        device="cpu",
        stats_window_size=500,
    )
    model.learn(steps, callback=curve)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.zip")
    policy = SB3Policy(model, reader)
    row = {name: exam(policy, world.dev, world.retriever) for name, world in worlds.items()}
    return {"seed": seed, "steps": model.num_timesteps, "curve": curve.points, **row}


def make_env(world: World, reader: QueryReader) -> gym.Env[Any, Any]:
    """Returns episodes of the training questions of a suite."""
    env = SearchQAEnv(index=world.retriever, questions=world.train, k=HITS, limits=LIMITS)
    return Monitor(DiscreteSearch(NewGold(env), reader))


class Curve(BaseCallback):
    """Notes recall of training episodes and of the held questions, every sixth rollout."""

    def __init__(self, worlds: Mapping[str, World], reader: QueryReader) -> None:
        super().__init__()
        self._worlds = worlds
        self._reader = reader
        self._start = time.monotonic(), time.process_time()
        self.points: list[dict[str, Any]] = []

    def _on_rollout_start(self) -> None:
        if self.num_timesteps % (EVERY * ROLLOUT * sum(ENVS.values())) == 0:
            self._note()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._note()

    def _note(self) -> None:
        policy = SB3Policy(self.model, self._reader)
        held = [r for w in self._worlds.values() for r in exam(policy, w.held, w.retriever)]
        episodes = self.model.ep_info_buffer or ()
        point = {
            "step": self.num_timesteps,
            "seconds": time.monotonic() - self._start[0],
            "cpu_seconds": time.process_time() - self._start[1],
            "train": sum(e["r"] for e in episodes) / len(episodes) if episodes else None,
            "held": np.mean(held, axis=0).round(4).tolist(),
        }
        self.points.append(point)
        print(json.dumps(point), flush=True)


def exam(policy: Policy, questions: Sequence[Question], retriever: Retriever) -> Recalls:
    """Returns the recall of each question after each search of a policy.

    A policy that searches no more keeps what it has found.
    """
    protocol = get_protocol("search_r1")
    episodes = [Episode(q, protocol, LIMITS, seed=i) for i, q in enumerate(questions)]
    for _ in play(policy, episodes, {"search": RetrieverTool(retriever, HITS)}):
        pass
    return [recalls_of(e.question, [hits for turn in e.hits for hits in turn]) for e in episodes]


def recalls_of(question: Question, searches: Sequence[Sequence[Any]]) -> list[float]:
    """Returns the recall after 1, 2, ... searches of their hits."""
    ids: set[str] = set()
    found: list[float] = []
    for i in range(SEARCHES):
        ids |= {hit.passage.id for hit in searches[i]} if i < len(searches) else set()
        found.append(round(found_share(question.gold, ids) or 0.0, 4))
    return found


def at_once(questions: Sequence[Question], retriever: Retriever) -> Recalls:
    """Returns the recall of one search for each question, with as many passages as n searches."""
    found = retriever.search([question.text for question in questions], HITS * SEARCHES)
    pages = ([hits[HITS * i : HITS * (i + 1)] for i in range(SEARCHES)] for hits in found)
    return [recalls_of(question, page) for question, page in zip(questions, pages, strict=True)]


def fused(name: str, world: World, home: Path) -> dict[str, Recalls]:
    """Returns the recall of BM25 and MiniLM fused by reciprocal ranks, as :func:`at_once`."""
    data = world.suite.read()
    hybrid = world.suite.open(data, "hybrid", home=home, progress=True)
    return {name: at_once(world.dev, hybrid)}


class InOrder:
    """Chooses the first possible action: the question, then the candidates as they come."""

    def predict(self, observation: Features, *, deterministic: bool) -> tuple[Any, Any]:
        """Returns one action a row."""
        return observation[:, : CANDIDATES + 1].argmax(axis=1), None


def baselines(worlds: Mapping[str, World]) -> dict[str, Any]:
    """Returns the recalls of all that learns nothing and needs no vectors."""
    reader = QueryReader(lambda texts: np.zeros((len(texts), 1), dtype=np.float32))
    policies: dict[str, Policy] = {
        "in order": SB3Policy(InOrder(), reader),
        "iterative": IterativePolicy(SEARCHES),
    }
    found: dict[str, Any] = {}
    for name, world in worlds.items():
        found[name] = {"one-shot": at_once(world.dev, world.retriever)}
        for policy in policies:
            found[name][policy] = exam(policies[policy], world.dev, world.retriever)
        found[f"held {name}"] = {
            "one-shot": at_once(world.held, world.retriever),
            "iterative": exam(policies["iterative"], world.held, world.retriever),
        }
    return found


def arms_of(rows: Mapping[str, Any], suites: Sequence[str]) -> dict[str, list[Recalls]]:
    """Returns what each arm found on the dev questions of the suites, a list of seeds."""
    arms = {
        name: [[each for suite in suites for each in rows["baselines"][suite][name]]]
        for name in rows["baselines"][suites[0]]
    }
    if all(f"rrf-{suite}" in rows for suite in suites):
        arms["RRF"] = [[each for suite in suites for each in rows[f"rrf-{suite}"][suite]]]
    trained = [rows[name] for name in sorted(rows) if name.startswith("queries-")]
    if trained:
        arms["trained"] = [[each for suite in suites for each in row[suite]] for row in trained]
    return arms


def table(rows: Mapping[str, Any], suites: Sequence[str]) -> str:
    """Returns the Markdown table of recall by number of searches."""
    arms = arms_of(rows, suites)
    heads = [f"{n} ({HITS * n})" for n in range(1, SEARCHES + 1)]
    lines = [f"| searches (passages) | seeds | {' | '.join(heads)} |", f"{'| --- ' * 6}|"]
    for name, found in arms.items():
        lines.append(f"| {name} | {len(found)} | {cells(np.array(found))} |")
    for name in ("one-shot", "RRF", "in order", "iterative"):
        if name in arms and "trained" in arms:
            found = np.array(arms["trained"]) - np.array(arms[name])
            lines.append(f"| trained minus {name}, paired | {len(found)} | {cells(found)} |")
    return "\n".join(lines)


def cells(values: Any) -> str:
    """Returns the means of (seeds, questions, SEARCHES) with intervals over the first two."""
    found = [interval(values[:, :, i]) for i in range(values.shape[2])]
    return " | ".join(f"{m.mean:.3f} [{m.low:.3f}, {m.high:.3f}]" for m in found)


def draw(rows: Mapping[str, Any], picture: Path) -> None:
    """Draws recall by searches for each suite, and that of held questions over the training."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
    for panel, suite in zip(axes, TRAIN, strict=False):
        for name, found in arms_of(rows, [suite]).items():
            means = np.array(found).mean(axis=(0, 1))
            width = 2.4 if name == "trained" else 1.2
            style = {"ms": 3, "lw": width, "color": COLOURS[name], "label": name}
            panel.plot(range(1, SEARCHES + 1), means, "o-", **style)
        panel.set(
            title=suite, xlabel=f"searches, {HITS} passages each", xticks=range(1, SEARCHES + 1)
        )
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("gold passages found, dev")
    axes[1].legend(frameon=False, fontsize=8, loc="lower right")
    for name in sorted(rows):
        if name.startswith("queries-"):
            points = [(p["step"], p["held"][-1]) for p in rows[name]["curve"]]
            axes[3].plot(*zip(*points, strict=True), label=f"seed {rows[name]['seed']}")
    axes[3].set(title="held training questions", xlabel="moves learnt from", ylabel="after 4")
    axes[3].grid(alpha=0.3)
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig(picture, dpi=130)


if __name__ == "__main__":
    main()
