"""Evaluation: how well a policy answers, question by question."""

from searchenv.evaluation.circumstances import circumstances
from searchenv.evaluation.report import EvaluationReport, Mean, QuestionResult
from searchenv.evaluation.runner import DEFAULT_SCORERS, evaluate

__all__ = [
    "DEFAULT_SCORERS",
    "EvaluationReport",
    "Mean",
    "QuestionResult",
    "circumstances",
    "evaluate",
]
