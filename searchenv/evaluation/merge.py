"""What makes runs alike, and the parts of one run as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchenv.errors import RunError
from searchenv.evaluation.run import Run

__all__ = ["UNKNOWN", "differences", "merge_runs"]

UNKNOWN = "unknown"
"""What the header of an imported run says of what its files do not tell; it is like nothing."""

_PARTS_DIFFER_IN = ("name", "questions")


def differences(headers: Sequence[Mapping[str, Any]], *, allow: Sequence[str] = ()) -> list[str]:
    """Returns the fields in which the headers are not all equal, such as ``retriever.k``.

    What is :data:`UNKNOWN` in one of several headers is not equal, not even to what is unknown too.

    Args:
        headers: of runs.
        allow: fields that are left out, each with all that is in it.
    """
    flat = [dict(_flat(header)) for header in headers]
    fields = dict.fromkeys(field for each in flat for field in each)
    return [
        field
        for field in fields
        if (
            any(each.get(field) != flat[0].get(field) for each in flat)
            or (len(flat) > 1 and flat[0].get(field) == UNKNOWN)
        )
        and not any(field == name or field.startswith(f"{name}.") for name in allow)
    ]


def merge_runs(parts: Sequence[Run]) -> Run:
    """Returns the run whose questions were played in ``parts``.

    Its means are over all questions: a mean of the parts' means is never taken.

    Raises:
        RunError: there are no parts, one is not whole, they differ in more than their questions, or
            two hold the same question.
    """
    if not parts:
        raise RunError("expected at least one part of a run, got none")
    if not all(part.complete for part in parts):
        raise RunError("a part is not whole yet: run it to its end first")
    if unlike := differences([part.header for part in parts], allow=_PARTS_DIFFER_IN):
        raise RunError(
            f"these are no parts of one run, they differ in {', '.join(unlike)}: "
            "parts may differ in their questions only"
        )
    keys = [record.key for part in parts for record in part.records]
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise RunError(f"two parts hold the question {twice[0]!r}: parts must not overlap")
    header = {key: value for key, value in parts[0].header.items() if key not in _PARTS_DIFFER_IN}
    return Run(
        header={
            **header,
            "parts": [[part.header.get(f) for f in _PARTS_DIFFER_IN] for part in parts],
        },
        records=tuple(record for part in parts for record in part.records),
        complete=True,
        sessions=[session for part in parts for session in part.sessions],
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if isinstance(each, Mapping) and each:
            yield from _flat(each, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", each
