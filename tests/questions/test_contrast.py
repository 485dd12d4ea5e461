"""MuSiQue-Full's twins: kept with a warning, left out when asked, paired."""

import json
import logging
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import QuestionError
from searchenv.questions import (
    contrast_pairs,
    is_answerable,
    question_corpus,
    read_questions,
    summarize_questions,
    write_questions,
)
from searchenv.types import Gold


def record(number: int, *, answerable: bool) -> dict[str, object]:
    titles = ["Orra Works", "Ida Ros"] if answerable else ["Orra Works", "Ida Holm"]
    return {
        "id": f"2hop__{number}_9",
        "paragraphs": [
            {
                "idx": idx,
                "title": title,
                "paragraph_text": f"{title} {number}.",
                "is_supporting": title != "Ida Holm",
            }
            for idx, title in enumerate(titles)
        ],
        "question": f"Where was founder {number} of Orra Works born?",
        "question_decomposition": [
            {"id": 1, "question": "Founder?", "answer": "Ida Ros", "paragraph_support_idx": 0},
            {
                "id": 9,
                "question": "#1 >> born",
                "answer": "Vell",
                "paragraph_support_idx": 1 if answerable else None,
            },
        ],
        "answer": "Vell",
        "answer_aliases": ["Vell Town"],
        "answerable": answerable,
    }


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Two questions of MuSiQue-Full, each with its twin."""
    records = [record(n, answerable=answerable) for n in (1, 2) for answerable in (True, False)]
    path = tmp_path / "musique_full_v1.0_dev.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def test_twins_are_kept_with_a_warning_that_counts_them(
    full: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions = read_questions(full)
    assert [question.id for question in questions] == [
        "2hop__1_9",
        "2hop__1_9-unanswerable",
        "2hop__2_9",
        "2hop__2_9-unanswerable",
    ]
    assert [is_answerable(question) for question in questions] == [True, False, True, False]
    assert questions[1].gold == (Gold("Orra Works"),)
    assert "2 of 4 questions are unanswerable" in caplog.text


def test_twins_are_left_out_when_asked(full: Path, caplog: pytest.LogCaptureFixture) -> None:
    questions = read_questions(full, answerable_only=True)
    assert [question.id for question in questions] == ["2hop__1_9", "2hop__2_9"]
    assert caplog.text == ""


def test_file_of_nothing_but_twins(tmp_path: Path) -> None:
    path = tmp_path / "twins.jsonl"
    path.write_text(json.dumps(record(1, answerable=False)))
    assert len(read_questions(path)) == 1
    with pytest.raises(QuestionError, match=r"twins\.jsonl holds no answerable questions"):
        read_questions(path, answerable_only=True)


def test_pairs(full: Path) -> None:
    questions = read_questions(full)
    assert contrast_pairs(questions) == (
        (questions[0], questions[1]),
        (questions[2], questions[3]),
    )
    assert contrast_pairs(questions[::2]) == ()
    with pytest.raises(QuestionError, match="'2hop__1_9-unanswerable' has no answerable twin"):
        contrast_pairs(questions[1:])


def test_pairs_survive_the_common_layout(full: Path, tmp_path: Path) -> None:
    questions = read_questions(full)
    write_questions(tmp_path / "common.jsonl", questions)
    assert contrast_pairs(read_questions(tmp_path / "common.jsonl")) == contrast_pairs(questions)


def test_corpus_of_all_twins_answers_them_and_one_without_does_not_hold_theirs(full: Path) -> None:
    corpus = question_corpus(full)
    assert {passage.title for passage in corpus.passages} == {"Orra Works", "Ida Ros", "Ida Holm"}
    assert len(corpus.questions) == 4
    alone = question_corpus(full, answerable_only=True)
    assert {passage.title for passage in alone.passages} == {"Orra Works", "Ida Ros"}
    assert [question.id for question in alone.questions] == ["2hop__1_9", "2hop__2_9"]


def test_command_line(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summarize_questions(full).num_unanswerable == 2
    assert main(["questions", "show", str(full)]) == 0
    assert "questions  4, 2 of them unanswerable\n" in capsys.readouterr().out
    out = tmp_path / "corpus"
    assert main(["questions", "corpus", str(full), "--answerable-only", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 4 passages, 2 questions\n"
    assert len(read_questions(out / "questions.jsonl")) == 2


@pytest.mark.data
def test_real_answerable_set_has_no_twins(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    questions = read_questions(data_dir / "musique/dev.jsonl.gz", answerable_only=True)
    assert len(questions) == 170
    assert contrast_pairs(questions) == ()
    with caplog.at_level(logging.WARNING):
        assert len(read_questions(data_dir / "musique/train.jsonl.gz")) == 299
    assert caplog.text == ""
