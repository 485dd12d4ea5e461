import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from searchenv.questions import LAYOUTS, Layout, question_corpus, read_questions
from searchenv.questions.layouts import detect_layout
from searchenv.types import Gold, Question

FILES = Path(__file__).parent / "files"


def test_read_common() -> None:
    first, second, third, fourth = read_questions(FILES / "common.jsonl")
    assert first.id == "test_0"
    assert first.text == "Who built Tarn Mill?"
    assert first.answers == ("Ada Holm", "A. Holm")
    assert first.gold == (Gold("Tarn"), Gold("Mill"))
    assert first.metadata["type"] == "bridge"
    assert second == Question("2", "How many?", ("12",), metadata={"choices": ["a"]})
    assert third == Question("7", "Is it?", ("yes", "1.5"), gold=(Gold("Tarn"),))
    assert fourth.gold == (Gold("Oslo", ("d1", "d2")), Gold("", ("d3",)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "hotpotqa.json",
            Question(
                "5a01",
                "Which lake is deeper, Lake Orra or Vell Tarn?",
                ("Vell Tarn",),
                gold=(Gold("Lake Orra"), Gold("Vell Tarn")),
                metadata={
                    "type": "comparison",
                    "level": "hard",
                    "hops": 2,
                    "supporting_facts": [["Lake Orra", 0], ["Vell Tarn", 1], ["Lake Orra", 2]],
                },
            ),
        ),
        (
            "hotpotqa_hf.jsonl",
            Question(
                "5a01",
                "Which lake is deeper, Lake Orra or Vell Tarn?",
                ("Vell Tarn",),
                gold=(Gold("Lake Orra"), Gold("Vell Tarn")),
                metadata={
                    "type": "comparison",
                    "level": "hard",
                    "hops": 2,
                    "supporting_facts": [["Lake Orra", 0], ["Vell Tarn", 1], ["Lake Orra", 2]],
                },
            ),
        ),
        (
            "2wiki.jsonl",
            Question(
                "9b3d",
                "Who is the spouse of the director of Salt Wind?",
                ("Mira Dorn",),
                gold=(Gold("Salt Wind"), Gold("Jon Dorn")),
                metadata={
                    "type": "compositional",
                    "hops": 2,
                    "entity_ids": "Q1_Q2",
                    "supporting_facts": [["Salt Wind", 0], ["Jon Dorn", 3]],
                    "evidences": [
                        ["Salt Wind", "director", "Jon Dorn"],
                        ["Jon Dorn", "spouse", "Mira Dorn"],
                    ],
                    "evidences_id": [],
                    "answer_id": "Q3",
                },
            ),
        ),
        (
            "2wiki_titles.jsonl",
            Question(
                "9b3d",
                "Who is the spouse of the director of Salt Wind?",
                ("Mira Dorn", "Mira Ek"),
                gold=(Gold("Salt Wind"), Gold("Jon Dorn")),
                metadata={"hops": 2},
            ),
        ),
        (
            "musique.jsonl",
            Question(
                "2hop__1_2",
                "Where was the founder of Orra Works born?",
                ("Vell", "Vell Town"),
                gold=(Gold("Orra Works"), Gold("Ida Ros")),
                metadata={
                    "answerable": True,
                    "hops": 2,
                    "type": "2hop",
                    "decomposition": [
                        {
                            "question": "Orra Works >> founder",
                            "answers": ["Ida Ros"],
                            "title": "Orra Works",
                        },
                        {"question": "#1 >> born", "answers": ["Vell"], "title": "Ida Ros"},
                    ],
                },
            ),
        ),
        (
            "musique_no_paragraphs.jsonl",
            Question(
                "2hop__1_2",
                "Where was the founder of Orra Works born?",
                ("Vell",),
                gold=(Gold("Orra Works"), Gold("Ida_Ros")),
                metadata={
                    "type": "2hop",
                    "hops": 2,
                    "decomposition": [
                        {"question": "Founder?", "answers": ["Ida Ros"], "title": "Orra Works"},
                        {"question": "Where?", "answers": [], "title": "Ida_Ros"},
                    ],
                },
            ),
        ),
        ("r1_searcher.jsonl", Question("37", "In what year did Orra Works close?", ("1931\n",))),
        (
            "bamboogle.jsonl",
            Question(
                "1",
                "In what year did the employer of Ida Ros close?",
                ("1931",),
                metadata={
                    "type": "compositional",
                    "hops": 2,
                    "decomposition": [
                        {"question": "Who employed Ida Ros?", "answers": ["orra works"]},
                        {"question": "When did Orra Works close?", "answers": ["1931"]},
                    ],
                },
            ),
        ),
    ],
)
def test_read_layout_of_a_suite(name: str, expected: Question) -> None:
    (question,) = read_questions(FILES / name)
    assert question == expected


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_detect_layout_by_its_required_fields(layout: Layout) -> None:
    record = dict.fromkeys(layout.required)
    assert detect_layout(record) is layout
    assert layout.missing({}) == layout.required


def test_read_search_r1_rows(tmp_path: Path) -> None:
    def row(name: str, source: str, **more: object) -> dict[str, object]:
        return {
            "id": name,
            "data_source": source,
            "prompt": [{"role": "user", "content": "Answer it. Question: Who built it?\n"}],
            "ability": "fact-reasoning",
            "reward_model": {"ground_truth": {"target": ["Ida", "I."]}, "style": "rule"},
            "extra_info": {"index": 0, "split": "train"},
            **more,
        }

    more = {"question": "Who built Tarn?", "metadata": {"type": "bridge"}}
    pq.write_table(pa.Table.from_pylist([row("train_0", "nq")]), tmp_path / "nq.parquet")
    (tmp_path / "hotpotqa.jsonl").write_text(json.dumps(row("train_0", "hotpotqa", **more)))
    (first,) = read_questions(tmp_path / "nq.parquet")
    (second,) = read_questions(tmp_path / "hotpotqa.jsonl")
    assert (first.id, first.text, first.answers) == ("nq-train_0", "Who built it?", ("Ida", "I."))
    assert (second.id, second.text) == ("hotpotqa-train_0", "Who built Tarn?")
    assert second.metadata == {"type": "bridge", "data_source": "hotpotqa", "split": "train"}


def test_read_flashrag_hotpotqa_with_its_passages(tmp_path: Path) -> None:
    metadata = {
        "type": "bridge",
        "level": "hard",
        "supporting_facts": {"title": ["Tarn", "Vell"], "sent_id": [0, 1]},
        "context": {"title": ["Tarn", "Vell"], "sentences": [["A mill."], ["A town.", " Old."]]},
    }
    record = {"id": "dev_0", "question": "Who?", "golden_answers": ["Ida"], "metadata": metadata}
    (tmp_path / "dev.jsonl").write_text(json.dumps(record))
    corpus = question_corpus(tmp_path / "dev.jsonl")
    assert [passage.text for passage in corpus.passages] == ["A mill.", "A town. Old."]
    (question,) = corpus.questions
    assert [gold.title for gold in question.gold] == ["Tarn", "Vell"]
    assert all(len(gold.ids) == 1 for gold in question.gold)
    assert question.metadata == {
        "type": "bridge",
        "level": "hard",
        "hops": 2,
        "supporting_facts": [["Tarn", 0], ["Vell", 1]],
    }


def test_read_musique_full_tells_the_unanswerable_twin_apart(tmp_path: Path) -> None:
    def record(answerable: bool) -> dict[str, object]:
        return {
            "id": "2hop__1_2",
            "question": "Where was the founder of Orra Works born?",
            "answer": "Vell",
            "answer_aliases": [],
            "answerable": answerable,
            "question_decomposition": [
                {"question": "Founder?", "answer": "Ida", "paragraph_support_idx": 0},
                {"question": "Born?", "answer": "Vell", "paragraph_support_idx": None},
            ],
            "paragraphs": [
                {"idx": 0, "title": "Orra", "paragraph_text": "a", "is_supporting": answerable}
            ],
        }

    path = tmp_path / "musique_full.jsonl"
    path.write_text("".join(json.dumps(record(value)) + "\n" for value in (True, False)))
    whole, twin = read_questions(path)
    assert (whole.id, twin.id) == ("2hop__1_2", "2hop__1_2-unanswerable")
    assert (whole.metadata["answerable"], twin.metadata["answerable"]) == (True, False)
    assert (whole.metadata["type"], twin.metadata["type"]) == ("2hop", "2hop")
    assert (whole.gold, twin.gold) == ((Gold("Orra"),), ())


def test_read_beir_queries(tmp_path: Path) -> None:
    record = {
        "_id": "5a01",
        "text": "Who built Tarn?",
        "metadata": {"answer": "Ida", "supporting_facts": [["Tarn", 0]]},
    }
    (tmp_path / "queries.jsonl").write_text(json.dumps(record))
    assert read_questions(tmp_path / "queries.jsonl") == (
        Question(
            "5a01",
            "Who built Tarn?",
            ("Ida",),
            gold=(Gold("Tarn"),),
            metadata={"hops": 1, "supporting_facts": [["Tarn", 0]]},
        ),
    )


def test_read_2wiki_with_json_in_strings(tmp_path: Path) -> None:
    record = {
        "_id": "9b3d",
        "type": "compositional",
        "question": "Who?",
        "context": '[["Tarn", ["A mill."]]]',
        "supporting_facts": '[["Tarn", 0]]',
        "evidences": "[]",
        "answer": "Ida",
    }
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "dev.parquet")
    corpus = question_corpus(tmp_path / "dev.parquet")
    assert [passage.text for passage in corpus.passages] == ["A mill."]
    assert [gold.title for gold in corpus.questions[0].gold] == ["Tarn"]
