import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from searchenv.questions import link_gold, read_questions
from searchenv.types import Gold, Question


class Titles:
    """A title lookup over a plain mapping."""

    def __init__(self, ids: Mapping[str, tuple[str, ...]]) -> None:
        self.ids = ids

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {title: self.ids[title] for title in titles if title in self.ids}


def _question(*gold: Gold) -> Question:
    return Question("q", "Who?", ("Ida",), gold=gold, metadata={"type": "bridge"})


def _linked(gold: Gold, ids: Mapping[str, tuple[str, ...]]) -> Gold:
    (question,) = link_gold([_question(gold)], Titles(ids))
    return question.gold[0]


def test_link_exact_title() -> None:
    assert _linked(Gold("Vell"), {"Vell": ("d1",), "vell": ("d2",)}) == Gold("Vell", ("d1",))


def test_link_all_passages_with_the_title() -> None:
    assert _linked(Gold("Vell"), {"Vell": ("d1", "d7")}) == Gold("Vell", ("d1", "d7"))


def test_link_exact_title_goes_before_a_resolved_one() -> None:
    ids = {"A &amp; B": ("raw",), "A & B": ("clean",)}
    assert _linked(Gold("A &amp; B"), ids) == Gold("A &amp; B", ("raw",))


@pytest.mark.parametrize(
    ("title", "stored"),
    [
        ("&quot;Q&quot; Is for Quarry", '"Q" Is for Quarry'),
        ("A &amp; B", "A & B"),
        ("Cafe\u0301 Orra", "Caf\u00e9 Orra"),
        (" Vell\n", "Vell"),
    ],
)
def test_link_resolved_title(title: str, stored: str) -> None:
    assert _linked(Gold(title), {stored: ("d1",)}) == Gold(title, ("d1",))


def test_link_resolved_title_that_is_also_a_gold_title() -> None:
    questions = link_gold([_question(Gold("A &amp; B"), Gold("A & B"))], Titles({"A & B": ("d",)}))
    assert [gold.ids for gold in questions[0].gold] == [("d",), ("d",)]


def test_link_leaves_the_rest_alone() -> None:
    question = _question(Gold("Vell", ("kept",)), Gold("Nowhere"), Gold("", ("only-id",)), Gold())
    (linked,) = link_gold([question], Titles({"Vell": ("d1",), "": ("untitled",)}))
    assert linked == question


def test_link_keeps_order_and_number() -> None:
    questions = [Question(str(n), "Who?", ("Ida",)) for n in range(3)]
    assert link_gold(iter(questions), Titles({})) == tuple(questions)


@pytest.mark.data
@pytest.mark.parametrize(
    ("corpus", "questions", "gold", "ambiguous"),
    [
        ("hotpotqa/corpus.jsonl.gz", "hotpotqa/dev_distractor.jsonl.gz", 1100, 0),
        ("hotpotqa/corpus.jsonl.gz", "hotpotqa/dev_official_format.jsonl.gz", 316, 0),
        ("2wikimultihopqa/corpus_all.jsonl.gz", "2wikimultihopqa/dev_1000.jsonl.gz", 1246, 0),
        ("musique/corpus.jsonl.gz", "musique/dev.jsonl.gz", 415, 147),
    ],
)
def test_link_every_gold_title_of_the_real_suites(
    data_dir: Path, corpus: str, questions: str, gold: int, ambiguous: int
) -> None:
    ids: dict[str, tuple[str, ...]] = {}
    with gzip.open(data_dir / corpus) as lines:
        for passage in map(json.loads, lines):
            title = passage["title"]
            ids[title] = (*ids.get(title, ()), passage["id"])
    linked = link_gold(read_questions(data_dir / questions), Titles(ids))
    counts = [len(each.ids) for question in linked for each in question.gold]
    assert len(counts) == gold
    assert min(counts) == 1
    assert sum(count > 1 for count in counts) == ambiguous
