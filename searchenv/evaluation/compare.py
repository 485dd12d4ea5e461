"""Two runs beside each other, question by question."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from searchenv.errors import RunError, did_you_mean
from searchenv.evaluation.merge import differences
from searchenv.evaluation.report import Mean
from searchenv.evaluation.run import Run
from searchenv.evaluation.statistics import measures, question_means

__all__ = ["Comparison", "compare_runs", "paired_p_value"]

_DRAWS = 10_000
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of two runs over the same questions."""

    measure: str
    first: float
    second: float
    difference: Mean
    """Of second minus first, a question at a time: mean, bootstrap interval and n."""
    p: float
    """See :func:`paired_p_value`."""


def compare_runs(first: Run, second: Run, *, allow: Sequence[str] = ()) -> list[Comparison]:
    """Returns each measure that both runs have, over the questions that both have.

    Args:
        first: a whole run.
        second: a whole run.
        allow: fields of the headers that may differ, such as ``policy`` or ``retriever.k``; the
            names that the runs go by (``name``) may differ anyway if their questions do not.

    Raises:
        RunError: a run is not whole, the headers differ in another field, or no question is in
            both.
        ValueError: no header has a field of ``allow``.
    """
    if not (first.complete and second.complete):
        raise RunError("a run is not whole yet: run it to its end first")
    _check_fields(first, second, allow)
    if unlike := differences([first.header, second.header], allow=(*allow, "name")):
        raise RunError(
            f"these runs are not alike, they differ in {', '.join(unlike)}: if that is what you "
            f"compare, allow it (--allow {' '.join(unlike)})"
        )
    names = dict.fromkeys(name for record in first.records for name in measures(record))
    found = [_compared(name, first, second) for name in names]
    if not any(found):
        raise RunError("no question is in both runs: there is nothing to compare")
    return [each for each in found if each is not None]


def paired_p_value(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of the paired permutation test on the mean difference.

    Were there nothing between the runs, each difference would have either sign. The value is the
    share of all ways to give signs whose mean is at least as far from 0. With more than 13
    differences it is estimated from 10,000 random ways by a generator seeded with 0, the observed
    one counted as one of them, so that it is never 0.

    Raises:
        ValueError: there are no differences.

    >>> paired_p_value([1.0, 1.0, 1.0])
    0.25
    """
    values = np.array(differences, dtype=np.float64)
    if values.size == 0:
        raise ValueError("expected at least one difference, got none")
    if 2**values.size <= _DRAWS:
        every = np.array(list(product((-1, 1), repeat=values.size)), dtype=np.int8)
        return _as_far(every, values) / len(every)
    rng = np.random.default_rng(0)
    far = 0
    for _ in range(_DRAWS // _BATCH):
        signs = rng.integers(0, 2, size=(_BATCH, values.size), dtype=np.int8) * 2 - 1
        far += _as_far(signs, values)
    return (1 + far) / (1 + _DRAWS)


def _as_far(signs: NDArray[np.int8], values: NDArray[np.float64]) -> int:
    slack = 1e-9 * np.abs(values).sum()  # sums of the same numbers differ by their order
    return int((np.abs(signs @ values) >= abs(values.sum()) - slack).sum())


def _compared(measure: str, first: Run, second: Run) -> Comparison | None:
    ours, theirs = (question_means(run.records, measure) for run in (first, second))
    ids = [id_ for id_ in ours if id_ in theirs]
    if not ids:
        return None
    changes = [theirs[id_] - ours[id_] for id_ in ids]
    return Comparison(
        measure=measure,
        first=float(np.mean([ours[id_] for id_ in ids])),
        second=float(np.mean([theirs[id_] for id_ in ids])),
        difference=Mean.of(changes),
        p=paired_p_value(changes),
    )


def _check_fields(first: Run, second: Run, allow: Sequence[str]) -> None:
    known = set(first.header) | set(second.header)
    for field in allow:
        if (top := field.partition(".")[0]) not in known:
            raise ValueError(f"no header has a field {top!r}. {did_you_mean(top, known)}")
