"""Generated knowledge worlds: passages, and questions that only those passages answer."""

from searchenv.worlds.checker import WorldReport, check_world
from searchenv.worlds.demo import DEMO_VERSION, demo_dir, demo_index, demo_questions, demo_world
from searchenv.worlds.facts import Fact, FactConfig, FactWorld, fact_text
from searchenv.worlds.questions import QuestionType
from searchenv.worlds.world import World, WorldConfig, generate_world

__all__ = [
    "DEMO_VERSION",
    "Fact",
    "FactConfig",
    "FactWorld",
    "QuestionType",
    "World",
    "WorldConfig",
    "WorldReport",
    "check_world",
    "demo_dir",
    "demo_index",
    "demo_questions",
    "demo_world",
    "fact_text",
    "generate_world",
]
