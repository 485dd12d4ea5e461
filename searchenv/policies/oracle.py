"""A policy that knows the answers, which bounds what a search agent can reach."""

from collections.abc import Iterable, Sequence

from searchenv.episode import EpisodeView
from searchenv.errors import QuestionError
from searchenv.policies.moves import expressible, may_search, searched, write_answer, write_search
from searchenv.types import Question

__all__ = ["OraclePolicy"]


class OraclePolicy:
    """Searches the titles of the gold passages one after the other, then gives the gold answer.

    It is privileged on purpose: its gold-passage recall says what the index can deliver, and its
    score is the ceiling. A passage that an earlier search has found is not searched again. A
    question without known gold titles is answered at once.

    Args:
        questions: the questions that will be played, with their answers.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self._questions = {question.id: question for question in questions}

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns a search for a gold title that is still missing, or the first gold answer.

        Raises:
            QuestionError: a view is of a question that the policy was not given.
        """
        return [self._next(view) for view in views]

    def _next(self, view: EpisodeView) -> str:
        question = self._questions.get(view.question_id)
        if question is None:
            raise QuestionError(
                f"the oracle knows {len(self._questions)} questions, but not "
                f"{view.question_id!r}: give it the questions that are played"
            )
        if may_search(view):
            known = searched(view)
            found = {hit.passage.id for hits in known.values() for hit in hits}
            for gold in question.gold:
                missing = gold.title and found.isdisjoint(gold.ids)
                if missing and expressible(view.protocol, gold.title) not in known:
                    return write_search(view, gold.title)
        return write_answer(view, question.answers[0])
