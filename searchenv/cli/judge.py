"""``searchenv judge``: a language model's verdicts on the answers of a run."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from searchenv.cli.bench_table import whole_run
from searchenv.cli.models import add_model_options, make_generator
from searchenv.cli.options import Commands
from searchenv.evaluation.judge import judge_run
from searchenv.evaluation.judge_agreement import judgement_text
from searchenv.evaluation.judge_files import judgement_path
from searchenv.evaluation.judge_prompts import JUDGE_PROMPTS, JudgePrompt, get_judge_prompt
from searchenv.evaluation.judge_replies import RecordedReplies

__all__ = ["add_commands"]

_DEFAULT = "r1_searcher"


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv judge``."""
    parser = commands.add_parser("judge", help="ask a language model whether answers are right")
    add = parser.add_argument
    add("folder", type=Path, metavar="RUN", help="folder of a whole run; verdicts are kept in it")
    add("--prompt", metavar="NAME", help=f"{', '.join(JUDGE_PROMPTS)} (default: {_DEFAULT})")
    add(
        "--prompt-file",
        type=Path,
        metavar="FILE",
        help="own wording, with {question}, {answers} and {prediction}; the rest is the prompt's",
    )
    add("--words", nargs=2, metavar=("RIGHT", "WRONG"), help="that FILE asks for")
    add("--name", help="of the verdicts (default: that of the prompt or of the file)")
    add("--replay", type=Path, metavar="FILE", help="a judge.NAME.jsonl whose replies are used")
    add("--retry-failed", action="store_true", help="ask again where the call failed")
    add_model_options(parser)
    parser.set_defaults(run=_judge)


def _judge(arguments: argparse.Namespace) -> int:
    generator, name = make_generator(arguments), arguments.name
    if (generator is None) == (arguments.replay is None):
        raise ValueError("say who judges: either --model URL|DIR, or --replay FILE")
    if generator is not None:
        prompt = _prompt(arguments)
    elif arguments.prompt or arguments.prompt_file or arguments.words:
        raise ValueError("--replay FILE brings its prompt: leave out the options of the prompt")
    else:
        generator = RecordedReplies(arguments.replay)
        prompt = generator.prompt
        name = name or arguments.replay.stem.removeprefix("judge.")
    judgement = judge_run(
        arguments.folder,
        prompt,
        generator,
        name=name,
        retry_failed=arguments.retry_failed,
        progress=sys.stderr.isatty(),
    )
    print(judgement_text(whole_run(arguments.folder).records, judgement))
    print(f"verdicts: {judgement_path(arguments.folder, judgement.name)}")
    return 0 if any(verdict.value is not None for verdict in judgement.verdicts) else 1


def _prompt(arguments: argparse.Namespace) -> JudgePrompt:
    preset = get_judge_prompt(arguments.prompt or _DEFAULT)
    if arguments.prompt_file is None:
        if arguments.words:
            raise ValueError("--words belongs to --prompt-file: a preset has its own")
        return preset
    if arguments.words:
        right, wrong = arguments.words
        preset = replace(preset, right=right, wrong=wrong)
    return JudgePrompt.of_file(arguments.prompt_file, preset)
