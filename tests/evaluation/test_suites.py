"""Suites: their files, their indexes, and that all that says what they are agrees."""

from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import IndexMismatchError, QuestionError
from searchenv.evaluation import read_run
from searchenv.evaluation.expected import read_expected
from searchenv.evaluation.suites import SUITES, Suite, get_suite, play_suite
from searchenv.indexing import build_index, load_spec

ROOT = Path(__file__).parents[2]


def test_read_gives_questions_over_their_corpus(towns: Path) -> None:
    data = get_suite("invented:TOWNS").read(towns)
    assert [question.id for question in data.questions] == ["q1", "q2", "q3"]
    assert [gold.ids for gold in data.questions[0].gold] == [("p1",), ("p2",)]
    assert data.num_passages == 3


def test_read_names_the_files_that_are_missing(towns: Path) -> None:
    (towns / "towns" / "corpus.jsonl").unlink()
    with pytest.raises(QuestionError, match=r"lacks \S+/towns/corpus\.jsonl: benchmarks/towns/"):
        get_suite("invented:TOWNS").read(towns)


def test_read_says_how_to_name_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEARCHENV_DATA", raising=False)
    with pytest.raises(QuestionError, match=r"set SEARCHENV_DATA, or give --data.* bamboogle/ques"):
        SUITES["bamboogle"].read()


def test_read_refuses_a_corpus_without_the_gold_passages(towns: Path) -> None:
    path = towns / "towns" / "test.jsonl"
    path.write_text('{"question": "Who?", "golden_answers": ["x"], "gold": [{"title": "Lost"}]}\n')
    with pytest.raises(QuestionError, match="lacks passages that belong to the questions of towns"):
        get_suite("invented:TOWNS").read(towns)


def test_an_index_is_built_once_and_opened_again(towns: Path, tmp_path: Path) -> None:
    suite = get_suite("invented:TOWNS")
    data = suite.read(towns)
    first = suite.open(data, home=tmp_path)
    built = (tmp_path / "towns" / "manifest.json").stat().st_mtime_ns
    assert suite.open(data, "BM25", home=tmp_path).fingerprint == first.fingerprint
    assert (tmp_path / "towns" / "manifest.json").stat().st_mtime_ns == built
    assert [hit.passage.id for hit in first.search(["Dunmarrow river"], 1)[0]] == ["p3"]


def test_an_index_of_other_passages_is_refused(towns: Path, tmp_path: Path) -> None:
    suite = get_suite("invented:TOWNS")
    suite.open(suite.read(towns), home=tmp_path)
    with (towns / "towns" / "corpus.jsonl").open("a") as stream:
        stream.write('{"id": "p4", "title": "Issel", "text": "A river."}\n')
    with pytest.raises(IndexMismatchError, match=r"engine 'lucene' over other passages than"):
        suite.open(suite.read(towns), home=tmp_path)


def test_an_index_with_other_settings_is_refused(towns: Path, tmp_path: Path) -> None:
    suite = get_suite("invented:TOWNS")
    data = suite.read(towns)
    build_index(data.corpus, tmp_path / "towns", engine="lucene", k1=1.2)
    with pytest.raises(IndexMismatchError, match="or with other settings: move it away"):
        suite.open(data, home=tmp_path)


def test_unknown_names_suggest_the_nearest(towns: Path) -> None:
    with pytest.raises(ValueError, match=r"no suite is named 'hotpot'.* 'hotpotqa'"):
        get_suite("hotpot")
    with pytest.raises(ValueError, match="'math:pi': expected a Suite, got float"):
        get_suite("math:pi")
    suite = get_suite("invented:TOWNS")
    with pytest.raises(ValueError, match="unknown retriever 'bm25'"):
        suite.open(suite.read(towns), "bm25")


def test_the_command_line_plays_what_play_suite_plays(
    towns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "run", "invented:TOWNS", "--data", str(towns), "--policy", "one_shot"]
    assert main([*words, "--out", str(tmp_path / "cli")]) == 0
    assert "3 questions, 0 failed" in capsys.readouterr().out
    suite = get_suite("invented:TOWNS")
    data = suite.read(towns)
    run = play_suite(suite, "one_shot", data, suite.open(data), tmp_path / "library")
    assert read_run(tmp_path / "cli").header == run.header
    assert run.header["name"] == "towns v1"
    assert run.header["retriever"]["k"] == 2
    assert read_run(tmp_path / "cli").records == run.records


def test_what_a_suite_says_can_be_replaced_and_the_header_tells(
    towns: Path, tmp_path: Path
) -> None:
    words = ["bench", "run", "invented:TOWNS", "--data", str(towns), "--policy", "oracle"]
    more = ["--k", "3", "--max-turns", "4", "--scorer", "em", "--protocol", "react"]
    assert main([*words, *more, "--out", str(tmp_path / "run")]) == 0
    header = read_run(tmp_path / "run").header
    assert header["retriever"]["k"] == 3
    assert header["limits"]["max_turns"] == 4
    assert header["scorers"] == ["em"]
    assert header["protocol"]["name"] == "react"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hotpotqa", "--index", "demo"], "--index: the suite says it: leave it out"),
        (["hotpotqa", "--engine", "bm25s"], "--engine: the suite says it: leave it out"),
        (["--retriever", "dense"], "--retriever: it belongs to a SUITE: name one"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["bench", "run", *words, "--policy", "oracle", "--out", str(tmp_path)]
    assert main(run) == 2
    assert message in capsys.readouterr().err


@pytest.mark.data
def test_the_specs_of_indexes_are_those_of_the_suites(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCHENV_DATA", str(data_dir))
    for suite in SUITES.values():
        wanted = suite.index_spec("lucene", data_dir / suite.name / suite.corpus)
        assert load_spec(ROOT / "indexes" / f"{suite.index}.toml") == wanted


@pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))
def test_every_suite_has_a_card_with_its_figures(suite: Suite) -> None:
    folder = ROOT / "benchmarks" / suite.name
    card = (folder / "README.md").read_text(encoding="utf-8")
    expected = read_expected(folder / "expected.toml")
    assert expected.suite == suite.label
    assert [each.policy for each in expected.figures if each.retriever == "BM25"] == [
        "oracle",
        "one_shot",
        "iterative",
        "random",
    ]
    for each in expected.figures:
        cells = [each.policy, each.retriever, *(f"{mean:.4f}" for mean in each.means.values())]
        assert f"| {' | '.join(cells)} |" in card
    for name in (*suite.questions, suite.corpus):
        assert f"`{name}`" in card
    assert f"commit {expected.commit};" in card
