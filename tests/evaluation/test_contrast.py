"""MuSiQue-Full's group score, worked by hand from the behaviour of its official script."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.episode import EpisodeView
from searchenv.errors import QuestionError, RunError
from searchenv.evaluation import Record, Setup, run_header, run_questions
from searchenv.evaluation.contrast import score_contrast
from searchenv.protocols import get_protocol
from searchenv.types import Answer, Limits, Question

TWIN = "-unanswerable"
SAID = {
    "1": "Vell",  # right, and its twin refused: EM 1, F1 1
    f"1{TWIN}": "Unanswerable.",
    "2": "Vell Town hall",  # alias "Vell Town": p = 2/3, r = 1, F1 = 0.8
    f"2{TWIN}": "The unanswerable",
    "3": "Vell",  # right, but its twin was answered, if with the same words
    f"3{TWIN}": "Vell",
    "4": "unanswerable",  # refused
    f"4{TWIN}": "unanswerable",
    "5": "Vell",  # right, but its twin said nothing
    f"5{TWIN}": None,
    "6": "Vell",  # without a twin
}


class Says:
    """Answers what is written down for a question, and nothing where that is None."""

    def __init__(self, said: Mapping[str, str | None]) -> None:
        self._said = said

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        texts = []
        for view in views:
            said = self._said[view.question_id]
            texts.append("" if said is None else view.protocol.render(Answer(said)))
        return texts


def question(id_: str) -> Question:
    answerable = not id_.endswith(TWIN)
    return Question(
        id_, f"Where, {id_}?", ("Vell", "Vell Town"), metadata={"answerable": answerable}
    )


def play(said: Mapping[str, str | None], folder: Path, samples: int = 1) -> tuple[Record, ...]:
    questions = [question(id_) for id_ in said]
    setup = Setup(
        tools={},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=1),
        scorers=("em",),
        samples=samples,
    )
    header = run_header(questions, setup, name="full", policy={"name": "says"}, retriever={})
    return run_questions(Says(said), questions, setup, folder, header=header).records


def test_scores_worked_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = play(SAID, tmp_path / "run")
    found = score_contrast(records)
    assert {name: mean.n for name, mean in found.means.items()} == {
        "answer_em": 6,
        "answer_f1": 6,
        "group_answer_sufficiency_em": 5,
        "group_answer_sufficiency_f1": 5,
        "group_sufficiency": 5,
    }
    assert [mean.mean for mean in found.means.values()] == pytest.approx(
        [
            4 / 6,  # 1, 3, 5 and 6
            (1 + 0.8 + 1 + 0 + 1 + 1) / 6,
            1 / 5,  # 1
            (1 + 0.8) / 5,  # 1 and 2
            2 / 5,  # 1 and 2
        ]
    )
    assert (found.pairs, found.refused, found.answered) == (5, 1, 1)  # 4; the twin of 3
    assert main(["bench", "contrast", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "group_answer_sufficiency_f1    0.360  [" in out
    assert "5 pairs; 1 refusals of answerable questions, 1 answers to unanswerable ones" in out


def test_other_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"1": "Vell", f"1{TWIN}": "I don't know.", "2": "no idea", f"2{TWIN}": "unanswerable"}
    records = play(said, tmp_path / "run")
    assert score_contrast(records).means["group_sufficiency"].mean == 0.5  # 2: "no idea" answers
    theirs = score_contrast(records, refusals=["i don't know", "No idea"])
    assert theirs.means["group_sufficiency"].mean == 0.5  # 1
    assert theirs.means["group_answer_sufficiency_em"].mean == 0.5
    words = ["--refusal", "i don't know", "No idea"]
    assert main(["bench", "contrast", str(tmp_path / "run"), *words]) == 0
    assert "1 refusals of answerable questions, 1 answers" in capsys.readouterr().out
    with pytest.raises(ValueError, match="at least one refusal"):
        score_contrast(records, refusals=[])


def test_samples_are_paired_and_averaged(tmp_path: Path) -> None:
    records = play({"1": "Vell", f"1{TWIN}": "unanswerable"}, tmp_path / "run", samples=2)
    assert score_contrast(records).means["group_sufficiency"].n == 1
    with pytest.raises(RunError, match=r"'1' has 2 samples and its twin 1: play both equally"):
        score_contrast(records[:-1])


def test_runs_without_pairs(tmp_path: Path) -> None:
    records = play({"1": "Vell", f"1{TWIN}": "Vell"}, tmp_path / "run")
    with pytest.raises(RunError, match="holds no contrast pairs: play MuSiQue-Full"):
        score_contrast(records[:1])
    with pytest.raises(QuestionError, match="has no answerable twin"):
        score_contrast(records[1:])
