"""R1-Searcher's curriculum: how hard each question is, and the questions of both stages.

Source: Song et al. 2025, arXiv 2503.05592v2, section 3.1: Qwen-2.5-7B-Instruct with local retrieval
rolls out a question until the answer is right, and the number of roll-outs makes it easy (below
10), medium (10 to 20) or difficult (above 20). The code of the selection is not released.
Differences:

1. Any policy rolls out.
2. "Right" is cover-EM: every question of the published stage 1 has such an answer among its stored
   ones. The paper does not say.
3. Roll-outs end after the 20th; a question that is difficult may have no right answer at all.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import numpy as np
from tqdm import tqdm

from searchenv.episode import Episode
from searchenv.errors import RunError
from searchenv.evaluation import Record, Setup, play
from searchenv.evaluation.folder import locked, session, whole_lines, write_json, write_lines
from searchenv.policies.base import Policy
from searchenv.types import Question

__all__ = [
    "MAX_ROLLOUTS",
    "PUBLISHED_MIX",
    "Difficulty",
    "Tried",
    "pick_questions",
    "try_questions",
]

MAX_ROLLOUTS = 20
"""A question without a right answer in so many roll-outs is difficult."""
_SCORER = "cover_em_r1"
_HEADER, _TRIED, _PART = "selection.json", "tried.jsonl", "tried.part.jsonl"
_SESSIONS = "sessions.json"


class Difficulty(StrEnum):
    """How many roll-outs the first right answer took."""

    EASY = "easy"
    MEDIUM = "medium"
    DIFFICULT = "difficult"


PUBLISHED_MIX: Mapping[str, Mapping[str, Mapping[Difficulty, int]]] = MappingProxyType(
    {
        "stage_1": {
            "hotpotqa": {Difficulty.MEDIUM: 200},
            "2wikimultihopqa": {Difficulty.MEDIUM: 150},
        },
        "stage_2": {
            "hotpotqa": {Difficulty.MEDIUM: 2561, Difficulty.DIFFICULT: 2000},
            "2wikimultihopqa": {Difficulty.MEDIUM: 1087, Difficulty.DIFFICULT: 2500},
        },
    }
)
"""Questions by stage, data set and difficulty, after the paper's table: 350, then 8,148."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What the roll-outs of a question came to."""

    id: str
    """Of the question."""
    rollouts: int | None
    """How many the first right answer took; None: there was none in ``MAX_ROLLOUTS``."""

    @property
    def difficulty(self) -> Difficulty:
        """Easy below 10 roll-outs, medium from 10 to 20, else difficult."""
        if self.rollouts is None or self.rollouts > MAX_ROLLOUTS:
            return Difficulty.DIFFICULT
        return Difficulty.EASY if self.rollouts < 10 else Difficulty.MEDIUM


def try_questions(
    policy: Policy,
    questions: Sequence[Question],
    setup: Setup,
    out: str | os.PathLike[str],
    *,
    header: Mapping[str, object],
    at_once: int = 64,
    progress: bool = False,
) -> tuple[Tried, ...]:
    """Rolls out each question until it is answered rightly; returns them in their order.

    ``out`` holds ``selection.json``, the header, and ``tried.part.jsonl``, to which a line is
    appended for each question that is done; the same call goes on from there. At the end its lines,
    in the order of the questions, are ``tried.jsonl``, with those of earlier calls about other
    questions behind them. How often it was interrupted changes nothing in it.

    Args:
        policy: plays; should draw from its views' seeds.
        questions: with ids of their own.
        setup: tools, protocol, limits and seed; the n-th roll-out of a question is its n-th sample.
        out: a folder of the selection's own; made where it is missing.
        header: JSON-able; says all that decides the result. See
            :func:`searchenv.evaluation.run_header`.
        at_once: questions that are rolled out together.
        progress: shows a bar on stderr.

    Raises:
        RunError: the folder holds another selection, another process is at it, or a tool or the
            policy failed; what was done until then is kept.
        ValueError: ``at_once`` is below 1, or two questions have the same id.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be >= 1, got {at_once}")
    if len({question.id for question in questions}) < len(questions):
        raise ValueError("expected questions with ids of their own, got two with the same id")
    setup = replace(setup, scorers=(_SCORER,))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        done = _recover(folder, header)
        waiting = [question for question in questions if question.id not in done]
        if waiting:
            with (
                session(folder / _SESSIONS, policy, tried=len(waiting)),
                (folder / _PART).open("ab") as stream,
                tqdm(
                    total=len(questions), initial=len(done), unit="question", disable=not progress
                ) as bar,
            ):
                for tried in _roll_out(policy, waiting, setup, at_once):
                    done[tried.id] = tried
                    stream.write(_line(tried))
                    stream.flush()
                    bar.update()
        found = tuple(done.pop(question.id) for question in questions)
        write_lines(folder / _TRIED, map(_line, [*found, *done.values()]))
        (folder / _PART).unlink(missing_ok=True)
    return found


def pick_questions(
    questions: Sequence[Question],
    tried: Sequence[Tried],
    counts: Mapping[Difficulty, int],
    *,
    seed: int = 0,
) -> tuple[Question, ...]:
    """Returns so many questions of each difficulty, which their metadata then say.

    The order is the seed's and does not depend on the counts: with the same seed, fewer questions
    are among more. So it is in the published files, where stage 2 holds the HotpotQA questions of
    stage 1 again. :func:`searchenv.questions.write_questions` writes them as jsonl.

    Raises:
        ValueError: there are too few questions of a difficulty.
    """
    by_id = {each.id: each for each in tried}
    order = np.random.default_rng(seed).permutation(len(questions))
    shuffled = [questions[i] for i in order if questions[i].id in by_id]
    picked: list[Question] = []
    for difficulty, count in counts.items():
        fitting = [each for each in shuffled if by_id[each.id].difficulty is difficulty]
        if len(fitting) < count:
            raise ValueError(
                f"expected at least {count} {difficulty} questions, got {len(fitting)}: "
                "try more questions"
            )
        for each in fitting[:count]:
            told = {"difficulty": difficulty.value, "rollouts": by_id[each.id].rollouts}
            picked.append(replace(each, metadata={**each.metadata, **told}))
    return tuple(picked)


def _roll_out(
    policy: Policy, questions: Sequence[Question], setup: Setup, at_once: int
) -> Iterator[Tried]:
    """Yields each question once it is done; all that are open have their next roll-out together."""
    waiting = iter(questions)
    playing: dict[str, tuple[Question, int]] = {}  # with the roll-outs that are done
    while True:
        while len(playing) < at_once and (following := next(waiting, None)) is not None:
            playing[following.id] = (following, 0)
        if not playing:
            return
        episodes = [
            Episode(question, setup.protocol, setup.limits, seed=setup.sample_seed(number))
            for question, number in playing.values()
        ]
        for episode in play(policy, episodes, setup.tools, num_envs=len(episodes)):
            record = Record.of(episode, setup.reward, setup.scorers)
            if record.outcome.failed:
                raise RunError(
                    f"question {episode.question.id!r} could not be rolled out "
                    f"({record.result.error}): mend it and start again, what is done is kept"
                )
            question, number = playing.pop(episode.question.id)
            if record.scores[_SCORER] == 1.0:
                yield Tried(question.id, number + 1)
            elif number + 1 == MAX_ROLLOUTS:
                yield Tried(question.id, None)
            else:
                playing[question.id] = (question, number + 1)


def _recover(folder: Path, header: Mapping[str, object]) -> dict[str, Tried]:
    """Returns what is done, and leaves only whole lines in the part file."""
    path = folder / _HEADER
    header = json.loads(json.dumps(header))
    if not path.exists():
        write_json(path, header)
    elif json.loads(path.read_text(encoding="utf-8")) != header:
        raise RunError(f"{folder} holds another selection: choose another folder")
    whole = folder / _TRIED
    lines = whole_lines(whole if whole.exists() else folder / _PART)
    write_lines(folder / _PART, lines)
    whole.unlink(missing_ok=True)
    return {tried.id: tried for tried in (Tried(**json.loads(line)) for line in lines)}


def _line(tried: Tried) -> bytes:
    return json.dumps(asdict(tried)).encode() + b"\n"
