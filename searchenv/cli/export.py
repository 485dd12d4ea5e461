"""``searchenv export``: the records of a run, or questions, in the formats of other programs."""

import argparse
from collections.abc import Callable
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.options import Commands
from searchenv.exports import (
    export_jsonl,
    export_parquet,
    export_sft,
    export_trec,
    load_tokenizer,
    select,
)
from searchenv.exports.whole import whole_folder
from searchenv.protocols import get_protocol
from searchenv.questions import read_questions
from searchenv.task import DEMO
from searchenv.types import Question
from searchenv.worlds import demo_questions

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv export`` and its formats."""
    export = commands.add_parser("export", help="write runs and questions for other programs")
    formats = export.add_subparsers(required=True, metavar="FORMAT")
    _add(formats, "jsonl", _jsonl, "FILE", "one record a line")
    _add(formats, "parquet", _parquet, "FILE", "one record a row")
    _add(formats, "trec", _trec, "DIR", "what was found, as TREC run and qrels files")
    _add_sft(formats)
    _add_verl(formats)


def _add(
    formats: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    out: str,
    help: str,
) -> argparse.ArgumentParser:
    parser = formats.add_parser(name, help=help)
    parser.add_argument("run_folder", metavar="RUN", type=Path)
    parser.add_argument("--out", metavar=out, type=Path, required=True)
    parser.set_defaults(run=run)
    return parser


def _add_sft(formats: Commands) -> None:
    add = _add(
        formats, "sft", _sft, "FILE", "episodes to fine-tune on, with loss masks"
    ).add_argument
    add("--tokenizer", type=Path, metavar="FOLDER", help="also token ids and a mask over them")
    add(
        "--min-score",
        action="append",
        type=_min_score,
        default=[],
        metavar="NAME=VALUE",
        help="only episodes with such a score, such as em=1; may be repeated",
    )
    add("--answered", action="store_true", help="only episodes that ended with an answer")
    add("--max-turns", type=int, metavar="N", help="only episodes of at most N moves")


def _add_verl(formats: Commands) -> None:
    parser = formats.add_parser("verl", help="questions as verl's parquet files, one a split")
    add = parser.add_argument
    add("questions", metavar="QUESTIONS", help="a file, hf:NAME:SPLIT, or demo")
    add("--out", metavar="DIR", type=Path, required=True, help="a new folder")
    add("--protocol", default="search_r1", help="makes the prompts (default: search_r1)")
    add("--agent", metavar="NAME", help="verl's agent loop (default: that of searchenv train verl)")
    parser.set_defaults(run=_verl)


def _min_score(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected NAME=VALUE, such as em=1, got {text!r}"
        ) from None


def _jsonl(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    export_jsonl(records, arguments.out)
    print(f"{len(records)} records in {arguments.out}")
    return 0


def _parquet(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    export_parquet(records, arguments.out)
    print(f"{len(records)} records in {arguments.out}")
    return 0


def _trec(arguments: argparse.Namespace) -> int:
    counts = export_trec(whole_run(arguments.run_folder).records, arguments.out)
    print(
        f"{counts.questions} questions, {counts.samples} run files in {arguments.out}; "
        f"{counts.left_out} questions without known gold passages left out"
    )
    return 0


def _sft(arguments: argparse.Namespace) -> int:
    records = whole_run(arguments.run_folder).records
    selection = select(
        records,
        min_scores=dict(arguments.min_score),
        answered=arguments.answered,
        max_turns=arguments.max_turns,
    )
    tokenizer = load_tokenizer(arguments.tokenizer) if arguments.tokenizer else None
    export_sft(selection.kept, arguments.out, tokenizer=tokenizer)
    print(f"{len(selection.kept)} of {len(records)} episodes in {arguments.out}")
    for reason, count in selection.left_out.items():
        print(f"left out, {reason}: {count}")
    return 0


def _verl(arguments: argparse.Namespace) -> int:
    from searchenv.integrations.verl.parquet import AGENT_NAME, write_parquet

    protocol = get_protocol(arguments.protocol)
    if arguments.questions == DEMO:
        questions = demo_questions()
    else:
        questions = read_questions(arguments.questions)
    splits: dict[str, list[Question]] = {}
    for question in questions:
        splits.setdefault(str(question.metadata.get("split", "train")), []).append(question)
    with whole_folder(arguments.out) as folder:
        for split, members in splits.items():
            path = folder / f"{split}.parquet"
            agent = arguments.agent or AGENT_NAME
            write_parquet(members, protocol, path, split=split, agent_name=agent)
    for split, members in splits.items():
        print(f"{len(members)} questions in {arguments.out / split}.parquet")
    return 0
