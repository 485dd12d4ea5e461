from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchenv.questions import Sharing, find_overlap, read_questions
from searchenv.types import Gold, Question

EQUAL, NEAR, GOLD = Sharing


def question(name: str, text: str, *gold: Gold) -> Question:
    return Question(name, text, ("Ida",), gold=gold)


def kinds(training: Question, evaluation: Question, **how: float) -> list[tuple[Sharing, float]]:
    overlap = find_overlap([training], [evaluation], **how)  # type: ignore[arg-type]
    return [(pair.kind, pair.containment) for pair in overlap.pairs]


@pytest.mark.parametrize(
    ("training", "evaluation"),
    [
        ("Who built it?", "who BUILT  it"),
        ("Who built the U.S. mill?", "Who built the U S mill"),
        ("Who built Caf\u00e9_Vell?", "Who built Cafe\u0301 Vell?"),
        ("Who built \uff36\uff45\uff4c\uff4c?", "Who built Vell?"),
    ],
)
def test_equal_questions_have_the_same_words(training: str, evaluation: str) -> None:
    assert kinds(question("t", training), question("e", evaluation)) == [(EQUAL, 1.0)]


def test_equal_questions_must_have_words_and_their_order() -> None:
    assert kinds(question("t", "?!"), question("e", "?")) == []
    assert kinds(question("t", "it built who"), question("e", "who built it")) == []


def test_containment_of_a_changed_word_wherever_it_stands() -> None:
    # Four words have 4 + 2 trigrams with the marks; each word is in three of them.
    training = question("t", "who built the mill")
    for text in ("X built the mill", "who X the mill", "who built X mill", "who built the X"):
        assert kinds(training, question("e", text), threshold=0.5) == [(NEAR, 0.5)]
        assert kinds(training, question("e", text), threshold=0.51) == []


def test_containment_is_that_of_the_evaluation_question() -> None:
    # "a b" has a, ab, b with marks of one word; "a b c" has a, ab, bc, c: 2 of 3, and 2 of 4.
    short, long = question("s", "a b"), question("l", "a b c")
    assert kinds(long, short, n=2, threshold=0.1) == [(NEAR, 2 / 3)]
    assert kinds(short, long, n=2, threshold=0.1) == [(NEAR, 0.5)]


def test_near_at_the_default_threshold() -> None:
    # Thirteen words have fifteen trigrams; one changed word leaves twelve, which are 80 %.
    words = "a b c d e f g h i j k l m"
    training = question("t", words)
    assert kinds(training, question("e", words.replace("e", "x"))) == [(NEAR, 0.8)]
    assert kinds(training, question("e", words[:-2].replace("e", "x"))) == []


def test_near_with_one_word_grams_is_not_equal() -> None:
    assert kinds(question("t", "b a"), question("e", "a b"), n=1, threshold=1) == [(NEAR, 1.0)]


def test_gold_needs_all_passages_of_the_evaluation_question() -> None:
    a, b, c = Gold("A"), Gold("B"), Gold("C")
    training = [question("t1", "x", a, b, c), question("t2", "y", a), question("t3", "z", b)]
    overlap = find_overlap(training, [question("e1", "q", a, b), question("e2", "r")])
    assert [(p.kind, p.evaluation.id, p.training.id) for p in overlap.pairs] == [(GOLD, "e1", "t1")]


@pytest.mark.parametrize(
    ("training", "evaluation", "same"),
    [
        (Gold(" Q&amp;A "), Gold("Q&A"), True),
        (Gold("A", ("1",)), Gold("A", ("2",)), True),
        (Gold("A", ("1",)), Gold("B", ("1",)), False),
        (Gold("", ("1", "2")), Gold("", ("2", "3")), True),
        (Gold("", ("1",)), Gold("1"), False),
        (Gold(), Gold(), False),
    ],
)
def test_gold_by_title_else_by_id(training: Gold, evaluation: Gold, same: bool) -> None:
    found = kinds(question("t", "x", training), question("e", "q", evaluation))
    assert found == ([(GOLD, 0.0)] if same else [])


def test_pairs_are_in_order_and_questions_count_once() -> None:
    training = [question("t1", "who?"), question("t2", "Who", Gold("A")), question("t3", "when")]
    overlap = find_overlap(training, [question("e1", "WHO", Gold("A")), question("e2", "why")])
    assert [(pair.kind, pair.evaluation.id, pair.training.id) for pair in overlap.pairs] == [
        (EQUAL, "e1", "t1"),
        (EQUAL, "e1", "t2"),
        (GOLD, "e1", "t2"),
    ]
    assert [overlap.num_questions(kind) for kind in Sharing] == [1, 0, 1]
    assert (overlap.num_evaluation, overlap.num_training) == (2, 3)


TEXTS = st.lists(st.text("ab ", max_size=12), max_size=6)


def trigrams(text: str, n: int) -> set[tuple[str, ...]]:
    words = [""] * (n - 1) + text.split() + [""] * (n - 1)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} if text.split() else set()


@given(training=TEXTS, evaluation=TEXTS, n=st.integers(1, 4), percent=st.integers(1, 100))
def test_near_pairs_are_those_of_trying_all(
    training: Sequence[str], evaluation: Sequence[str], n: int, percent: int
) -> None:
    expected = [
        (f"{e}", f"{t}")
        for e, one in enumerate(evaluation)
        for t, other in enumerate(training)
        if one.split() != other.split()
        and trigrams(one, n)
        and len(trigrams(one, n) & trigrams(other, n)) / len(trigrams(one, n)) >= percent / 100
    ]
    overlap = find_overlap(
        [question(str(i), text) for i, text in enumerate(training)],
        [question(str(i), text) for i, text in enumerate(evaluation)],
        n=n,
        threshold=percent / 100,
    )
    near = [(p.evaluation.id, p.training.id) for p in overlap.pairs if p.kind is NEAR]
    assert near == expected


def test_overlap_refuses_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="n must be >= 1, got 0"):
        find_overlap([], [], n=0)
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        find_overlap([], [], threshold=0)
    with pytest.raises(ValueError, match=r"above 0 and at most 1, got 1\.5"):
        find_overlap([], [], threshold=1.5)


@pytest.mark.data
def test_overlap_of_r1_searchers_subset_with_the_whole_set(data_dir: Path) -> None:
    """Its questions were drawn from the development set: each that both files have is found."""
    whole = read_questions(data_dir / "musique" / "dev.jsonl.gz")
    subset = read_questions(data_dir / "musique" / "r1_searcher_500.jsonl")
    overlap = find_overlap(whole, subset)
    both = {each.text for each in whole} & {each.text for each in subset}
    assert overlap.num_questions(EQUAL) == len(both) == 35
    assert overlap.num_questions(GOLD) == 0
