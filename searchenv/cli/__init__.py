"""The command ``searchenv``: one module a group of commands; each parses, calls and prints."""

from searchenv.cli.commands import main

__all__ = ["main"]
