"""R1-Searcher's rewards: first for searching and form, then for the right answer.

Source: Song et al. 2025, arXiv 2503.05592v2, section 2.2.1 and table 5; code RUCAIBox/R1-Searcher
at commit 631167c (``train/reward_server_*.py``). Paper and code differ, so that both are here:

===================  ==================  =======================  =======================
..                   ``paper``           ``code_llama``           ``code_qwen``
===================  ==================  =======================  =======================
stage 1: outcome     none                cover-EM: 1, else -1     there is no stage 1
stage 1: retrieval   0.5 for a search    0.5 for whole searches
stage 1: format      0.5 if well formed  0.5 for whole tags
stage 2: outcome     F1                  F1                       F1
stage 2: format      -2 if ill formed    -1 for a violation       -2 for a violation
===================  ==================  =======================  =======================

Violations of ``code_llama`` are ``documents``, ``tags`` and ``cjk`` (:class:`Violation`); of
``code_qwen`` all of them. The penalty is charged once, however many there are. The differences:

1. The paper describes "well formed" in words. Here ``paper`` takes all violations but ``role``,
   which the paper does not name; with them come the code's limit of 10 words for a short answer and
   its notion of garbled output.
2. F1, EM and cover-EM are ``f1_r1``, ``em_r1`` and ``cover_em_r1`` also in ``paper``, which gives
   the formula of F1 and nothing about normalising or about yes and no.
3. The code looks for role words in retrieved passages, too, and punishes good traces for them.
   Here only the agent's own text is read, unless ``reads_transcript`` is True.
4. In an episode of ours, markup in passages is neutralised. In the code a passage that holds a tag
   is counted.
5. Table 5 pays 1 or -1 for EM and cover-EM. A trace without answer tags gets -1 then.
6. The server of stage 1 returns ``[score, 0]`` and finds gold answers by the question; here the
   question has its answers, of which the best counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from searchenv.errors import RunError
from searchenv.evaluation.outputs import read_r1_searcher
from searchenv.metrics import get_scorer
from searchenv.results import Result
from searchenv.systems.r1_searcher.traces import Trace, Violation
from searchenv.types import Terms

__all__ = [
    "STAGE_ONE_LLAMA",
    "STAGE_ONE_PAPER",
    "STAGE_TWO_CEM",
    "STAGE_TWO_EM",
    "STAGE_TWO_LLAMA",
    "STAGE_TWO_PAPER",
    "STAGE_TWO_QWEN",
    "AnswerScore",
    "StageOne",
    "StageTwo",
    "Version",
    "score_outputs",
    "score_trace",
]


class Version(StrEnum):
    """Whose rewards."""

    PAPER = "paper"
    CODE_LLAMA = "code_llama"
    """The released servers of Llama-3.1-8B-Instruct."""
    CODE_QWEN = "code_qwen"
    """The released server of Qwen-2.5-7B-Base, which is used with the data of stage 2."""


class AnswerScore(StrEnum):
    """What stage 2 pays for the answer."""

    F1 = "f1_r1"
    EM = "em_r1"
    CEM = "cover_em_r1"


_END_TOKENS: Mapping[Version, str] = MappingProxyType(
    {
        Version.PAPER: "",
        Version.CODE_LLAMA: "<|eot_id|>",
        Version.CODE_QWEN: "<|endoftext|>",
    }
)
_CHECKS: Mapping[Version, frozenset[Violation]] = MappingProxyType(
    {
        Version.PAPER: frozenset(Violation) - {Violation.ROLE},
        Version.CODE_LLAMA: frozenset({Violation.DOCUMENTS, Violation.TAGS, Violation.CJK}),
        Version.CODE_QWEN: frozenset(Violation),
    }
)
_PENALTIES: Mapping[Version, float] = MappingProxyType(
    {Version.PAPER: -2.0, Version.CODE_LLAMA: -1.0, Version.CODE_QWEN: -2.0}
)


@dataclass(frozen=True, slots=True)
class StageOne:
    """The terms ``retrieval`` and ``format``; from the code also ``outcome``.

    From 0 to 1 in ``paper``, from -1 to 2 in ``code_llama``.

    Raises:
        ValueError: the version is unknown or has no stage 1.
    """

    version: Version = Version.PAPER
    reads_transcript: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Checks the version."""
        object.__setattr__(self, "version", Version(self.version))
        if self.version is Version.CODE_QWEN:
            raise ValueError("code_qwen has no stage 1: choose paper or code_llama")

    def __call__(self, result: Result) -> Terms:
        """Returns the terms of an episode."""
        return self.terms(Trace.of(result), result.question.answers)

    def terms(self, trace: Trace, answers: Sequence[str]) -> Terms:
        """Returns the terms of a trace."""
        trace = trace.ended(_END_TOKENS[self.version])
        violations = trace.violations()
        if self.version is Version.PAPER:
            return {
                "retrieval": 0.5 if trace.searches else 0.0,
                "format": 0.0 if violations & _CHECKS[self.version] else 0.5,
            }
        searched = trace.has_documents and Violation.DOCUMENTS not in violations
        return {
            "outcome": _signed(AnswerScore.CEM, trace, answers),
            "retrieval": 0.5 if searched else 0.0,
            "format": 0.0 if Violation.TAGS in violations else 0.5,
        }


@dataclass(frozen=True, slots=True)
class StageTwo:
    """The terms ``outcome`` and ``format``, the penalty.

    From -2 to 1, in ``code_llama`` from -1 to 1; with EM or cover-EM 1 less at the lower end.

    Raises:
        ValueError: version or score is unknown, or ``reads_transcript`` is set for a version whose
            checks do not look for role words.
    """

    version: Version = Version.PAPER
    answer_score: AnswerScore = AnswerScore.F1
    reads_transcript: bool = False
    """Looks for role words in retrieved passages, too, as the released code does."""

    def __post_init__(self) -> None:
        """Checks the names."""
        object.__setattr__(self, "version", Version(self.version))
        object.__setattr__(self, "answer_score", AnswerScore(self.answer_score))
        if self.reads_transcript and self.version is not Version.CODE_QWEN:
            raise ValueError(f"{self.version} has no check that reads passages, only code_qwen has")

    def __call__(self, result: Result) -> Terms:
        """Returns the terms of an episode."""
        trace = Trace.of(result, whole=self.reads_transcript)
        return self.terms(trace, result.question.answers)

    def terms(self, trace: Trace, answers: Sequence[str]) -> Terms:
        """Returns the terms of a trace."""
        trace = trace.ended(_END_TOKENS[self.version])
        violations = trace.violations(read_documents=self.reads_transcript)
        if self.answer_score is not AnswerScore.F1:
            outcome = _signed(self.answer_score, trace, answers)
        else:
            scorer = get_scorer(self.answer_score)
            outcome = scorer(trace.prediction, answers) if trace.has_answer else 0.0
        is_wrong = bool(violations & _CHECKS[self.version])
        return {"outcome": outcome, "format": _PENALTIES[self.version] if is_wrong else 0.0}


def score_trace(reward: StageOne | StageTwo, text: str, answers: Sequence[str]) -> Terms:
    """Returns the terms of anybody's trace, given as text in R1-Searcher's format.

    ``StageTwo(Version.CODE_QWEN, reads_transcript=True)`` is what the authors' server returns. The
    searches of a text are its queries that were answered with documents; who wrote the documents
    a text does not say, so that only the check ``documents`` finds out.

    Args:
        reward: of a stage.
        text: with the prompt or without.
        answers: the gold answers.

    >>> text = "I know it. </think> <answer> The Nile </answer>"
    >>> score_trace(StageTwo(Version.CODE_QWEN), text, ["Nile"])
    {'outcome': 1.0, 'format': 0.0}
    >>> score_trace(StageOne(Version.CODE_LLAMA), text, ["Nile"])
    {'outcome': 1.0, 'retrieval': 0.0, 'format': 0.5}
    """
    return reward.terms(Trace.read(text), answers)


def score_outputs(reward: StageOne | StageTwo, source: str) -> list[Terms]:
    """Returns the terms of each row of a file of R1-Searcher's outputs.

    Args:
        reward: of a stage.
        source: as for :func:`searchenv.evaluation.rescore.rescore_r1_searcher`; every row must have
            ``gen_text_store``.

    Raises:
        FileNotFoundError: there is no such file.
        QuestionError: the file cannot be read to its end, or holds something other than objects.
        RunError: it has no rows, or a row lacks a field.
    """
    found = []
    for number, row in enumerate(read_r1_searcher(source, "gpt4o_output"), start=1):
        if row.transcript is None:
            raise RunError(f"{source}, row {number}: expected a text in 'gen_text_store', got none")
        found.append(score_trace(reward, row.transcript, row.answers))
    return found


def _signed(score: AnswerScore, trace: Trace, answers: Sequence[str]) -> float:
    is_right = trace.has_answer and get_scorer(score)(trace.prediction, answers)
    return 1.0 if is_right else -1.0


STAGE_ONE_PAPER = StageOne()
STAGE_ONE_LLAMA = StageOne(Version.CODE_LLAMA)
STAGE_TWO_PAPER = StageTwo()
STAGE_TWO_EM = StageTwo(answer_score=AnswerScore.EM)
STAGE_TWO_CEM = StageTwo(answer_score=AnswerScore.CEM)
STAGE_TWO_LLAMA = StageTwo(Version.CODE_LLAMA)
STAGE_TWO_QWEN = StageTwo(Version.CODE_QWEN)
