"""The rows of another project's outputs as records: moves, findings, segments, scores."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from searchenv.evaluation import QuestionResult, Record
from searchenv.evaluation.merge import UNKNOWN
from searchenv.evaluation.outputs import Output
from searchenv.imports.rows import Format
from searchenv.questions.link import plain_title
from searchenv.results import Result, Turn
from searchenv.types import (
    Act,
    Answer,
    Fault,
    Gold,
    Hit,
    Invalid,
    Move,
    Passage,
    Question,
    Segment,
    Source,
)

__all__ = ["Played", "records_of"]


class Played:
    """What became of one row: moves, findings, segments."""

    def __init__(self, row: Output, kind: Format) -> None:
        self.row = row
        self.stop = kind.stop(row)
        text, findings = kind.transcript(row), kind.findings(row)
        self.protocol = text.protocol if text is not None else None
        self.segments = text.segments if text is not None else ()
        self.moves: list[Move] = []
        self.found: list[tuple[Passage, ...] | None] = []
        if text is not None:
            self.moves, self.found = list(text.moves), list(text.found)
        if findings is not None:
            ran = [i for i, passages in enumerate(self.found) if passages is not None]
            if len(ran) == len(findings):
                for i, finding in zip(ran, findings, strict=True):
                    self.found[i] = finding.passages
            else:  # the text has other tags: its parts cannot be told apart
                self.protocol, self.segments = None, _undivided(self.segments)
                self.moves = [Act((finding.call,)) for finding in findings]
                self.found = [finding.passages for finding in findings]
        self.shows_findings = text is not None or findings is not None
        if row.prediction is not None:
            self._add(Answer(row.prediction))
        elif text is None or text.last.strip():
            self._add(Invalid(Fault.NO_ACTION, "no answer"))

    def _add(self, move: Move) -> None:
        self.moves.append(move)
        self.found.append(None)

    @property
    def untold(self) -> tuple[str, ...]:
        """Measures that the row does not tell."""
        no_counts = ("searches", "turns") if self.row.searches is None else ()
        # Gold passages are known by their titles.
        titled = all(passage.title for found in self.found for passage in found or ())
        return no_counts if self.shows_findings and titled else (*no_counts, "gold_recall")

    def record(self, question: Question, sample: int, scorers: Sequence[str]) -> Record:
        """Returns the record of the row."""
        hits = tuple(() if found is None else (_hits(found),) for found in self.found)
        turns = tuple(
            Turn(move, 0, tuple(tuple(hit.passage.id for hit in each) for each in some))
            for move, some in zip(self.moves, hits, strict=True)
        )
        untold = self.untold
        searches = sum(found is not None for found in self.found)
        result = Result(
            question=question,
            protocol=self.protocol or UNKNOWN,
            stop=self.stop,
            turns=turns,
            segments=self.segments,
            calls={} if "searches" in untold else {"search": searches},
            penalty=0.0,
        )
        reward = self.row.record.get("score")
        terms = {"score": float(reward)} if isinstance(reward, int | float) else {}
        outcome = QuestionResult.of(result, terms, scorers)
        if "gold_recall" in untold:
            outcome = replace(outcome, gold_recall=None)
        return Record(result, hits, outcome, sample, untold)


def _by_title(questions: Iterable[Question], played: Iterable[Played]) -> dict[str, Question]:
    """Returns the questions by id, with their gold passages linked to the found ones by title.

    The ids that gold passages have are of another corpus than that of the files. One that was
    never found gets an id that no passage has: it counts as not found.
    """
    titles: dict[str, dict[str, None]] = defaultdict(dict)
    for each in played:
        for passage in (passage for found in each.found for passage in found or ()):
            titles[plain_title(passage.title)][passage.id] = None

    def linked(gold: Gold) -> Gold:
        title = plain_title(gold.title)
        ids = tuple(titles.get(title, (f"not found: {title}",))) if title else ()
        return replace(gold, ids=ids)

    unique = {question.id: question for question in questions}
    return {
        id_: replace(question, gold=tuple(map(linked, question.gold)))
        for id_, question in unique.items()
    }


def records_of(
    asked: Sequence[Question], played: Sequence[Played], scorers: Sequence[str]
) -> list[Record]:
    """Returns the records in the order in which their questions come first."""
    linked = _by_title(asked, played)
    samples: dict[str, list[Record]] = {id_: [] for id_ in linked}
    for question, each in zip(asked, played, strict=True):
        before = samples[question.id]
        before.append(each.record(linked[question.id], len(before), scorers))
    return [record for records in samples.values() for record in records]


def _undivided(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    prompt = tuple(segment for segment in segments if segment.source is Source.PROMPT)
    text = "".join(segment.text for segment in segments[len(prompt) :])
    return (*prompt, Segment(Source.AGENT, text, trained=False)) if text else prompt


def _hits(passages: Iterable[Passage]) -> tuple[Hit, ...]:
    # No file tells the scores of hits.
    return tuple(Hit(passage, 0.0, rank) for rank, passage in enumerate(passages, start=1))
