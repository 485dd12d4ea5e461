from pathlib import Path

import pytest

from searchenv.questions import LAYOUTS, Layout, read_questions
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
