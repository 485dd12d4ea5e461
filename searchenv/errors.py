"""Errors with a way out: each says what was expected, what came and what to do.

Every class is also a standard-library error, so callers may catch either. A mistake of the *agent*
is never an error: the environment answers it with an observation and counts it.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BudgetExceededError",
    "CorpusError",
    "EpisodeStateError",
    "IndexMismatchError",
    "IndexNotFoundError",
    "JavaUnavailableError",
    "MissingDependencyError",
    "PolicyError",
    "ProtocolError",
    "QuestionError",
    "RetrievalError",
    "RunError",
    "SearchEnvError",
    "did_you_mean",
]


class SearchEnvError(Exception):
    """Base of all errors that searchenv raises on purpose."""


class MissingDependencyError(SearchEnvError, ImportError):
    """An optional package is not installed; the message holds the ``pip install`` that mends it."""


class JavaUnavailableError(SearchEnvError, RuntimeError):
    """No usable Java was found, or the process was forked after its Java machine had started."""


class CorpusError(SearchEnvError, ValueError):
    """A corpus file cannot be read as passages; the message names the file and the line."""


class IndexNotFoundError(SearchEnvError, FileNotFoundError):
    """No index lives at this path or under this name."""


class IndexMismatchError(SearchEnvError, ValueError):
    """An index is not what its manifest says, or a query analyzer differs from the index's."""


class RetrievalError(SearchEnvError, RuntimeError):
    """A search failed. Drivers turn it into a truncated episode, never into an empty result.

    Args:
        message: what failed.
        retryable: False where the retriever has spent its own retries, or none can help.
    """

    def __init__(self, message: str = "", *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class BudgetExceededError(RetrievalError):
    """A search would cost more requests than it was allowed; nothing was sent for it."""


class QuestionError(SearchEnvError, ValueError):
    """A question file or a question id is not usable."""


class RunError(SearchEnvError, ValueError):
    """A folder of benchmark results is broken, or is not that of the run that was asked for."""


class EpisodeStateError(SearchEnvError, RuntimeError):
    """An episode was called out of turn, or a saved state does not fit."""


class PolicyError(SearchEnvError, RuntimeError):
    """A policy cannot write a move: its model's server failed, or the prompt is too long for it."""


class ProtocolError(SearchEnvError, ValueError):
    """A move, a prompt file or a limit cannot be expressed in this protocol."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a sentence that names the nearest known name, or all of them.

    >>> did_you_mean("lucen", ["lucene", "bm25s"])
    "Did you mean 'lucene'?"
    >>> did_you_mean("xyz", ["lucene", "bm25s"])
    'Known: bm25s, lucene.'
    """
    known = sorted(known)
    nearest = get_close_matches(name, known, n=1)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(known)}."
