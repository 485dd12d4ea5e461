"""Plays questions with a policy and scores them, many episodes at once."""

from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from searchenv.episode import Episode
from searchenv.errors import QuestionError
from searchenv.evaluation.play import play
from searchenv.evaluation.report import EvaluationReport, QuestionResult
from searchenv.metrics import get_scorer
from searchenv.policies.base import Policy
from searchenv.protocols import TextProtocol, get_protocol
from searchenv.rewards import Outcome, Reward, score
from searchenv.types import Limits, Question, Tool

__all__ = ["DEFAULT_SCORERS", "evaluate"]

DEFAULT_SCORERS = ("em", "f1_hotpot")
"""EM is the same in all four suites. This F1 is that of HotpotQA's and 2WikiMultihopQA's official
scripts: a wrong yes or no earns nothing for shared words."""


def evaluate(
    policy: Policy,
    questions: Sequence[Question],
    *,
    tools: Mapping[str, Tool],
    protocol: str | TextProtocol = "search_r1",
    limits: Limits | None = None,
    reward: Reward | None = None,
    scorers: Sequence[str] = DEFAULT_SCORERS,
    num_envs: int = 64,
    progress: bool = False,
) -> EvaluationReport:
    """Returns what the policy made of each question.

    Up to ``num_envs`` episodes step together, with one call to the policy and one to each tool a
    step; where an episode ends, the next question begins. The results do not depend on
    ``num_envs``, as long as those of the policy and the tools do not depend on the batch.

    A tool that fails after its retries ends its question as failed, which scores 0 and is counted;
    so does a policy that raises ``PolicyError``. What else the policy raises is passed on.

    Args:
        policy: writes the moves.
        questions: at least one.
        tools: by name.
        protocol: a protocol or its name.
        limits: the budgets of an episode; None means ``Limits()``.
        reward: gives each result its terms; None means exact match.
        scorers: names of :data:`searchenv.metrics.SCORERS`.
        num_envs: episodes in flight, at least 1.
        progress: shows a bar on stderr.

    Raises:
        QuestionError: there are no questions.
        ValueError: ``num_envs`` is below 1, a scorer is unknown, or the policy did not write one
            text for each view.
    """
    if not questions:
        raise QuestionError("expected at least one question, got none")
    for name in scorers:
        get_scorer(name)
    protocol = get_protocol(protocol)
    limits = Limits() if limits is None else limits
    reward = Outcome("em") if reward is None else reward
    places: dict[Episode, int] = {}

    def begin() -> Iterator[Episode]:
        for i, question in enumerate(questions):
            episode = Episode(question, protocol, limits)
            places[episode] = i
            yield episode

    results: dict[int, QuestionResult] = {}
    ended = play(policy, begin(), tools, num_envs=num_envs)
    for episode in tqdm(ended, total=len(questions), unit="question", disable=not progress):
        result = episode.result
        results[places.pop(episode)] = QuestionResult.of(result, score(reward, result), scorers)
    return EvaluationReport(tuple(results[i] for i in range(len(questions))))
