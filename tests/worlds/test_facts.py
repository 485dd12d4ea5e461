"""Worlds of facts: what a seed decides, what splits keep apart, and that search engines agree."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from searchenv.errors import QuestionError
from searchenv.indexing import build_index
from searchenv.retrieval import MemoryRetriever, open_index
from searchenv.worlds import FactConfig, FactWorld

WORLD = FactWorld()


def test_names_are_the_same_in_every_world() -> None:
    other = FactWorld(FactConfig(seed=1))
    assert WORLD.names[:3] == other.names[:3] == ("Muga", "Rupo", "Zapo")
    assert len(set(WORLD.names)) == 120
    assert WORLD.facts != other.facts
    assert WORLD.facts == FactWorld().facts


def test_facts_are_one_for_each_entity_and_relation() -> None:
    assert sorted((f.subject, f.relation) for f in WORLD.facts) == [
        (subject, relation) for subject in range(120) for relation in range(6)
    ]
    assert all(fact.subject != fact.object for fact in WORLD.facts)
    for number, fact in enumerate(WORLD.facts):
        assert WORLD.number(fact.subject, fact.relation) == number


def test_passages_state_the_facts() -> None:
    fact = WORLD.facts[5]
    names = WORLD.names
    text = f"{names[fact.subject]} 's {WORLD.relations[fact.relation]} is {names[fact.object]} ."
    assert WORLD.passages[5] == ("f0005", "", text)


@pytest.mark.parametrize(("usual", "low", "high"), [(0.0, 0, 0.03), (0.5, 0.45, 0.55), (1.0, 1, 1)])
def test_usual_objects_have_their_share(usual: float, low: float, high: float) -> None:
    world = FactWorld(FactConfig(usual=usual))
    others = [f for f in world.facts if f.subject != world.usual(f.relation)]
    share = sum(f.object == world.usual(f.relation) for f in others) / len(others)
    assert low <= share <= high


def test_splits_keep_entities_and_pairs_apart() -> None:
    splits = {name: WORLD.split(name) for name in ("train", "dev", "test")}
    assert {name: len(questions) for name, questions in splits.items()} == {
        "train": 80 * 26,
        "dev": 20 * 30,
        "test": 20 * 30,
    }
    first_names = [{q.text.split(" 's ")[0] for q in questions} for questions in splits.values()]
    assert not first_names[0] & first_names[1]
    assert not first_names[0] & first_names[2]
    assert not first_names[1] & first_names[2]
    assert {q.metadata["type"] for q in splits["train"]} == {"seen_pair"}
    assert sum(q.metadata["type"] == "unseen_pair" for q in splits["test"]) == 20 * 4


def test_answers_follow_from_the_gold_passages() -> None:
    texts = {passage.id: passage.text for passage in WORLD.passages}
    for question in WORLD.split("dev", 50):
        name, first, second = question.text.split(" 's ")
        one, two = (texts[gold.ids[0]] for gold in question.gold)
        middle = one.removeprefix(f"{name} 's {first} is ").removesuffix(" .")
        assert two == f"{middle} 's {second} is {question.answers[0]} ."


def test_split_limit_is_a_prefix() -> None:
    assert WORLD.split("test", 10) == WORLD.split("test")[:10]


def test_split_unknown_is_an_error() -> None:
    with pytest.raises(QuestionError, match=r"no split is named 'tests'\. Did you mean 'test'"):
        WORLD.split("tests")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FactConfig(entities=11), "entities must be from 12 to 1000, got 11"),
        (lambda: FactConfig(relations=9), "relations must be from 3 to 8, got 9"),
        (lambda: FactConfig(usual=1.5), "usual must be from 0 to 1, got 1.5"),
        (lambda: FactConfig(name_words=3), "name_words must be from 1 to 2, got 3"),
    ],
)
def test_config_out_of_range_is_an_error(make: Callable[[], FactConfig], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name_words", [1, 2])
def test_memory_ranks_like_an_index(tmp_path: Path, name_words: int) -> None:
    world = FactWorld(FactConfig(seed=3, name_words=name_words))
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(p._asdict()) + "\n" for p in world.passages))
    build_index(corpus, tmp_path / "index", engine="bm25s")
    queries = [f"{name} 's {relation}" for name in world.names for relation in world.relations]
    queries += [question.text for question in world.split("dev", 50)]
    of_index = open_index(tmp_path / "index").search(queries, 3)
    of_memory = MemoryRetriever(world.passages).search(queries, 3)
    assert [[h.passage for h in hits] for hits in of_memory] == [
        [h.passage for h in hits] for hits in of_index
    ]


def test_most_facts_are_found_by_their_name_and_relation() -> None:
    queries = [f"{WORLD.names[f.subject]} 's {WORLD.relations[f.relation]}" for f in WORLD.facts]
    found = MemoryRetriever(WORLD.passages).search(queries, 3)
    hits = [
        passage.id in {hit.passage.id for hit in hits}
        for passage, hits in zip(WORLD.passages, found, strict=True)
    ]
    assert sum(hits) / len(hits) > 0.95
