"""R1-Searcher (Song et al. 2025, arXiv 2503.05592)."""

from searchenv.systems.r1_searcher.protocol import (
    EVAL_K,
    EVAL_LIMITS,
    TRAIN_K,
    TRAIN_LIMITS,
    PassageLayout,
    R1Searcher,
)

__all__ = [
    "EVAL_K",
    "EVAL_LIMITS",
    "TRAIN_K",
    "TRAIN_LIMITS",
    "PassageLayout",
    "R1Searcher",
]
