"""Replies of a judge that were recorded, in place of the judge: verdicts without a server."""

from collections.abc import Sequence
from pathlib import Path

from searchenv.errors import PolicyError
from searchenv.evaluation.judge_files import digest, read_verdicts
from searchenv.evaluation.judge_prompts import JudgePrompt
from searchenv.policies.generation import Completion, Finish, Prompt

__all__ = ["RecordedReplies"]


class RecordedReplies:
    """A generator that says to each text what a file of verdicts holds for it.

    Args:
        path: a ``judge.NAME.jsonl``, of this run or of another.

    Raises:
        RunError: the file holds no verdicts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        header, verdicts = read_verdicts(path)
        self.prompt = JudgePrompt.of_dict(header["prompt"])
        """What was asked then."""
        self._model = header["model"]
        self._replies = {v.asked: v for v in verdicts if v.reply is not None}

    def describe(self) -> object:
        """Returns the model that was recorded."""
        return self._model

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        """Returns the recorded reply to each text, ``n`` times.

        Raises:
            PolicyError: there is none to one of them.
        """
        return [[self._reply(str(prompt))] * n for prompt in prompts]

    def _reply(self, prompt: str) -> Completion:
        found = self._replies.get(digest(prompt))
        if found is None or found.reply is None:
            raise PolicyError(f"{self._path} holds no reply to this question and answer")
        return Completion(found.reply, Finish.LENGTH if found.cut else Finish.STOP)
