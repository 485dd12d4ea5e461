"""How far a judge agrees with a scorer, and what its verdicts come to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from searchenv.evaluation.judge_files import Judgement, Ruling, with_verdicts
from searchenv.evaluation.records import Record
from searchenv.evaluation.report import Mean
from searchenv.evaluation.statistics import question_means
from searchenv.metrics import get_scorer

__all__ = ["Agreement", "agreement", "judgement_text"]

COVER_EM = "cover_em_r1"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two verdicts on each of some answers, a judge's and a scorer's, counted."""

    both: int
    """Answers that both call right."""
    judge_only: int
    scorer_only: int
    neither: int

    @property
    def n(self) -> int:
        """The answers."""
        return self.both + self.judge_only + self.scorer_only + self.neither

    @property
    def share(self) -> float | None:
        """The share on which both say the same; None of no answers."""
        return (self.both + self.neither) / self.n if self.n else None

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond chance, 1 at most; None where chance leaves no room.

        Cohen 1960, "A coefficient of agreement for nominal scales", Educational and Psychological
        Measurement 20(1). It is None for no answers, and where both give all the same verdict.

        >>> Agreement(both=20, judge_only=5, scorer_only=10, neither=15).kappa
        0.4
        """
        n, judge, scorer = self.n, self.both + self.judge_only, self.both + self.scorer_only
        by_chance = judge * scorer + (n - judge) * (n - scorer)  # times n squared
        observed = (self.both + self.neither) * n
        return (observed - by_chance) / (n * n - by_chance) if by_chance < n * n else None

    def text(self, scorer: str) -> str:
        """Returns percent, kappa and the table as plain text."""
        if self.share is None:
            return f"no answer has a verdict to compare with {scorer}"
        kappa = "undefined" if self.kappa is None else f"{self.kappa:.3f}"
        same = self.both + self.neither
        return "\n".join(
            [
                f"agrees with {scorer} on {same} of {self.n} answers "
                f"({100 * self.share:.1f} %), Cohen's kappa {kappa}",
                f"{'':<12}  {'scorer right':>12}  {'scorer wrong':>12}",
                f"{'judge right':<12}  {self.both:>12}  {self.judge_only:>12}",
                f"{'judge wrong':<12}  {self.scorer_only:>12}  {self.neither:>12}",
            ]
        )


def agreement(records: Sequence[Record], measure: str, scorer: str = COVER_EM) -> Agreement:
    """Returns how verdicts among the scores of records agree with a scorer.

    Counted are the records with an answer and a verdict; without an answer both would say wrong.

    Args:
        records: of :func:`searchenv.evaluation.judge_files.with_verdicts`.
        measure: the name of the verdicts among their scores.
        scorer: one of those that give 0 or 1.
    """
    score = get_scorer(scorer)
    pairs = Counter(
        (record.scores[measure] == 1, score(answer, record.result.question.answers) == 1)
        for record in records
        if (answer := record.result.answer) is not None and measure in record.scores
    )
    return Agreement(
        both=pairs[True, True],
        judge_only=pairs[True, False],
        scorer_only=pairs[False, True],
        neither=pairs[False, False],
    )


def judgement_text(records: Sequence[Record], judgement: Judgement) -> str:
    """Returns accuracy, counts, what could not be read, and the agreement with cover-EM.

    Raises:
        RunError: the verdicts are not on the answers of these records.
    """
    judged = with_verdicts(records, judgement)
    values = question_means(judged, judgement.measure).values()
    counts = Counter(verdict.ruling for verdict in judgement.verdicts)
    lines = []
    if values:
        mean = Mean.of(values)
        lines.append(
            f"{judgement.measure}  {mean.mean:.3f}  [{mean.low:.3f}, {mean.high:.3f}]  n={mean.n}"
        )
    shown = ", ".join(f"{counts[ruling]} {ruling}" for ruling in Ruling)
    lines.append(f"{len(records)} episodes: {shown}")
    for ruling in (Ruling.UNPARSABLE, Ruling.FAILED):
        without = [verdict for verdict in judgement.verdicts if verdict.ruling is ruling]
        lines += [
            f"  {ruling}: {v.id}: {' '.join((v.error or v.reply or '').split())[:100]!r}"
            for v in without[:_SHOWN]
        ]
        if len(without) > _SHOWN:
            lines.append(f"  {ruling}: {len(without) - _SHOWN} more")
    if counts[Ruling.UNPARSABLE] + counts[Ruling.FAILED]:
        lines.append("  these count neither as right nor as wrong: the mean is over the others")
    lines.append(agreement(judged, judgement.measure).text(COVER_EM))
    return "\n".join(lines)
