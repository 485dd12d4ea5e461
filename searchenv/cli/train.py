"""``searchenv train``: language models that learn to search."""

from searchenv.cli import train_arms, train_model, train_tiny, train_verl
from searchenv.cli.options import Commands

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv train`` and what can be trained."""
    train = commands.add_parser("train", help="train language models")
    names = train.add_subparsers(required=True, metavar="WHAT")
    train_tiny.add_tiny(names)
    train_tiny.add_world(names)
    train_model.add_grpo(names)
    train_model.add_sft(names)
    train_model.add_rejection(names)
    train_arms.add_arms(names)
    train_verl.add_verl(names)
