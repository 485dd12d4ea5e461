from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from searchenv.errors import QuestionError
from searchenv.worlds import QuestionType, WorldConfig, check_world, generate_world
from searchenv.worlds.graph import Entity
from searchenv.worlds.populate import build_graph
from searchenv.worlds.schema import RELATIONS, Kind

SMALL = WorldConfig(seed=3, entities=400, train=30, dev=10, test=10)

configs = st.builds(
    WorldConfig,
    seed=st.integers(0, 2**32),
    entities=st.integers(100, 500),
    train=st.integers(0, 12),
    dev=st.integers(0, 6),
    test=st.integers(1, 6),
    hops=st.sets(st.sampled_from([1, 2, 3, 4]), min_size=1).map(lambda hops: tuple(sorted(hops))),
    distractors=st.floats(0, 1),
    same_names=st.floats(0, 0.25),
    aliases=st.floats(0, 1),
)


@settings(max_examples=25, deadline=None)
@given(config=configs)
def test_every_world_is_sound(config: WorldConfig) -> None:
    try:
        world = generate_world(config)
    except QuestionError:  # too small for its questions
        assume(False)
    assert check_world(world).violations == ()


def test_equal_configs_give_equal_worlds() -> None:
    assert generate_world(SMALL) == generate_world(replace(SMALL))


def test_another_seed_gives_another_world() -> None:
    first = generate_world(SMALL)
    second = generate_world(replace(SMALL, seed=4))
    assert first.content_hash != second.content_hash
    assert not {p.text for p in first.passages} & {p.text for p in second.passages}


def test_world_has_the_questions_asked_for() -> None:
    world = generate_world(SMALL)
    assert Counter(q.metadata["split"] for q in world.questions) == {
        "train": 30,
        "dev": 10,
        "test": 10,
    }
    assert [q.id for q in world.split("dev")][:2] == ["dev-0000", "dev-0001"]
    assert {q.metadata["type"] for q in world.split("train")} == set(QuestionType)


def test_hops_choose_the_shapes() -> None:
    world = generate_world(WorldConfig(entities=400, train=10, dev=0, test=5, hops=(1,)))
    assert {(q.metadata["type"], q.metadata["hops"]) for q in world.questions} == {("simple", 1)}
    world = generate_world(WorldConfig(entities=400, train=10, dev=0, test=5, hops=(3, 4)))
    assert {q.metadata["hops"] for q in world.questions} == {3, 4}


def test_gold_names_passages_of_the_world() -> None:
    world = generate_world(SMALL)
    titles = {passage.id: passage.title for passage in world.passages}
    for question in world.questions:
        assert all(titles[gold.ids[0]] == gold.title for gold in question.gold)
        assert len(question.gold) >= (1 if question.metadata["type"] == "simple" else 2)


def test_aliases_zero_gives_none() -> None:
    graph = build_graph(300, lookalikes=0.3, same_names=0.0, aliases=0.0, seed=1)
    assert not [fact for fact in graph.facts if fact.relation == "alias"]


def test_same_names_makes_titles_with_qualifiers() -> None:
    none = build_graph(600, lookalikes=0.3, same_names=0.0, aliases=0.0, seed=1)
    many = build_graph(600, lookalikes=0.3, same_names=0.25, aliases=0.0, seed=1)
    assert not [title for title in none.titles.values() if "(" in title]
    assert len([title for title in many.titles.values() if "(" in title]) > 20
    assert len(set(many.titles.values())) == len(many.entities)


def test_distractors_make_names_share_words() -> None:
    def repeated(lookalikes: float) -> int:
        graph = build_graph(600, lookalikes=lookalikes, same_names=0.0, aliases=0.0, seed=1)
        words = Counter(w for city in graph.kinds[Kind.CITY] for w in city.name.split())
        return sum(n - 1 for w, n in words.items() if w not in {"Port", "New", "Falls", "Upper"})

    assert repeated(1.0) > 3 * max(1, repeated(0.0))


def test_graph_has_one_object_where_the_schema_says_so() -> None:
    graph = build_graph(600, lookalikes=0.3, same_names=0.1, aliases=0.2, seed=1)
    counts = Counter((fact.subject, fact.relation) for fact in graph.facts)
    assert [key for key, n in counts.items() if n > 1 and not RELATIONS[key[1]].many] == []


def test_children_are_younger_than_their_parents() -> None:
    graph = build_graph(600, lookalikes=0.3, same_names=0.1, aliases=0.2, seed=1)
    for fact in graph.facts:
        if fact.relation in {"father", "mother"}:
            assert isinstance(fact.object, Entity)
            born = int(graph.text(fact.subject, "born_on").split()[-1])
            assert born - int(graph.text(fact.object, "born_on").split()[-1]) >= 19


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": 99}, "entities must be >= 100, got 99"),
        ({"train": -1}, "train, dev and test must be >= 0"),
        ({"train": 0, "dev": 0, "test": 0}, "one of them >= 1, got 0, 0, 0"),
        ({"hops": ()}, r"hops must be one or more numbers from 1 to 4, got \(\)"),
        ({"hops": (5,)}, r"got \(5,\)"),
        ({"distractors": 1.5}, "distractors must be from 0 to 1.0, got 1.5"),
        ({"same_names": 0.5}, "same_names must be from 0 to 0.25, got 0.5"),
        ({"aliases": -0.1}, "aliases must be from 0 to 1.0, got -0.1"),
    ],
)
def test_config_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(WorldConfig(), **change)


def test_world_too_small_for_its_questions_says_so() -> None:
    with pytest.raises(
        QuestionError, match=r"ask for fewer questions or raise WorldConfig\.entities"
    ):
        generate_world(WorldConfig(entities=100, train=500))
