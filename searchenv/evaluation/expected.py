"""What runs of a suite are expected to come to: ``expected.toml``, and a run held against it."""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from searchenv.errors import RunError
from searchenv.evaluation.header import run_header
from searchenv.evaluation.merge import differences
from searchenv.evaluation.run import Run
from searchenv.evaluation.statistics import summarize
from searchenv.evaluation.suites import Suite

__all__ = ["Checked", "Expected", "Figures", "check_run", "expect", "read_expected"]

_ANY = ("searchenv", "policy", "retriever.fingerprint")
"""May differ: another release or engine version is what a check is for."""
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """What one policy over one retriever comes to."""

    policy: str
    retriever: str
    """Of :data:`searchenv.evaluation.suites.RETRIEVERS`."""
    tolerance: float
    """How far each mean may be off; at least 0."""
    means: Mapping[str, float]
    """By measure, see :class:`searchenv.evaluation.statistics.Summary`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The measured figures of a suite, and how they came about."""

    suite: str
    """Name and version."""
    questions: int
    questions_sha256: str
    """As in the headers of runs."""
    command: str
    """This, commit, machine and date: all of them where several were at work."""
    commit: str
    machine: str
    date: str
    figures: tuple[Figures, ...]

    def to_toml(self) -> str:
        """Returns the text of ``expected.toml``."""
        fields = {key: value for key, value in asdict(self).items() if key != "figures"}
        tables = [
            _lines({**{k: v for k, v in asdict(each).items() if k != "means"}, **each.means})
            for each in self.figures
        ]
        return _lines(fields) + "".join(f"\n[[figures]]\n{table}" for table in tables)


@dataclass(frozen=True, slots=True)
class Checked:
    """One figure of a run beside what was expected."""

    measure: str
    expected: float
    measured: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the measured mean, to four decimals, is no further off than the tolerance."""
        return abs(self.measured - self.expected) <= self.tolerance + 1e-9


def expect(
    suite: Suite,
    runs: Mapping[tuple[str, str], Run],
    tolerances: Mapping[str, float],
    measures: Sequence[str],
) -> Expected:
    """Returns what runs of a suite came to, as what others are expected to.

    Args:
        suite: what was played.
        runs: whole ones, at least one, by policy and retriever.
        tolerances: by retriever.
        measures: those to keep of each run that has them.
    """
    asked = next(iter(runs.values())).header["questions"]
    sessions = [session for run in runs.values() for session in run.sessions]
    figures = []
    for (policy, retriever), run in runs.items():
        found = _means(run)
        means = {name: found[name] for name in measures if name in found}
        figures.append(Figures(policy, retriever, tolerances[retriever], means))
    return Expected(
        suite=suite.label,
        questions=asked["n"],
        questions_sha256=asked["sha256"],
        command=_all(session["command"] for session in sessions),
        commit=_all(session["commit"] for session in sessions),
        machine=_all(session["machine"] for session in sessions),
        date=_all(session["date"][:10] for session in sessions),
        figures=tuple(figures),
    )


def read_expected(path: Path) -> Expected:
    """Returns what a file ``expected.toml`` holds.

    Raises:
        RunError: it is missing, or something in it is missing, unknown or of the wrong type.
    """
    try:
        state = tomllib.loads(path.read_text(encoding="utf-8"))
        figures = tuple(_figures(table) for table in state.pop("figures"))
        return Expected(**state, figures=figures)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} holds no expected figures ({type(error).__name__}: {error}): see "
            "docs/benchmarks.md"
        ) from error


def check_run(suite: Suite, expected: Expected, figures: Figures, run: Run) -> list[Checked]:
    """Returns each expected figure beside that of a whole run.

    Raises:
        RunError: the run is not one of this suite, its questions and this policy, or does not
            measure a figure.
    """
    wanted = {
        **run_header((), suite.setup(), name=expected.suite, policy={}, retriever={"k": suite.k}),
        "questions": {"n": expected.questions, "sha256": expected.questions_sha256},
    }
    unlike = differences([wanted, run.header], allow=_ANY)
    if run.header["policy"]["name"] != figures.policy:
        unlike.append("policy.name")
    if unlike:
        raise RunError(
            f"this run of {figures.policy} over {figures.retriever} is not what was measured for "
            f"{expected.suite}, they differ in {', '.join(unlike)}: play the suite as it stands"
        )
    means = _means(run)
    if unknown := [name for name in figures.means if name not in means]:
        raise RunError(f"the run of {figures.policy} does not measure {', '.join(unknown)}")
    return [
        Checked(name, mean, means[name], figures.tolerance) for name, mean in figures.means.items()
    ]


def _all(texts: Iterable[str]) -> str:
    # runs may have been played in several sittings
    return ", ".join(dict.fromkeys(texts))


def _means(run: Run) -> dict[str, float]:
    return {
        name: round(mean.mean, _DECIMALS) for name, mean in summarize(run.records).means.items()
    }


def _figures(table: dict[str, Any]) -> Figures:
    own = {name: table.pop(name) for name in ("policy", "retriever", "tolerance")}
    return Figures(**own, means={name: float(mean) for name, mean in table.items()})


def _lines(fields: Mapping[str, object]) -> str:
    # JSON writes strings and numbers as TOML does.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
