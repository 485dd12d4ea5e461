"""The official group score of MuSiQue-Full: a question and its unanswerable twin count together.

Trivedi et al. 2022 (MuSiQue, section 4.2 and 7). StonyBrookNLP/musique, ``evaluate_v1.0.py`` at
24cc5b297acc2abfc5fb3d0becb6ef7b73d03717, and its ``metrics/group_answer_sufficiency.py`` by copies
of that file in other repositories. A pair scores what the answer to its answerable question scores,
and 0 unless both twins are told apart: answerable and unanswerable. Differences:

1. The script reads whether a question is answerable from a field of its own. An agent that answers
   in text says it with a refusal, an answer that equals one of ``refusals`` after SQuAD's
   normalisation. Any other answer says that the question is answerable.
2. An episode without an answer says neither, so that its pair scores 0.
3. The samples of a question are paired one by one, and averaged before the mean over pairs.
4. Nothing is rounded. EM of pairs, which the script computes and does not print, is there too.
5. There is no support F1 and no group score of it: an agent that answers in text names no
   paragraphs. What it retrieved is in ``gold_recall``.

The score means something only where each twin is read over its own passages: see
:mod:`searchenv.questions.contrast`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from searchenv.errors import RunError
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.metrics import get_scorer
from searchenv.questions import contrast_pairs, is_answerable

__all__ = ["REFUSALS", "ContrastScores", "score_contrast"]

REFUSALS = ("unanswerable",)
"""What an agent answers to say that its passages do not hold the answer, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ContrastScores:
    """What the contrast pairs of a run come to."""

    means: Mapping[str, Mean]
    """``answer_em`` and ``answer_f1`` over the answerable questions of pairs and all others;
    ``group_answer_sufficiency_em``, ``group_answer_sufficiency_f1`` and ``group_sufficiency`` (the
    share of pairs of which both twins were told apart) over pairs. In [0, 1]."""
    pairs: int
    refused: int
    """Episodes of answerable questions that ended in a refusal."""
    answered: int
    """Episodes of unanswerable questions that ended in any other answer."""

    def text(self) -> str:
        """Returns the means and counts as plain text, one a line."""
        width = max(map(len, self.means))
        lines = [
            f"{name:<{width}}  {m.mean:7.3f}  [{m.low:.3f}, {m.high:.3f}]  n={m.n}"
            for name, m in self.means.items()
        ]
        counts = (
            f"{self.pairs} pairs; {self.refused} refusals of answerable questions, "
            f"{self.answered} answers to unanswerable ones"
        )
        return "\n".join([*lines, counts])


def score_contrast(
    records: Sequence[Record], *, refusals: Sequence[str] = REFUSALS
) -> ContrastScores:
    """Returns the official scores of a run over MuSiQue-Full.

    Args:
        records: of a whole run, with both twins of each pair; questions without a twin count in
            ``answer_em`` and ``answer_f1`` only.
        refusals: at least one.

    Raises:
        QuestionError: an unanswerable question has no twin.
        RunError: there is no pair, or twins have different numbers of samples.
        ValueError: there are no refusals.
    """
    if not refusals:
        raise ValueError("expected at least one refusal, got none")
    samples: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.key):
        samples.setdefault(record.result.question.id, []).append(record)
    questions = [some[0].result.question for some in samples.values()]
    pairs = contrast_pairs(questions)
    if not pairs:
        raise RunError(
            "the run holds no contrast pairs: play MuSiQue-Full, whose unanswerable questions say "
            '"answerable": false'
        )
    means: dict[str, Mean] = {}
    for name in ("em", "f1"):
        answerable = (samples[question.id] for question in questions if is_answerable(question))
        means[f"answer_{name}"] = Mean.of(
            fmean(_score(record, name) for record in some) for some in answerable
        )
    scored = [
        _pair(samples[pair.answerable.id], samples[pair.unanswerable.id], refusals)
        for pair in pairs
    ]
    for name in scored[0]:
        means[name] = Mean.of(each[name] for each in scored)
    says = [(is_answerable(r.result.question), _says(r, refusals)) for r in records]
    return ContrastScores(
        means=means,
        pairs=len(pairs),
        refused=says.count((True, False)),
        answered=says.count((False, True)),
    )


def _pair(
    answerable: Sequence[Record], unanswerable: Sequence[Record], refusals: Sequence[str]
) -> dict[str, float]:
    if len(answerable) != len(unanswerable):
        raise RunError(
            f"the question {answerable[0].key[0]!r} has {len(answerable)} samples and its twin "
            f"{len(unanswerable)}: play both equally often"
        )
    told_apart = [
        _says(first, refusals) is True and _says(second, refusals) is False
        for first, second in zip(answerable, unanswerable, strict=True)
    ]
    scores = {
        f"group_answer_sufficiency_{name}": fmean(
            _score(record, name) if apart else 0.0
            for record, apart in zip(answerable, told_apart, strict=True)
        )
        for name in ("em", "f1")
    }
    return {**scores, "group_sufficiency": fmean(told_apart)}


def _score(record: Record, name: str) -> float:
    answer = record.result.answer
    if answer is None:
        return 0.0
    return get_scorer(f"{name}_musique")(answer, record.result.question.answers)


def _says(record: Record, refusals: Sequence[str]) -> bool | None:
    """Returns whether the agent says that there is an answer; None where it says nothing."""
    answer = record.result.answer
    return None if answer is None else not get_scorer("em")(answer, refusals)
