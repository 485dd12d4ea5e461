"""What a judge is asked about an answer, and what its reply says; no I/O.

The presets hold the rules of two published judges in our own words. A run that is to be compared
with published figures takes the original wording from a file: :meth:`JudgePrompt.of_file`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from searchenv.errors import RunError, did_you_mean
from searchenv.types import Question

__all__ = ["JUDGE_PROMPTS", "JudgePrompt", "get_judge_prompt"]

_FIELD = re.compile(r"\{(question|answers|prediction)\}")
_END = re.compile(r"[.!?:;,](?:\s+|$)|\s+[-–—]\s+|\n")
_LABEL = r"(?:(?:the|my|final)\s+)*(?:verdict|judge?ment|answer|result)(?:\s+is)?"


@dataclass(frozen=True)
class JudgePrompt:
    """A wording with its name and version, and the two words that it asks for.

    ``{question}``, ``{answers}`` and ``{prediction}`` in the template are filled in, each on one
    line; gold answers are separated by semicolons.

    Raises:
        ValueError: the template lacks one of the three, or the words are not two different ones.
    """

    name: str
    version: int
    """Of a preset, from 1 on; 0 for a user's own."""
    template: str
    right: str = "True"
    wrong: str = "False"
    yes_no: bool = False
    """Whether the gold answers "True" and "False" are shown as "yes" and "no"."""

    def __post_init__(self) -> None:
        """Checks template and words."""
        fields = ("answers", "prediction", "question")
        if missing := sorted(set(fields) - set(_FIELD.findall(self.template))):
            raise ValueError(
                f"judge prompt {self.name!r} lacks {{{'}, {'.join(missing)}}}: "
                f"it must hold {{{'}, {'.join(fields)}}}"
            )
        words = [self.right.strip().lower(), self.wrong.strip().lower()]
        if "" in words or words[0] == words[1]:
            raise ValueError(f"expected two different words, got {self.right!r} and {self.wrong!r}")

    @classmethod
    def of_file(cls, path: str | Path, rules: "JudgePrompt", *, name: str = "") -> "JudgePrompt":
        """Returns the wording in a file, with the words and the habits of ``rules``.

        Args:
            path: a text in UTF-8.
            rules: the preset that it stands in for.
            name: of the prompt; the file's without its ending where it is empty.

        Raises:
            OSError: the file cannot be read.
            ValueError: the text lacks a field.
        """
        template = Path(path).read_text(encoding="utf-8")
        return replace(rules, name=name or Path(path).stem, version=0, template=template)

    @classmethod
    def of_dict(cls, state: Mapping[str, object]) -> "JudgePrompt":
        """Returns the prompt whose :meth:`to_dict` is ``state``.

        Raises:
            RunError: ``state`` is no prompt, or has been edited.
        """
        fields = {key: value for key, value in state.items() if key != "sha256"}
        try:
            prompt = cls(**fields)  # type: ignore[arg-type]
        except (TypeError, ValueError, AttributeError) as error:
            raise RunError(f"expected a judge prompt, got {state!r:.80} ({error})") from error
        if prompt.sha256 != state.get("sha256"):
            raise RunError(f"judge prompt {prompt.name!r} does not have the hash that it names")
        return prompt

    def to_dict(self) -> dict[str, object]:
        """Returns the prompt as JSON-able data, with its hash."""
        return {**asdict(self), "sha256": self.sha256}

    @cached_property
    def sha256(self) -> str:
        """Of all that decides a verdict, so not of name and version."""
        parts = [self.template, self.right, self.wrong, self.yes_no]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def render(self, question: Question, prediction: str) -> str:
        """Returns what the judge is asked; no field can hold another line or another field."""
        shown = {"True": "yes", "False": "no"} if self.yes_no else {}
        values = {
            "question": question.text,
            "answers": "; ".join(shown.get(answer, answer) for answer in question.answers),
            "prediction": prediction,
        }
        return _FIELD.sub(lambda field: " ".join(values[field[1]].split()), self.template)

    def read(self, reply: str, *, cut: bool = False) -> bool | None:
        """Returns whether a reply calls the answer right; None where it does not say.

        What stands before ``</think>`` is left out. The verdict is one of the two words that stands
        alone before the first or after the last punctuation mark, dash or line end. Where these two
        places contradict each other there is no verdict. Case, marks around the word, and a label
        such as ``Verdict:`` do not count.

        Args:
            reply: all that the judge wrote.
            cut: whether it was cut off, so that its end is none.

        >>> prompt = get_judge_prompt("r1_searcher")
        >>> prompt.read("**False**, the town is another one.")
        False
        >>> prompt.read("It is true that they agree.") is None
        True
        """
        said = reply.rpartition("</think>")[2]
        pieces = [piece for piece in _END.split(said) if piece.strip("\t *_`#>\"'()[]")]
        places = pieces[:1] if cut else [*pieces[:1], *pieces[-1:]]
        verdicts = {verdict for place in places if (verdict := self._word(place)) is not None}
        return verdicts.pop() if len(verdicts) == 1 else None

    def _word(self, text: str) -> bool | None:
        words = {self.right.strip().lower(): True, self.wrong.strip().lower(): False}
        either = "|".join(re.escape(word) for word in words)
        found = re.fullmatch(rf"[\W_]*(?:{_LABEL}[\W_]+)?({either})[\W_]*", text.lower())
        return words[found[1]] if found else None


_R1_SEARCHER = """\
You check a short answer to a question against reference answers.

Question: {question}
Reference answers: {answers}
Answer to check: {prediction}

Reference answers are separated by semicolons; it is enough if one of them is met. The answer to \
check is right only if it has the meaning of that reference answer and all information that \
matters in it.
Reply with one word: True if the answer is right, False if it is not."""

_DEEPMMSEARCH_R1 = """\
Decide whether an answer to a question matches at least one reference answer.

Question: {question}
Reference answers, separated by semicolons: {answers}
Answer: {prediction}

It is a match
- if both say the same in synonyms or by another name of the same thing;
- if they differ only in articles, in upper and lower case, or in the order of words;
- for numbers, if the answer is a range that the reference lies in, if one is a reasonable \
rounding of the other, or if they are the same quantity in different units.
Everything else is no match.
Reply with one word: True for a match, False for no match."""

JUDGE_PROMPTS: Mapping[str, JudgePrompt] = MappingProxyType(
    {
        prompt.name: prompt
        for prompt in (
            JudgePrompt("r1_searcher", 1, _R1_SEARCHER, yes_no=True),
            JudgePrompt("deepmmsearch_r1", 1, _DEEPMMSEARCH_R1),
        )
    }
)
"""The presets by name; read-only. A preset that asks otherwise gets a new version.

``r1_searcher``
    Song et al. 2025 (R1-Searcher, arXiv 2503.05592v2), ACC_L; the judge script of
    RUCAIBox/R1-Searcher at 631167cbb3c2464f805730e3e364a690f5b136d4, by our notes. The paper's
    judge is GPT-4o-mini with at most 1,024 tokens. Differences: 1. The wording is ours. 2. Episodes
    without an answer are wrong without being asked about; the script asks about "I don't know.".
``deepmmsearch_r1``
    Narayan et al. 2025 (DeepMMSearch-R1, arXiv 2510.12801v1), the rules of its reward and of its
    evaluation, by our notes; its judges are GPT-4o and gpt-5-chat-latest. Differences: 1. The
    wording and the two words of the verdict are ours. 2. The judge does not see the image of a
    question.
"""


def get_judge_prompt(name: str) -> JudgePrompt:
    """Returns the preset of this name.

    Raises:
        ValueError: there is none; the message names the nearest one.
    """
    try:
        return JUDGE_PROMPTS[name]
    except KeyError:
        raise ValueError(
            f"unknown judge prompt {name!r}. {did_you_mean(name, JUDGE_PROMPTS)}"
        ) from None
