"""A policy that always answers yes, and runs of it whose scores one can count; a suite's files."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from searchenv.episode import EpisodeView
from searchenv.evaluation import Run, Setup, run_header, run_questions
from searchenv.protocols import get_protocol
from searchenv.questions import write_questions
from searchenv.types import Answer, Limits, Passage, Question

YesRun = Callable[..., Run]


class Yes:
    """Answers yes, and no in the samples whose seeds are odd."""

    def __init__(self, *, changes: bool = False) -> None:
        self.changes = changes

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        return [view.protocol.render(Answer(self.answer(view))) for view in views]

    def answer(self, view: EpisodeView) -> str:
        return "no" if self.changes and view.seed % 2 else "yes"


@pytest.fixture
def yes_run(tmp_path: Path) -> YesRun:
    """Plays questions given by id and gold answer into the folder ``name``."""

    def play(
        name: str,
        answers: dict[str, str],
        *,
        samples: int = 1,
        seed: int = 0,
        policy: str = "yes",
        metadata: dict[str, dict[str, object]] | None = None,
    ) -> Run:
        questions = [
            Question(id_, f"Is {id_} so?", (answer,), metadata=(metadata or {}).get(id_, {}))
            for id_, answer in answers.items()
        ]
        setup = Setup(
            tools={},
            protocol=get_protocol("search_r1"),
            limits=Limits(max_turns=2),
            scorers=("em",),
            samples=samples,
            seed=seed,
        )
        header = run_header(
            questions, setup, name=name, policy={"name": policy}, retriever={"k": 3}
        )
        return run_questions(
            Yes(changes=samples > 1), questions, setup, tmp_path / name, header=header
        )

    return play


@pytest.fixture
def towns(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    questions: Sequence[Question],
    passages: Sequence[Passage],
) -> Path:
    """The files of ``invented:TOWNS``: three questions over three passages."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    folder = tmp_path / "data" / "towns"
    folder.mkdir(parents=True)
    write_questions(folder / "test.jsonl", questions)
    corpus = "".join(json.dumps(passage._asdict()) + "\n" for passage in passages)
    (folder / "corpus.jsonl").write_text(corpus)
    return folder.parent
