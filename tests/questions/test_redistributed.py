"""The suites as FlashRAG, Hugging Face and HippoRAG give them out, with invented content."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from searchenv.questions import question_corpus, read_questions, summarize_questions
from searchenv.types import Gold, Question

FACTS = {"title": ["Salt Wind", "Jon Dorn"], "sent_id": [0, 3]}
PASSAGES = {"title": ["Salt Wind", "Jon Dorn"], "sentences": [["A film."], ["A man.", " Tall."]]}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_hotpotqa_fullwiki_links_gold_that_stands_beside_another_question(tmp_path: Path) -> None:
    def record(name: str, gold: str, beside: str) -> dict[str, object]:
        return {
            "_id": name,
            "question": f"Who is {gold}?",
            "answer": "Ida",
            "type": "bridge",
            "level": "hard",
            "supporting_facts": [[gold, 0]],
            "context": [[beside, [f"{beside} is here."]]],
        }

    path = tmp_path / "hotpot_dev_fullwiki_v1.json"
    records = [record("a", "Orra", "Vell"), record("b", "Vell", "Orra"), record("c", "Tarn", "X")]
    path.write_text(json.dumps(records))
    corpus = question_corpus(path)
    found = {passage.title: passage.id for passage in corpus.passages}
    assert [question.gold for question in corpus.questions] == [
        (Gold("Orra", (found["Orra"],)),),
        (Gold("Vell", (found["Vell"],)),),
        (Gold("Tarn"),),
    ]
    assert corpus.unlinked == ("c",)


def test_2wiki_without_evidences(tmp_path: Path) -> None:
    record = {
        "_id": "9b3d",
        "type": "comparison",
        "question": "Which is older?",
        "answer": "Salt Wind",
        "supporting_facts": [["Salt Wind", 0], ["Night Tide", 0]],
        "context": [["Salt Wind", ["A 1962 film."]], ["Night Tide", ["A 1970 film."]]],
    }
    (question,) = read_questions(write(tmp_path / "dev.json", record))
    assert question.gold == (Gold("Salt Wind"), Gold("Night Tide"))
    assert (question.metadata["type"], question.metadata["hops"]) == ("comparison", 2)


def test_2wiki_at_hugging_face(tmp_path: Path) -> None:
    row = {
        "id": "9b3d",
        "question": "Who is the spouse of the director of Salt Wind?",
        "answer": "Mira Dorn",
        "type": "compositional",
        "evidences": [{"fact": "Salt Wind", "relation": "director", "entity": "Jon Dorn"}],
        "supporting_facts": FACTS,
        "context": PASSAGES,
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "validation.parquet")
    corpus = question_corpus(tmp_path / "validation.parquet")
    assert [passage.text for passage in corpus.passages] == ["A film.", "A man. Tall."]
    (question,) = corpus.questions
    assert [gold.title for gold in question.gold] == ["Salt Wind", "Jon Dorn"]
    assert question.metadata["supporting_facts"] == [["Salt Wind", 0], ["Jon Dorn", 3]]
    assert (question.metadata["type"], question.metadata["hops"]) == ("compositional", 2)


def test_flashrag_2wiki_with_content_in_place_of_sentences(tmp_path: Path) -> None:
    context = {"title": PASSAGES["title"], "content": PASSAGES["sentences"]}
    record = {
        "id": "dev_0",
        "question": "Who?",
        "golden_answers": ["Mira Dorn"],
        "metadata": {"type": "compositional", "supporting_facts": FACTS, "context": context},
    }
    corpus = question_corpus(write(tmp_path / "dev.jsonl", record))
    assert [passage.text for passage in corpus.passages] == ["A film.", "A man. Tall."]
    assert corpus.unlinked == ()


def test_flashrag_parquet_of_several_suites_has_the_columns_of_all(tmp_path: Path) -> None:
    musique = {
        "id": "dev_1",
        "question": "Where was the founder born?",
        "golden_answers": ["Vell", "Vell Town"],
        "metadata": {
            "answerable": True,
            "question_decomposition": [
                {"id": 1, "question": "Founder?", "answer": "Ida", "paragraph_support_idx": 0}
            ],
            "paragraphs": [
                {"idx": 0, "title": "Orra", "paragraph_text": "By Ida.", "is_supporting": True}
            ],
        },
    }
    hotpotqa = {
        "id": "dev_0",
        "question": "Who?",
        "golden_answers": ["Ida"],
        "metadata": {"type": "bridge", "supporting_facts": FACTS, "context": PASSAGES},
    }
    plain = {"id": "test_0", "question": "When?", "golden_answers": ["1931"], "metadata": None}
    rows = [hotpotqa, musique, plain]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "dev.parquet")
    corpus = question_corpus(tmp_path / "dev.parquet")
    assert [passage.title for passage in corpus.passages] == ["Salt Wind", "Jon Dorn", "Orra"]
    first, second, third = corpus.questions
    assert [gold.title for gold in first.gold] == ["Salt Wind", "Jon Dorn"]
    assert [gold.title for gold in second.gold] == ["Orra"]
    assert second.answers == ("Vell", "Vell Town")
    assert second.metadata["decomposition"] == [
        {"question": "Founder?", "answers": ["Ida"], "title": "Orra"}
    ]
    assert (third.gold, third.answers) == ((), ("1931",))
    assert summarize_questions(tmp_path / "dev.parquet").hops == {"1": 1, "2": 1}


def test_hipporag_2_questions_with_marked_paragraphs(tmp_path: Path) -> None:
    record = {
        "id": "q1",
        "question": "Where?",
        "answer": "Vell",
        "paragraphs": [
            {"title": "Orra", "text": "By Ida.", "is_supporting": True, "idx": 0},
            {"title": "Tarn", "text": "A lake.", "is_supporting": False, "idx": 1},
        ],
    }
    path = tmp_path / "sample.json"
    path.write_text(json.dumps([record]))
    assert read_questions(path) == (Question("q1", "Where?", ("Vell",), gold=(Gold("Orra"),)),)
    assert [passage.title for passage in question_corpus(path).passages] == ["Orra", "Tarn"]
