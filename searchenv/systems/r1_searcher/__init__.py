"""R1-Searcher (Song et al. 2025, arXiv 2503.05592)."""

from searchenv.systems.r1_searcher.protocol import (
    EVAL_K,
    EVAL_LIMITS,
    LLAMA3,
    TRAIN_K,
    TRAIN_LIMITS,
    TURN_TOKENS,
    PassageLayout,
    R1Searcher,
)
from searchenv.systems.r1_searcher.rewards import (
    STAGE_ONE_LLAMA,
    STAGE_ONE_PAPER,
    STAGE_TWO_CEM,
    STAGE_TWO_EM,
    STAGE_TWO_LLAMA,
    STAGE_TWO_PAPER,
    STAGE_TWO_QWEN,
    AnswerScore,
    StageOne,
    StageTwo,
    Version,
    score_outputs,
    score_trace,
)
from searchenv.systems.r1_searcher.traces import Trace, Violation

__all__ = [
    "EVAL_K",
    "EVAL_LIMITS",
    "LLAMA3",
    "STAGE_ONE_LLAMA",
    "STAGE_ONE_PAPER",
    "STAGE_TWO_CEM",
    "STAGE_TWO_EM",
    "STAGE_TWO_LLAMA",
    "STAGE_TWO_PAPER",
    "STAGE_TWO_QWEN",
    "TRAIN_K",
    "TRAIN_LIMITS",
    "TURN_TOKENS",
    "AnswerScore",
    "PassageLayout",
    "R1Searcher",
    "StageOne",
    "StageTwo",
    "Trace",
    "Version",
    "Violation",
    "score_outputs",
    "score_trace",
]
