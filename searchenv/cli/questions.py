"""``searchenv questions``: look at question files, compare them, make corpora of them."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.indexing import Corpus
from searchenv.questions import (
    LAYOUTS,
    Overlap,
    Shared,
    Sharing,
    find_overlap,
    question_corpus,
    read_questions,
    summarize_questions,
    with_aliases,
)

__all__ = ["add_commands"]

_MEANING = {
    Sharing.EQUAL: "are in the training set, word for word",
    Sharing.NEAR: "are almost in the training set",
    Sharing.GOLD: "have all their gold passages in one training question",
}
_SHOWN = 3
_SOURCE = "jsonl, json, csv, tsv or parquet, gzipped or not, or hf:NAME:SPLIT"


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv questions`` and its commands."""
    parser = commands.add_parser("questions", help="look at, compare and convert question files")
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
    corpus.add_argument(
        "--aliases", type=Path, metavar="FILE", help="2WikiMultihopQA's id_aliases.json"
    )
    corpus.add_argument(
        "--answerable-only", action="store_true", help="without MuSiQue-Full's unanswerable twins"
    )
    corpus.add_argument("--out", type=Path, required=True, metavar="DIR")
    corpus.add_argument("--replace", action="store_true", help="replace a folder that is there")
    _add_format(corpus)
    corpus.set_defaults(run=_corpus)

    overlap = group.add_parser("overlap", help="is an evaluation set in a training set?")
    add = overlap.add_argument
    add("training", metavar="TRAIN", help=_SOURCE)
    add("evaluation", metavar="EVAL", help=_SOURCE)
    add("--n", type=int, default=3, help="words in an n-gram (default: %(default)s)")
    add("--threshold", type=float, default=0.8, help="of near questions (default: %(default)s)")
    add(
        "--fail-on",
        nargs="+",
        choices=list(Sharing),
        default=["equal", "near"],
        metavar="KIND",
        help="what makes the exit status 1: equal, near, gold (default: equal near)",
    )
    add("--out", type=Path, metavar="FILE", help="write all pairs as json lines")
    overlap.set_defaults(run=_overlap)


def _add_format(parser: argparse.ArgumentParser) -> None:
    names = [layout.name for layout in LAYOUTS]
    parser.add_argument("--format", choices=names, help="the layout (default: told from the file)")


def _show(arguments: argparse.Namespace) -> int:
    print(summarize_questions(arguments.source, format=arguments.format).text())
    return 0


def _corpus(arguments: argparse.Namespace) -> int:
    corpus = question_corpus(
        arguments.sources,
        base=Corpus(arguments.base),
        format=arguments.format,
        answerable_only=arguments.answerable_only,
    )
    if arguments.aliases is not None:
        corpus = replace(corpus, questions=with_aliases(corpus.questions, arguments.aliases))
    corpus.write(arguments.out, replace=arguments.replace)
    print(
        f"{arguments.out}: {len(corpus.passages):,} passages, {len(corpus.questions):,} questions"
    )
    if corpus.unlinked:
        print(f"{len(corpus.unlinked):,} questions lack a gold passage in the corpus")
    return 0


def _overlap(arguments: argparse.Namespace) -> int:
    overlap = find_overlap(
        read_questions(arguments.training),
        read_questions(arguments.evaluation),
        n=arguments.n,
        threshold=arguments.threshold,
    )
    print(f"{overlap.num_evaluation:,} evaluation, {overlap.num_training:,} training questions")
    for kind in Sharing:
        _print_pairs(overlap, kind)
    if arguments.out is not None:
        arguments.out.write_text("".join(map(_line, overlap.pairs)), encoding="utf-8")
    return int(any(overlap.num_questions(Sharing(kind)) for kind in arguments.fail_on))


def _print_pairs(overlap: Overlap, kind: Sharing) -> None:
    print(f"{kind:<5} {overlap.num_questions(kind):>6,} {_MEANING[kind]}")
    pairs = [pair for pair in overlap.pairs if pair.kind is kind]
    for pair in pairs[:_SHOWN]:
        print(f"      {pair.containment:.2f}  {pair.evaluation.id}  {pair.evaluation.text}")
        print(f"            {pair.training.id}  {pair.training.text}")
    if len(pairs) > _SHOWN:
        print(f"      and {len(pairs) - _SHOWN:,} more pairs (--out FILE writes all)")


def _line(pair: Shared) -> str:
    record = {
        "kind": pair.kind,
        "evaluation": pair.evaluation.id,
        "training": pair.training.id,
        "containment": pair.containment,
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
