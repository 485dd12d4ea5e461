"""searchenv: a question-answering agent learns to search a real index.

Importing it registers ``SearchQA-v0`` with Gymnasium; ``gym.make("searchenv:SearchQA-v0")`` imports
it by itself. This module names what users need most. Nothing heavy is imported
here: names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gymnasium.envs.registration import register, registry

if TYPE_CHECKING:
    from searchenv.env import SearchQAEnv
    from searchenv.episode import Episode, EpisodeView
    from searchenv.evaluation import evaluate
    from searchenv.indexing import build_index, verify_index
    from searchenv.metrics import SCORERS, get_scorer
    from searchenv.protocols import get_protocol
    from searchenv.questions import link_gold, read_questions, write_questions
    from searchenv.results import Result
    from searchenv.retrieval import Retriever, RetrieverTool, open_index
    from searchenv.rewards import CallCost, Composite, Format, GoldRecall, Outcome
    from searchenv.types import Act, Answer, Hit, Invalid, Limits, Passage, Question, ToolCall
    from searchenv.vector import SearchQAVectorEnv
    from searchenv.worlds import WorldConfig, generate_world
    from searchenv.wrappers import RecordEpisodes, TranscriptObservation

__version__ = "0.1.0"

_HOMES = {
    "searchenv.env": ("SearchQAEnv",),
    "searchenv.episode": ("Episode", "EpisodeView"),
    "searchenv.evaluation": ("evaluate",),
    "searchenv.indexing": ("build_index", "verify_index"),
    "searchenv.metrics": ("SCORERS", "get_scorer"),
    "searchenv.protocols": ("get_protocol",),
    "searchenv.questions": ("link_gold", "read_questions", "write_questions"),
    "searchenv.results": ("Result",),
    "searchenv.retrieval": ("Retriever", "RetrieverTool", "open_index"),
    "searchenv.rewards": ("CallCost", "Composite", "Format", "GoldRecall", "Outcome"),
    "searchenv.types": (
        "Act",
        "Answer",
        "Hit",
        "Invalid",
        "Limits",
        "Passage",
        "Question",
        "ToolCall",
    ),
    "searchenv.vector": ("SearchQAVectorEnv",),
    "searchenv.worlds": ("WorldConfig", "generate_world"),
    "searchenv.wrappers": ("RecordEpisodes", "TranscriptObservation"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "SCORERS",
    "Act",
    "Answer",
    "CallCost",
    "Composite",
    "Episode",
    "EpisodeView",
    "Format",
    "GoldRecall",
    "Hit",
    "Invalid",
    "Limits",
    "Outcome",
    "Passage",
    "Question",
    "RecordEpisodes",
    "Result",
    "Retriever",
    "RetrieverTool",
    "SearchQAEnv",
    "SearchQAVectorEnv",
    "ToolCall",
    "TranscriptObservation",
    "WorldConfig",
    "__version__",
    "build_index",
    "evaluate",
    "generate_world",
    "get_protocol",
    "get_scorer",
    "link_gold",
    "open_index",
    "read_questions",
    "verify_index",
    "write_questions",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'searchenv' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if "SearchQA-v0" not in registry:
    register(
        id="SearchQA-v0",
        entry_point="searchenv.env:SearchQAEnv",
        vector_entry_point="searchenv.vector:SearchQAVectorEnv",
    )
