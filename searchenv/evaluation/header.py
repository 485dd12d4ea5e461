"""The header of a run: all that decides its results, so that only like runs are compared."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass

from searchenv import __version__
from searchenv.evaluation.run import Setup
from searchenv.protocols import TextProtocol
from searchenv.types import Limits, Question

__all__ = ["run_header"]

_FORMAT = 1
_PROBE = Question("probe", "Which question?", ("none",))


def run_header(
    questions: Sequence[Question],
    setup: Setup,
    *,
    name: str,
    policy: Mapping[str, object],
    retriever: Mapping[str, object],
) -> dict[str, object]:
    """Returns the header of a run as JSON-able data.

    Questions and prompts stand in it as SHA-256 digests, so that an edited question set or system
    prompt is another run.

    Args:
        questions: what is played, in this order.
        setup: how.
        name: of the suite or question file.
        policy: its name and options.
        retriever: fingerprint, number of hits, and what else decides the hits.
    """
    return {
        "format": _FORMAT,
        "searchenv": __version__,
        "name": name,
        "questions": {"n": len(questions), "sha256": _digest([asdict(q) for q in questions])},
        "retriever": dict(retriever),
        "policy": dict(policy),
        "protocol": _protocol(setup.protocol),
        "limits": _limits(setup.limits),
        "scorers": list(setup.scorers),
        "reward": repr(setup.reward) if is_dataclass(setup.reward) else type(setup.reward).__name__,
        "samples": setup.samples,
        "seed": setup.seed,
    }


def _protocol(protocol: TextProtocol) -> dict[str, object]:
    opening = [[s.source.value, s.text] for s in protocol.opening(_PROBE)]
    return {"name": protocol.name, "mode": protocol.mode.value, "sha256": _digest(opening)}


def _limits(limits: Limits) -> dict[str, object]:
    counter = limits.counter
    return {
        "max_turns": limits.max_turns,
        "max_calls": dict(limits.max_calls),
        "max_observation": limits.max_observation,
        "counter": getattr(counter, "__qualname__", type(counter).__name__),
        "on_limit": limits.on_limit.value,
        "on_invalid": limits.on_invalid.value,
        "invalid_penalty": limits.invalid_penalty,
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
