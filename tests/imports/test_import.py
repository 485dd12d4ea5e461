"""Files of other projects as runs; every figure is worked out by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from searchenv.cli import main
from searchenv.errors import QuestionError, RunError
from searchenv.evaluation import Record, Run, read_run
from searchenv.evaluation.compare import compare_runs
from searchenv.evaluation.merge import differences, merge_runs
from searchenv.evaluation.statistics import summarize
from searchenv.exports import sft_example
from searchenv.imports import import_run
from searchenv.questions import write_questions
from searchenv.types import Act, Answer, Gold, Invalid, Question, StopReason
from searchenv.viewer import write_page

Row = dict[str, object]
Write = Callable[..., str]
FOUND = '</search>\n\n<information>Doc 1(Title: "Oslo") Oslo is a town.</information>\n\n'
PROMPT = "user\nAnswer, such as <answer> Beijing </answer>. Question: {}\nassistant\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def lines(*rows: Row, name: str = "120.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return lines


def dump(question: str, output: str, *gold: str, **more: object) -> Row:
    return {
        "input": PROMPT.format(question),
        "output": output,
        "gts": {"target": list(gold)},
        "score": 1.0,
        "step": 120,
        "uid": "8f",
        **more,
    }


def flashrag(id_: str, question: str, gold: str, pred: str, **output: object) -> Row:
    return {
        "id": id_,
        "question": question,
        "golden_answers": [gold],
        "output": {"pred": pred, "metric_score": {"em": 0.0}, **output},
    }


def means(run: Run) -> dict[str, tuple[float, int]]:
    return {name: (mean.mean, mean.n) for name, mean in summarize(run.records).means.items()}


def test_dumps_of_verl_are_samples_of_their_questions(write: Write, tmp_path: Path) -> None:
    path = write(
        dump("Which town?", f"<search> town {FOUND}<answer> Oslo </answer>", "Oslo"),
        dump("Is it?", "<answer> yes </answer>", "no"),
        dump("Which town?", f"<search> town {FOUND}I give up.", "Oslo", score=0.25),
    )
    run = import_run("search_r1", [path], tmp_path / "run", scorers=["em"])
    first, second, third = run.records  # question by question
    assert [(r.result.question.text, r.sample) for r in run.records] == [
        ("Which town?", 0),
        ("Which town?", 1),
        ("Is it?", 0),
    ]
    assert [type(turn.move) for turn in first.result.turns] == [Act, Answer]
    assert [type(turn.move) for turn in second.result.turns] == [Act, Invalid]
    assert (first.result.stop, second.result.stop) == (StopReason.ANSWER, StopReason.NOT_TOLD)
    assert (dict(first.outcome.terms), dict(second.outcome.terms)) == (
        {"score": 1},
        {"score": 0.25},
    )
    assert [hit.passage.title for hit in first.hits[0][0]] == ["Oslo"]
    # One of two samples of the first question, none of the second.
    assert means(run) == {"em": (0.25, 2), "searches": (0.5, 2), "turns": (1.5, 2)}
    assert third.scores == {"em": 0.0}
    assert run.complete
    assert run.header["imported"]["step"] == 120
    assert run.header["samples"] == 2


def test_questions_of_a_file_bring_gold_and_types(write: Write, tmp_path: Path) -> None:
    path = write(
        dump("which  town", f"<search> town {FOUND}<answer> Oslo </answer>", "another"),
        dump("Which river?", f"<search> river {FOUND}<answer> Glomma </answer>", "Glomma"),
    )
    known = [
        Question("q1", "Which town?", ("Oslo",), gold=(Gold("Oslo", ("c9",)), Gold("Bergen"))),
        Question("q2", "Which river?", ("Glomma",), gold=(Gold("Glomma"),)),
        Question("q3", "Not asked?", ("a",)),
    ]
    run = import_run("search_r1", [path], tmp_path / "run", questions=known, scorers=["em"])
    assert [record.key for record in run.records] == [("q1", 0), ("q2", 0)]
    assert [record.outcome.gold_recall for record in run.records] == [0.5, 0.0]
    assert means(run)["em"] == (1.0, 2)
    write_questions(tmp_path / "q.jsonl", known)
    words = ["--questions", str(tmp_path / "q.jsonl"), "--out", str(tmp_path / "again")]
    assert main(["import", "search_r1", path, *words]) == 0


def test_flashrag_step_by_step_and_before_the_prompt(write: Write, tmp_path: Path) -> None:
    docs = [{"id": "7", "contents": '"Oslo"\nA town.'}, {"id": "8", "contents": "Bergen\nToo."}]
    rows = [
        flashrag(
            "t0",
            "Which?",
            "Oslo",
            "the Oslo",
            query="Question: Which?",
            final_response=f"<search> a {FOUND}<answer>the Oslo</answer>",
            stop_reason="stop",
        ),
        flashrag(
            "t1",
            "Which one?",
            "Oslo",
            "No valid answer found",
            prompt="User: Which one?\nAssistant: <think>",
            retrieval_results={"0": {"query": "b", "docs": docs}, "1": {"query": "c", "docs": []}},
            finish_reason="Reach max retrieval number",
        ),
        flashrag("t2", "Who?", "Ida", "Ida", retrieval_result=docs, prompt="Answer. Who?"),
        flashrag(
            "t3",
            "When?",
            "1900",
            "1900",
            retrieval_result=docs,
            retrieval_result_iter_0=[],
            retrieval_result_iter_1=docs,
        ),
    ]
    rows[2]["metadata"] = {"type": "bridge", "supporting_facts": [["Oslo", 0], ["Ida", 1]]}
    path = tmp_path / "intermediate_data.json"
    path.write_text(json.dumps(rows))
    run = import_run("flashrag", [path], tmp_path / "run", scorers=["em"])
    steps, limit, rag, rounds = run.records
    assert steps.result.segments[0].text == "Question: Which?"
    assert limit.result.stop is StopReason.MAX_CALLS
    assert [hit.passage.id for hit in limit.hits[0][0]] == ["7", "8"]
    assert limit.result.answer == "No valid answer found"  # scored as it is
    assert rag.untold == ("searches", "turns")
    assert rag.outcome.gold_recall == 0.5
    assert rounds.outcome.calls == {"search": 2}
    # The searches of the third are not told, so they are not 0.
    assert means(run) == {
        "em": (0.75, 4),
        "gold_recall": (0.5, 1),
        "searches": (pytest.approx(5 / 3), 3),
        "turns": (pytest.approx(8 / 3), 3),
    }
    assert run.header["imported"]["ended"] == [
        ["Reach max retrieval number", 1],
        ["not told", 2],
        ["stop", 1],
    ]
    write_page(tmp_path / "run", tmp_path / "page.html")
    assert main(["bench", "plot", str(tmp_path / "run"), "--out", str(tmp_path / "plots")]) == 0


def test_r1_searcher_without_transcripts(write: Write, tmp_path: Path) -> None:
    row = {"question": "Is it?", "answer": "no", "pred_ans": "False", "stop_reason_final": "x"}
    store = "a <|begin_of_query|> b<|end_of_query|>\n\n<|begin_of_documents|>\n(1)c\n"
    path = write(row, {**row, "question": "So?", "gen_text_store": store})
    run = import_run("r1_searcher", [path], tmp_path / "run", scorers=["em_r1"])
    assert means(run) == {"em_r1": (1.0, 2), "searches": (1.0, 1), "turns": (2.0, 1)}
    assert run.records[0].untold == ("searches", "turns", "gold_recall")


def test_passages_without_titles_tell_no_recall(write: Write, tmp_path: Path) -> None:
    found = "<search>a</search><information>Doc 1 Oslo is</information><answer>a</answer>"
    known = [Question("q", "Which?", ("a",), gold=(Gold("Oslo"),))]
    path = write(dump("Which?", found, "a"))
    (record,) = import_run("search_r1", [path], tmp_path / "run", questions=known).records
    assert record.outcome.gold_recall is None


def test_records_come_back_and_train(write: Write, tmp_path: Path) -> None:
    path = write(dump("Which?", f"<search> a {FOUND}<answer> Oslo </answer>", "Oslo"))
    (record,) = import_run("search_r1", [path], tmp_path / "run").records
    assert Record.of_dict(json.loads(json.dumps(record.to_dict()))) == record
    example = sft_example(record)
    text, spans = example["text"], example["spans"]
    assert isinstance(text, str)
    assert isinstance(spans, list)
    assert [text[a:b] for a, b in spans] == ["<search> a </search>", "<answer> Oslo </answer>"]


def test_imported_runs_are_like_nothing_by_themselves(write: Write, tmp_path: Path) -> None:
    first, second = (
        import_run("search_r1", [write(dump("Which?", text, "a"), name=name)], tmp_path / name[:-6])
        for name, text in (("1.jsonl", "<answer>a</answer>"), ("2.jsonl", "<answer>b</answer>"))
    )
    unlike = differences([first.header, second.header])
    assert {"retriever.fingerprint", "policy.name", "limits", "imported.files"} <= set(unlike)
    assert differences([first.header]) == []
    with pytest.raises(RunError, match=r"not alike, they differ in .*retriever\.fingerprint"):
        compare_runs(first, second)
    with pytest.raises(RunError, match="no parts of one run"):
        merge_runs([first, second])
    (em, *_) = compare_runs(first, second, allow=unlike)
    assert (em.measure, em.difference.mean) == ("em", -1.0)


def test_several_files_are_one_run(write: Write, tmp_path: Path) -> None:
    paths = [
        write(dump(f"Is {n}?", "<answer>a</answer>", gold), name=f"{n}.jsonl")
        for n, gold in (("1", "a"), ("2", "b"))
    ]
    run = import_run("search_r1", paths, tmp_path / "run", name="mine", policy="Qwen")
    assert means(run)["em"] == (0.5, 2)
    assert [file["name"] for file in run.header["imported"]["files"]] == ["1.jsonl", "2.jsonl"]
    assert (run.header["name"], run.header["policy"]) == ("mine", {"name": "Qwen"})
    assert run == read_run(tmp_path / "run")


BAD: list[tuple[str, list[Row], str]] = [
    ("search_r1", [dump("Q?", "<answer>a</answer>", "a"), {"output": "<answer>a</answer>"}],
     r"120\.jsonl, line 2, gts: expected a text in 'target'"),
    ("search_r1", [{"output": "<answer>a</answer>", "gts": ["a"]}],
     r"120\.jsonl, line 1: the row does not say its question"),
    ("search_r1", [dump("Q?", "<tool_call>{}</tool_call>", "a")], "no row has Search-R1's tags"),
    ("search_r1", [dump("Q?", "<answer>a</answer>", "a", step=step) for step in (1, 2)],
     r"line 1 is of step 1 and .*line 2 of step 2: these are different models"),
    ("flashrag", [flashrag("t", "Q?", "a", "a"), flashrag("t", "R?", "a", "a")],
     r"line 2: the id 't' is already that of another question, of .*line 1"),
    ("flashrag", [flashrag("t", "Q?", "a", "a", retrieval_results={"0": 1})],
     r"line 1, step 0: expected a query and its docs, got 1"),
    ("flashrag", [flashrag("t", "Q?", "a", "a", retrieval_result=[{"text": "x"}])],
     r"line 1, retrieval_result: expected a document with 'contents'"),
    ("r1_searcher", [{"question": "Q?"}], r"line 1: expected a text in 'pred_ans'"),
]  # fmt: skip


@pytest.mark.parametrize(("format", "rows", "message"), BAD)
def test_bad_rows_are_named_and_leave_nothing(
    format: str, rows: list[Row], message: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=message):
        import_run(format, [write(*rows)], tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["120.jsonl"]


def test_mistakes_of_the_caller(write: Write, tmp_path: Path) -> None:
    path, out = write(dump("Q?", "<answer>a</answer>", "a")), tmp_path / "run"
    with pytest.raises(ValueError, match=r"unknown format 'flashrg'\. Did you mean 'flashrag'"):
        import_run("flashrg", [path], out)
    with pytest.raises(ValueError, match="at least one file"):
        import_run("flashrag", [], out)
    with pytest.raises(RunError, match="line 1: none of the questions has the text 'Q"):
        import_run("search_r1", [path], out, questions=[Question("q", "R?", ("a",))])
    twice = [Question(id_, "Q?", ("a",)) for id_ in ("1", "2")]
    with pytest.raises(RunError, match="line 1: several of the questions has the text"):
        import_run("search_r1", [path], out, questions=twice)
    (tmp_path / "cut.jsonl").write_text('{"output": ')
    with pytest.raises(QuestionError, match=r"cut\.jsonl, line 1: not JSON"):
        import_run("search_r1", [tmp_path / "cut.jsonl"], out)
    assert not out.exists()
    import_run("search_r1", [path], out)
    with pytest.raises(FileExistsError, match="expected a new or an empty folder"):
        import_run("search_r1", [path], out)


def test_command_line(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(dump("Which?", f"<search> a {FOUND}I", "a")), str(tmp_path / "run")
    assert main(["import", "search_r1", path, "--out", out, "--scorer", "sub_em"]) == 0
    assert capsys.readouterr().out.startswith("sub_em ")
    assert main(["bench", "table", out]) == 0
    assert main(["rescore", out, "--metric", "em"]) == 0
    assert main(["import", "search_r1", path, "--out", out]) == 2
    assert "holds something" in capsys.readouterr().err
