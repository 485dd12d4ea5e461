"""Generated knowledge worlds: passages, and questions that only those passages answer."""

from searchenv.worlds.demo import DEMO_VERSION, demo_dir, demo_world
from searchenv.worlds.questions import QuestionType
from searchenv.worlds.world import World, WorldConfig, generate_world

__all__ = [
    "DEMO_VERSION",
    "QuestionType",
    "World",
    "WorldConfig",
    "demo_dir",
    "demo_world",
    "generate_world",
]
