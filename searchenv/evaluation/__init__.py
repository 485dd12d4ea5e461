"""Evaluation: how well a policy answers, question by question."""

from searchenv.evaluation.circumstances import circumstances
from searchenv.evaluation.header import run_header
from searchenv.evaluation.play import play
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import EvaluationReport, Mean, QuestionResult
from searchenv.evaluation.run import Run, Setup, read_run, run_questions
from searchenv.evaluation.runner import DEFAULT_SCORERS, evaluate

__all__ = [
    "DEFAULT_SCORERS",
    "EvaluationReport",
    "Mean",
    "QuestionResult",
    "Record",
    "Run",
    "Setup",
    "circumstances",
    "evaluate",
    "play",
    "read_run",
    "run_header",
    "run_questions",
]
