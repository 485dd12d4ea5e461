"""``searchenv questions``: look at question files and make corpora of them."""

import argparse
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.indexing import Corpus
from searchenv.questions import LAYOUTS, question_corpus, summarize_questions

__all__ = ["add_commands"]

_SOURCE = "jsonl, json, csv, tsv or parquet, gzipped or not, or hf:NAME:SPLIT"


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv questions`` and its commands."""
    parser = commands.add_parser("questions", help="look at question files, make corpora of them")
    group = parser.add_subparsers(required=True, metavar="COMMAND")

    show = group.add_parser("show", help="layout, counts, types, hops and the first question")
    show.add_argument("source", metavar="FILE", help=_SOURCE)
    _add_format(show)
    show.set_defaults(run=_show)

    corpus = group.add_parser("corpus", help="write the passages beside questions as a corpus")
    corpus.add_argument("sources", nargs="+", metavar="FILE", help=_SOURCE)
    corpus.add_argument(
        "--base", nargs="+", type=Path, default=(), metavar="FILE", help="passages that come first"
    )
    corpus.add_argument("--out", type=Path, required=True, metavar="DIR")
    corpus.add_argument("--replace", action="store_true", help="replace a folder that is there")
    _add_format(corpus)
    corpus.set_defaults(run=_corpus)


def _add_format(parser: argparse.ArgumentParser) -> None:
    names = [layout.name for layout in LAYOUTS]
    parser.add_argument("--format", choices=names, help="the layout (default: told from the file)")


def _show(arguments: argparse.Namespace) -> int:
    print(summarize_questions(arguments.source, format=arguments.format).text())
    return 0


def _corpus(arguments: argparse.Namespace) -> int:
    corpus = question_corpus(
        arguments.sources, base=Corpus(arguments.base), format=arguments.format
    )
    corpus.write(arguments.out, replace=arguments.replace)
    print(
        f"{arguments.out}: {len(corpus.passages):,} passages, {len(corpus.questions):,} questions"
    )
    if corpus.unlinked:
        print(f"{len(corpus.unlinked):,} questions lack a gold passage in the corpus")
    return 0
