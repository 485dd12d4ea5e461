"""``searchenv train tiny`` and ``train world``: a small model, and a world for it to search."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.exports.whole import whole_folder
from searchenv.indexing import build_index
from searchenv.questions import write_questions
from searchenv.retrieval import Engine
from searchenv.worlds import FactConfig, FactWorld

__all__ = ["add_tiny", "add_world"]


def add_tiny(names: Commands) -> None:
    """Adds ``searchenv train tiny``."""
    parser = names.add_parser("tiny", help="pre-train a tiny model from nothing, in minutes")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="a new Hugging Face folder")
    add("--config", type=Path, metavar="FILE", help="TOML (default: 0.4 million parameters)")
    add("--seed", type=int, help="(default: what the file says, or 0)")
    parser.set_defaults(run=_tiny)


def add_world(names: Commands) -> None:
    """Adds ``searchenv train world``."""
    parser = names.add_parser("world", help="write a world of facts: corpus, questions, index")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    add("--seed", type=int, default=0, help="of the facts (default: 0)")
    add("--entities", type=int, default=120, help="(default: 120)")
    add("--relations", type=int, default=6, help="(default: 6)")
    add("--usual", type=float, default=0.15, help="share of usual answers (default: 0.15)")
    add("--name-words", type=int, default=1, help="words of a name, 1 or 2 (default: 1)")
    parser.set_defaults(run=_world)


def _tiny(arguments: argparse.Namespace) -> int:
    from searchenv.training.pretrain import Pretraining, pretrain
    from searchenv.training.settings import read_settings

    path = arguments.config
    settings = Pretraining() if path is None else read_settings(Pretraining, path)
    if arguments.seed is not None:
        settings = replace(settings, seed=arguments.seed)
    pretrain(settings, arguments.out, progress=sys.stderr.isatty())
    print(f"model: {arguments.out}")
    return 0


def _world(arguments: argparse.Namespace) -> int:
    world = FactWorld(
        FactConfig(
            seed=arguments.seed,
            entities=arguments.entities,
            relations=arguments.relations,
            usual=arguments.usual,
            name_words=arguments.name_words,
        )
    )
    with whole_folder(arguments.out) as folder:
        lines = [json.dumps(passage._asdict()) + "\n" for passage in world.passages]
        (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
        questions = [q for split in ("train", "dev", "test") for q in world.split(split)]
        write_questions(folder / "questions.jsonl", questions)
        build_index(folder / "corpus.jsonl", folder / "index", engine=Engine.BM25S)
    print(f"{len(world.passages)} passages, {len(questions)} questions in {arguments.out}")
    return 0
