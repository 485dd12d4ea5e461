"""``searchenv questions`` as the command line gives it."""

import json
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.indexing import Corpus
from searchenv.questions import question_corpus, read_questions

FILES = Path(__file__).parents[1] / "questions" / "files"
HOTPOTQA = """\
layout     hotpotqa
questions  1
aliases    0
with gold  1
passages   2
types      comparison: 1
hops       2: 1
first      5a01  Which lake is deeper, Lake Orra or Vell Tarn?
answers    Vell Tarn
gold       Lake Orra | Vell Tarn
"""


def test_show_hotpotqa(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["questions", "show", str(FILES / "hotpotqa.json")]) == 0
    assert capsys.readouterr().out == HOTPOTQA


def test_show_counts_types_and_hops_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds: list[dict[str, object]] = [
        {"type": "bridge", "hops": 3},
        {"type": "bridge"},
        {"type": "arithmetic", "hops": 2},
        {},
    ]
    records = [{"question": "Who?", "answer": ["Ida", "I."], **kind} for kind in kinds]
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    assert main(["questions", "show", str(path), "--format", "plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "layout     plain"
    assert lines[2] == "aliases    4"
    assert lines[5:7] == ["types      arithmetic: 1, bridge: 2", "hops       2: 1, 3: 1"]
    assert lines[-1] == "gold       none"


def test_show_of_no_questions_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.jsonl").write_text("")
    assert main(["questions", "show", str(tmp_path / "q.jsonl")]) == 2
    assert "holds no questions" in capsys.readouterr().err


def test_corpus_is_what_question_corpus_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(FILES / "hotpotqa.json"), str(FILES / "musique.jsonl")]
    out = tmp_path / "out"
    assert main(["questions", "corpus", *files, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 6 passages, 2 questions\n"
    expected = question_corpus(files)
    assert tuple(Corpus(out / "corpus.jsonl")) == expected.passages
    assert read_questions(out / "questions.jsonl") == expected.questions
    assert sorted(path.name for path in out.iterdir()) == ["corpus.jsonl", "questions.jsonl"]


def test_corpus_has_its_base_first_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.jsonl"
    base.write_text('{"id": "p1", "title": "Jon Dorn", "text": "A \\ud800 director."}\n')
    out = tmp_path / "out"
    argv = ["questions", "corpus", str(FILES / "2wiki_titles.jsonl"), "--base", str(base)]
    assert main([*argv, "--out", str(out)]) == 0
    assert capsys.readouterr().out == (
        f"{out}: 1 passages, 1 questions\n1 questions lack a gold passage in the corpus\n"
    )
    (question,) = read_questions(out / "questions.jsonl")
    assert [gold.ids for gold in question.gold] == [(), ("p1",)]


def test_corpus_adds_the_aliases_of_2wiki(tmp_path: Path) -> None:
    names = tmp_path / "id_aliases.json"
    names.write_text('{"Q_id": "Q3", "aliases": ["M. Dorn"], "demonyms": []}\n')
    base = tmp_path / "base.jsonl"
    base.write_text('{"id": "p1", "title": "Jon Dorn", "text": "A director."}\n')
    argv = ["questions", "corpus", str(FILES / "2wiki.jsonl"), "--base", str(base)]
    assert main([*argv, "--aliases", str(names), "--out", str(tmp_path / "out")]) == 0
    (question,) = read_questions(tmp_path / "out" / "questions.jsonl")
    assert question.answers == ("Mira Dorn", "M. Dorn")


def test_corpus_keeps_a_folder_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["questions", "corpus", str(FILES / "hotpotqa.json"), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    assert main(argv) == 2
    assert "out is already there" in capsys.readouterr().err
    assert main([*argv, "--replace"]) == 0


def test_corpus_of_files_without_passages_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["questions", "corpus", str(FILES / "bamboogle.jsonl"), "--out", str(tmp_path / "out")]
    assert main(argv) == 2
    assert "no passages stand beside these questions" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_corpus_of_a_passage_with_a_lone_surrogate_can_be_read(tmp_path: Path) -> None:
    record = {
        "_id": "a",
        "question": "Who?",
        "answer": "Ida",
        "supporting_facts": [["Vell", 0]],
        "context": [["Vell", ["A \ud800 town."]]],
    }
    (tmp_path / "q.jsonl").write_text(json.dumps(record))
    argv = ["questions", "corpus", str(tmp_path / "q.jsonl"), "--out", str(tmp_path / "out")]
    assert main(argv) == 0
    (passage,) = Corpus(tmp_path / "out" / "corpus.jsonl")
    assert passage.text == "A \ufffd town."


OVERLAP = """\
3 evaluation, 2 training questions
equal      2 are in the training set, word for word
      1.00  e1  Who?
            t1  who
      1.00  e1  Who?
            t2  WHO
      1.00  e2  WHO
            t1  who
      and 1 more pairs (--out FILE writes all)
near       0 are almost in the training set
gold       0 have all their gold passages in one training question
"""


def test_overlap_prints_three_pairs_and_writes_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = write(tmp_path / "train.jsonl", t1="who", t2="WHO")
    evaluation = write(tmp_path / "dev.jsonl", e1="Who?", e2="WHO", e3="When?")
    out = tmp_path / "pairs.jsonl"
    assert main(["questions", "overlap", training, evaluation, "--out", str(out)]) == 1
    assert capsys.readouterr().out == OVERLAP
    lines = out.read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[3]) == {
        "kind": "equal",
        "evaluation": "e2",
        "training": "t2",
        "containment": 1.0,
    }


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ([], 0),
        (["--threshold", "0.5"], 1),
        (["--threshold", "0.5", "--fail-on", "equal", "gold"], 0),
        (["--n", "1", "--threshold", "0.75"], 1),
        (["--threshold", "2"], 2),
    ],
)
def test_overlap_exit_status(tmp_path: Path, options: list[str], status: int) -> None:
    training = write(tmp_path / "train.jsonl", t1="who built the mill")
    evaluation = write(tmp_path / "dev.jsonl", e1="who built the bridge")
    assert main(["questions", "overlap", training, evaluation, *options]) == status


def write(path: Path, **texts: str) -> str:
    path.write_text(
        "".join(
            json.dumps({"id": name, "question": text, "answer": "Ida"}) + "\n"
            for name, text in texts.items()
        )
    )
    return str(path)
