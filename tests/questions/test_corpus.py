import json
from pathlib import Path

import pytest

from searchenv.errors import QuestionError
from searchenv.indexing import Corpus
from searchenv.questions import question_corpus, read_questions
from searchenv.types import Gold, Passage

FILES = Path(__file__).parent / "files"
ORRA = "Lake Orra is 40 m deep. It is cold. It lies in Orra."
TARN = "Vell Tarn is a lake. It is 52 m deep."


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def hotpot(name: str, *context: tuple[str, list[str]], gold: tuple[str, ...]) -> dict[str, object]:
    facts = [[title, 0] for title in gold]
    fields = {"_id": name, "question": f"Who is {name}?", "answer": "Ida"}
    return {**fields, "supporting_facts": facts, "context": context}


def test_corpus_of_hotpotqa_joins_sentences_by_one_space() -> None:
    corpus = question_corpus(FILES / "hotpotqa.json")
    orra, tarn = corpus.passages
    assert (orra.title, orra.text) == ("Lake Orra", ORRA)
    assert (tarn.title, tarn.text) == ("Vell Tarn", TARN)
    (question,) = corpus.questions
    assert question.gold == (Gold("Lake Orra", (orra.id,)), Gold("Vell Tarn", (tarn.id,)))
    assert corpus.unlinked == ()


def test_corpus_of_musique_takes_the_marked_paragraphs() -> None:
    corpus = question_corpus(FILES / "musique.jsonl")
    vell, works, ida, engineer = corpus.passages
    assert (vell.title, vell.text) == ("Vell", "Vell is a town.")
    assert engineer.text == "She was an engineer."
    (question,) = corpus.questions
    assert question.gold == (
        Gold("Orra Works", (works.id,)),
        Gold("Ida Ros", (ida.id,)),
        Gold("Ida Ros", (engineer.id,)),
    )


def test_corpus_holds_each_passage_once_whatever_the_white_space(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        hotpot("a", ("Vell", ["A town.", " Small."]), ("Orra", ["A lake."]), gold=("Vell",)),
        hotpot("b", ("Vell", ["A town.", "Small. "]), ("Orra", ["A city."]), gold=("Orra",)),
    )
    corpus = question_corpus([path, path])
    vell, lake, city = corpus.passages
    assert [vell.text, lake.text, city.text] == ["A town. Small.", "A lake.", "A city."]
    assert [question.id for question in corpus.questions] == ["a", "b"]
    assert [question.gold for question in corpus.questions] == [
        (Gold("Vell", (vell.id,)),),
        (Gold("Orra", (city.id,)),),  # not the other article of that title
    ]


def test_corpus_ids_do_not_depend_on_the_other_passages(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", hotpot("a", ("Vell", ["A town."]), gold=()))
    context = (("Orra", ["A lake."]), ("Vell", ["A town."]))
    two = write(tmp_path / "two.jsonl", hotpot("a", *context, gold=()))
    assert question_corpus(one).passages[0] == question_corpus(two).passages[1]


def test_corpus_keeps_the_ids_of_its_base(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", hotpot("a", ("Vell", ["A town."]), gold=("Vell", "Orra")))
    base = [Passage("p1", "Orra", "A lake."), Passage("p2", "Vell", "A  town.")]
    corpus = question_corpus(path, base=base)
    assert corpus.passages == tuple(base)
    assert corpus.questions[0].gold == (Gold("Vell", ("p2",)), Gold("Orra", ("p1",)))


def test_corpus_names_the_questions_without_their_gold(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        hotpot("a", ("Vell", ["A town."]), gold=("Vell", "Nowhere")),
        hotpot("b", ("Vell", ["A town."]), gold=()),
    )
    corpus = question_corpus(path)
    assert corpus.unlinked == ("a",)
    assert corpus.questions[0].gold[1] == Gold("Nowhere")


def test_corpus_refuses_two_questions_with_one_id(tmp_path: Path) -> None:
    record = hotpot("a", ("Vell", ["A town."]), gold=())
    one = write(tmp_path / "one.jsonl", record)
    two = write(tmp_path / "two.jsonl", {**record, "question": "Who?"})
    with pytest.raises(QuestionError, match=r"two.jsonl: the id 'a' is already that of another"):
        question_corpus([one, two])


@pytest.mark.data
@pytest.mark.parametrize(
    ("suite", "base", "files", "alone", "whole"),
    [
        (
            "hotpotqa",
            "corpus.jsonl.gz",
            ("dev_distractor", "dev_official_format", "train_official_format"),
            14566,
            25294,
        ),
        (
            "2wikimultihopqa",
            "corpus_all.jsonl.gz",
            ("dev_1000", "dev_official_format", "train_official_format"),
            3516,
            9616,
        ),
        ("musique", "corpus.jsonl.gz", ("dev", "train"), 7616, 16154),
    ],
)
def test_corpus_of_the_real_suites_has_the_published_gold_ids(
    data_dir: Path, suite: str, base: str, files: tuple[str, ...], alone: int, whole: int
) -> None:
    folder = data_dir / suite
    paths = [folder / f"{name}.jsonl.gz" for name in files]
    assert len(question_corpus(paths).passages) == alone
    corpus = question_corpus(paths, base=Corpus(folder / base))
    assert len(corpus.passages) == whole  # every passage beside a question was there already
    lines = (folder / "qrels.tsv").read_text().splitlines()[1:]
    published = {tuple(line.split("\t")[:2]) for line in lines}
    found = [
        (question.id, id_)
        for question in corpus.questions
        for gold in question.gold
        for id_ in gold.ids
    ]
    assert len(found) == len(published)
    assert set(found) == published
    assert corpus.unlinked == ()
    assert [q.id for q in corpus.questions] == list(
        dict.fromkeys(q.id for path in paths for q in read_questions(path))
    )
