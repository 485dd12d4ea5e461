"""Experiments that are written down before they run: arms times seeds, one row a finished run.

A file names the base model, the worlds, the arms and the seeds. Each (arm, seed) is trained and
examined by itself; its row is a file of its own, so that an experiment can go on another day, and
so that what was found can be committed run by run.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from searchenv.errors import RunError, did_you_mean
from searchenv.evaluation import Record, Setup, circumstances
from searchenv.evaluation.folder import write_lines
from searchenv.policies.generation import Sampling
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.models import ModelPolicy
from searchenv.protocols import get_protocol
from searchenv.retrieval import MemoryRetriever, RetrieverTool
from searchenv.training.curves import read_curve
from searchenv.training.grpo import Examination, GrpoSettings, train_grpo
from searchenv.training.pretrain import Pretraining, pretrain
from searchenv.training.rewards import reward_of
from searchenv.training.rollout import Clock, is_valid, roll_out
from searchenv.training.sft import RejectionSettings, train_rejection
from searchenv.training.tables import F1, MEASURES
from searchenv.types import Limits, OnInvalid, Question
from searchenv.worlds import FactWorld

__all__ = [
    "Arm",
    "Exam",
    "Experiment",
    "Stage",
    "exam_questions",
    "measures_of",
    "read_rows",
    "run_experiment",
]

logger = logging.getLogger(__name__)

_MAX_TOKENS = 24  # of a turn in an examination
_EXAMINED = (*MEASURES, F1)


@dataclass(frozen=True, slots=True)
class Stage:
    """One training, from the model that the stage before it left.

    Raises:
        ValueError: ``kind`` is neither ``grpo`` nor ``rejection``, or the reward is unknown.
    """

    kind: str
    """``grpo`` or ``rejection``."""
    reward: str = "em"
    """Of GRPO; see :func:`searchenv.training.rewards.reward_of`."""
    grpo: GrpoSettings = field(default_factory=GrpoSettings)
    rejection: RejectionSettings = field(default_factory=RejectionSettings)
    relations: tuple[str, str] | None = None
    """Trains only on questions over these, such as the ``mayor`` of the ``rival``; None: on all."""

    def __post_init__(self) -> None:
        """Checks the names."""
        if self.kind not in ("grpo", "rejection"):
            raise ValueError(f"kind must be grpo or rejection, got {self.kind!r}")
        reward_of(self.reward)


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train; without stages it is the base model."""

    name: str
    stages: tuple[Stage, ...] = ()
    seeds: tuple[int, ...] | None = None
    """Some of the experiment's; None: all of them."""
    max_turns: int | None = None
    """In training and examination; None: the experiment's. With 1 an agent answers from memory."""


@dataclass(frozen=True, slots=True)
class Exam:
    """What every model is examined on: held-out questions of worlds that nothing was trained on."""

    worlds: tuple[int, ...] = (30_001, 30_002)
    """Their seeds."""
    questions: int = 256
    """Of each world, at most."""
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Experiment:
    """All that is decided before the first run.

    Raises:
        ValueError: there are no arms or no seeds, two arms have the same name, an arm has other
            seeds or relations, or ``on_invalid`` is unknown.
    """

    name: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    base: Pretraining = field(default_factory=Pretraining)
    """The model that every arm starts from; one for all seeds."""
    first_world: int = 20_001
    """The seed of the world that seed 0 is trained in; seed n has the n-th after it."""
    exam: Exam = field(default_factory=Exam)
    hits: int = 3
    max_turns: int = 5
    on_invalid: str | None = None
    """A value of :class:`searchenv.types.OnInvalid`; None: a hint."""

    def __post_init__(self) -> None:
        """Checks arms and seeds."""
        OnInvalid(self.on_invalid or OnInvalid.HINT)
        names = [arm.name for arm in self.arms]
        if not names or not self.seeds:
            raise ValueError("expected at least one arm and one seed")
        if len({*names}) < len(names) or len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"arms and seeds must differ, got {names} and {self.seeds}")
        for arm in self.arms:
            if not {*(arm.seeds or ())} <= {*self.seeds}:
                raise ValueError(f"expected seeds of {self.seeds} for {arm.name}, got {arm.seeds}")
            world = FactWorld(self.base.world)
            for stage in arm.stages:
                if stage.relations is not None and not _train_questions(world, stage):
                    raise ValueError(
                        f"no training question of {arm.name} goes over {stage.relations}: expected "
                        f"two of {world.relations} that are not held out"
                    )

    def runs(self) -> list[tuple[Arm, int]]:
        """Returns what is run, by arm, then by seed."""
        return [(arm, seed) for arm in self.arms for seed in arm.seeds or self.seeds]

    def check_arms(self, names: Iterable[str]) -> None:
        """Checks that there are arms of these names.

        Raises:
            ValueError: there is none of one of them.
        """
        known = [arm.name for arm in self.arms]
        for name in names:
            if name not in known:
                raise ValueError(f"no arm is named {name!r}. {did_you_mean(name, known)}")

    @property
    def digest(self) -> str:
        """Of all settings but the lists of arms and seeds, which may grow."""
        fields = {k: v for k, v in asdict(self).items() if k not in ("arms", "seeds")}
        return sha256(json.dumps(_given(fields), sort_keys=True).encode()).hexdigest()[:16]


def run_experiment(
    experiment: Experiment,
    work: str | os.PathLike[str],
    rows: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Runs what has no row yet, seed by seed, and returns all rows.

    Args:
        experiment: as it was written down.
        work: for models and metrics, which interrupted runs go on from.
        rows: folder of the rows, ``ARM-SEED.json``.
        only: names of arms, so that several processes can share the work once the base is there;
            none: all of them.
        seeds: some of the experiment's; none: all of them.
        progress: shows bars on stderr.

    Raises:
        RunError: a row is of other settings.
        ValueError: there is no arm of such a name, or no such seed.
    """
    experiment.check_arms(only)
    if not {*seeds} <= {*experiment.seeds}:
        raise ValueError(f"expected seeds of {experiment.seeds}, got {(*seeds,)}")
    read_rows(experiment, rows)
    base = Path(work) / "base"
    if not (base / "config.json").is_file():
        pretrain(experiment.base, base, progress=progress)
    for arm, seed in sorted(experiment.runs(), key=lambda run: experiment.seeds.index(run[1])):
        path = Path(rows) / f"{arm.name}-{seed}.json"
        wanted = (not only or arm.name in only) and (not seeds or seed in seeds)
        if wanted and not path.exists():
            logger.info("%s, seed %d", arm.name, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            row = _run(experiment, arm, seed, base, Path(work), progress=progress)
            write_lines(path, [json.dumps(row).encode() + b"\n"])
    return read_rows(experiment, rows)


def read_rows(experiment: Experiment, rows: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the rows that are there, in the order of arms, then seeds.

    Raises:
        RunError: a row is of other settings than the experiment's.
    """
    found = []
    for arm, seed in experiment.runs():
        path = Path(rows) / f"{arm.name}-{seed}.json"
        if not path.exists():
            continue
        row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        settings = (row["experiment"], row["stages"], row.get("max_turns"))
        if settings != (experiment.digest, _plain(arm), arm.max_turns):
            raise RunError(
                f"{path} was run with other settings: keep it under another name, or take the "
                "settings back"
            )
        found.append(row)
    return found


def _run(
    experiment: Experiment, arm: Arm, seed: int, base: Path, work: Path, *, progress: bool
) -> dict[str, Any]:
    world = FactWorld(replace(experiment.base.world, seed=experiment.first_world + seed))
    digest, model, clock = experiment.digest, base, Clock()
    experiment = replace(experiment, max_turns=arm.max_turns or experiment.max_turns)
    folders = [work / f"{arm.name}-{seed}-{number}" for number in range(len(arm.stages))]
    for stage, folder in zip(arm.stages, folders, strict=True):
        with clock.time("training"):
            model = _train(experiment, stage, seed, world, model, folder, progress=progress)
    return {
        "experiment": digest,
        "arm": arm.name,
        "seed": seed,
        "stages": _plain(arm),
        "max_turns": arm.max_turns,
        "sampled": _examine(experiment, model, 1.0, seed),
        "greedy": _examine(experiment, model, 0.0, seed),
        "curves": [_curve(folder / "metrics.jsonl") for folder in folders],
        "training": [read_curve(folder / "metrics.jsonl") for folder in folders],
        "seconds": round(clock.seconds["training"], 1),
        **circumstances(["torch", "transformers"]),
    }


def _train(
    experiment: Experiment,
    stage: Stage,
    seed: int,
    world: FactWorld,
    model: Path,
    folder: Path,
    *,
    progress: bool,
) -> Path:
    questions = _train_questions(world, stage)
    setup = replace(_setup(experiment, world), reward=reward_of(stage.reward))
    if stage.kind == "rejection":
        settings = stage.rejection
        settings = replace(settings, seed=seed, sft=replace(settings.sft, seed=seed))
        train_rejection(model, questions, setup, settings, folder, progress=progress)
        return folder / "model"
    exam = FactWorld(replace(world.config, seed=experiment.exam.worlds[0]))
    examination = Examination(exam.split("dev", 256), _setup(experiment, exam))
    return train_grpo(
        model,
        questions,
        setup,
        replace(stage.grpo, seed=seed),
        folder,
        examination=examination,
        progress=progress,
    )


def _train_questions(world: FactWorld, stage: Stage) -> list[Question]:
    def relations(question: Question) -> tuple[str, ...]:
        path: Any = question.metadata["path"]
        return tuple(world.relations[relation] for _, relation, _ in path)

    every = world.split("train")
    return [q for q in every if stage.relations is None or relations(q) == stage.relations]


def _examine(
    experiment: Experiment, model: Path, temperature: float, seed: int
) -> dict[str, list[float]]:
    """Returns each measure of each question, world by world."""
    sampling = Sampling(_MAX_TOKENS, temperature)
    policy = ModelPolicy(TransformersGenerator(model, sampling=sampling, batch_size=256))
    found: dict[str, list[float]] = {name: [] for name in _EXAMINED}
    for world, questions in _exams(experiment):
        setup = _setup(experiment, world)
        rollout = roll_out(policy, questions, setup, seed=seed, clock=Clock())
        for record in rollout.records:
            for name, value in measures_of(record).items():
                found[name].append(value)
    return found


def exam_questions(experiment: Experiment) -> list[Question]:
    """Returns the questions of the examination, in the order of the values in rows."""
    return [question for _, questions in _exams(experiment) for question in questions]


def _exams(experiment: Experiment) -> Iterator[tuple[FactWorld, tuple[Question, ...]]]:
    for seed in experiment.exam.worlds:
        world = FactWorld(replace(experiment.base.world, seed=seed))
        yield world, world.split(experiment.exam.split, experiment.exam.questions)


def measures_of(record: Record) -> dict[str, float]:
    """Returns what an episode is examined for; its scores must hold ``em`` and ``f1_squad``."""
    calls, f1 = record.result.num_calls, round(record.scores[F1], 4)
    values = (int(record.scores["em"]), int(calls > 0), calls, int(is_valid(record)), f1)
    return dict(zip(_EXAMINED, values, strict=True))


def _setup(experiment: Experiment, world: FactWorld) -> Setup:
    retriever = MemoryRetriever(world.passages)
    return Setup(
        tools={"search": RetrieverTool(retriever, experiment.hits)},
        protocol=get_protocol(experiment.base.protocol),
        limits=Limits(
            max_turns=experiment.max_turns,
            on_invalid=OnInvalid(experiment.on_invalid or OnInvalid.HINT),
        ),
        scorers=("em", F1),
    )


def _curve(path: Path) -> list[dict[str, float]]:
    """Returns the examinations of a training; [] where there were none."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    names = ("step", *_EXAMINED)
    return [{name: row[name] for name in names} for row in rows if row["kind"] == "exam"]


def _plain(arm: Arm) -> list[Any]:
    """Returns the settings of an arm as they are read back from JSON, without those that are None.

    So a row stays valid when settings are added that it does not use.
    """
    plain: list[Any] = json.loads(json.dumps(_given(asdict(arm)["stages"])))
    return plain


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _given(each) for key, each in value.items() if each is not None}
    return [_given(each) for each in value] if isinstance(value, list | tuple) else value
