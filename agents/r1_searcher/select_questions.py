r"""How hard questions are for a policy, and the questions of a stage as jsonl.

    python agents/r1_searcher/select_questions.py --questions hotpot_train.json --index INDEX \
        --policy model --model URL --temperature 1 --work build/hotpotqa \
        --medium 200 --out stage_1.jsonl

rolls out each question until it is answered rightly, at most 20 times, goes on where it was
interrupted, and writes so many questions of each difficulty. Any number of files can be written
from the same ``--work``; nothing is rolled out twice.
"""

import argparse
import sys
from pathlib import Path

from searchenv.cli.models import add_model_options, make_generator
from searchenv.evaluation import Setup, run_header
from searchenv.policies.named import describe_policy, get_policy
from searchenv.questions import write_questions
from searchenv.systems.r1_searcher import TRAIN_K, TRAIN_LIMITS
from searchenv.systems.r1_searcher.curriculum import Difficulty, pick_questions, try_questions
from searchenv.task import DEMO, Task


def main() -> None:
    """Rolls out, counts, picks, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--questions", help="a file, or hf:NAME:SPLIT (default: the demo world's)")
    add("--index", default=DEMO, help="folder, name or URL (default: the demo world)")
    add("--engine", help="of the index (default: what it is)")
    add("--policy", default="model", help="its name, or package.module:Name")
    add("--protocol", default="searchenv.systems.r1_searcher:R1Searcher")
    add("--limit", type=int, help="only the first so many questions")
    add("--seed", type=int, default=0, help="of the roll-outs, and of what is picked")
    add("--work", type=Path, required=True, help="folder of the roll-outs")
    add("--out", type=Path, required=True, help="file of the picked questions")
    for difficulty in Difficulty:
        add(f"--{difficulty}", type=int, default=0, metavar="N", help=f"{difficulty} questions")
    add_model_options(parser)
    arguments = parser.parse_args()
    task = Task(
        index=arguments.index,
        engine=arguments.engine,
        questions=arguments.questions,
        protocol=arguments.protocol,
        limits=TRAIN_LIMITS,
        k=TRAIN_K,
    )
    questions = task.questions[: arguments.limit]
    policy = get_policy(arguments.policy, questions, generator=make_generator(arguments))
    setup = Setup(
        tools=task.tools,
        protocol=task.protocol,
        limits=task.limits,
        scorers=(),
        seed=arguments.seed,
    )
    header = run_header(
        questions,
        setup,
        name=str(arguments.questions or DEMO),
        policy=describe_policy(arguments.policy, policy),
        retriever={"fingerprint": task.retriever.fingerprint, "k": TRAIN_K},
    )
    tried = try_questions(
        policy, questions, setup, arguments.work, header=header, progress=sys.stderr.isatty()
    )
    numbers = {each: sum(one.difficulty is each for one in tried) for each in Difficulty}
    print(", ".join(f"{number} {each}" for each, number in numbers.items()))
    counts = {each: getattr(arguments, each) for each in Difficulty}
    write_questions(arguments.out, pick_questions(questions, tried, counts, seed=arguments.seed))


if __name__ == "__main__":
    main()
