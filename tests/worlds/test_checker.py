from dataclasses import replace
from typing import Any

import pytest

from searchenv.types import Gold, Passage, Question
from searchenv.worlds import World, WorldConfig, check_world

PASSAGES = (
    Passage("a", "Ilva Storm", "Ilva Storm (born 3 May 1911) is a film director from Norvia."),
    Passage("b", "Red Tide", "Red Tide is a 1950 film directed by Ilva Storm."),
    Passage("c", "Norvia", "Norvia is a country whose official language is Norvish."),
    Passage("d", "Blue Hour", "Blue Hour is a 1948 film directed by Ilva Storm."),
)
BRIDGE = Question(
    "train-0",
    "Which country is the director of the film Red Tide from?",
    ("Norvia",),
    gold=(Gold("Red Tide", ("b",)), Gold("Ilva Storm", ("a",))),
    metadata={
        "split": "train",
        "type": "bridge",
        "hops": 2,
        "anchors": ["Red Tide"],
        "path": [["Red Tide", "directed_by", "Ilva Storm"], ["Ilva Storm", "citizen_of", "Norvia"]],
    },
)
CHOICE = Question(
    "test-0",
    "Which film is more recent, Blue Hour or Red Tide?",
    ("Red Tide",),
    gold=(Gold("Blue Hour", ("d",)), Gold("Red Tide", ("b",))),
    metadata={
        "split": "train",
        "type": "comparison",
        "hops": 2,
        "anchors": ["Blue Hour", "Red Tide"],
        "path": [["Blue Hour", "released_in", "1948"], ["Red Tide", "released_in", "1950"]],
    },
)


def check(*questions: Question, passages: tuple[Passage, ...] = PASSAGES) -> tuple[str, ...]:
    return check_world(World(WorldConfig(), passages, questions)).violations


def test_sound_world_has_no_violations() -> None:
    report = check_world(World(WorldConfig(), PASSAGES, (BRIDGE, CHOICE)))
    assert report.is_sound
    assert (report.num_passages, report.num_questions, report.num_facts) == (4, 2, 8)


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"answers": ("Norvish",)}, "train-0: the answer is 'Norvia', not 'Norvish'"),
        ({"answers": ("Norvia", "Norvish")}, "train-0: 'Norvish' does not mean 'Norvia'"),
        ({"gold": BRIDGE.gold[:1]}, "train-0: the gold passages are not sufficient"),
        (
            {"gold": (*BRIDGE.gold, Gold("Norvia", ("c",)))},
            "train-0: the gold passage 'Norvia' is superfluous",
        ),
        (
            {"gold": (Gold("Red Tide", ("a",)),)},
            "train-0: gold titles and ids do not name the same passages",
        ),
        ({"text": "Where is it?"}, "train-0: the question has 0 meanings"),
        (
            {"metadata": {**BRIDGE.metadata, "hops": 3}},
            "train-0: metadata says hops 3, the text 2",
        ),
    ],
)
def test_flaw_in_a_question_is_found(change: dict[str, Any], violation: str) -> None:
    assert violation in check(replace(BRIDGE, **change))


def test_wrong_choice_is_found() -> None:
    assert "test-0: the answer is 'Red Tide', not 'Blue Hour'" in check(
        replace(CHOICE, answers=("Blue Hour",))
    )


def test_answer_in_the_question_is_found() -> None:
    passages = (
        PASSAGES[0],
        Passage("b", "Norvia Nights", "Norvia Nights is a 1950 film directed by Ilva Storm."),
        PASSAGES[2],
    )
    question = replace(BRIDGE, text="Which country is the director of the film Norvia Nights from?")
    assert "train-0: the answer 'Norvia' is in the question" in check(question, passages=passages)


def test_contradiction_is_found() -> None:
    second = Passage("a", "Ilva Storm", f"{PASSAGES[0].text} She was born on 4 May 1911.")
    violations = check(passages=(second, *PASSAGES[1:]))
    assert violations == ("passages: Ilva Storm has several objects under born_on",)


def test_missing_fact_is_found() -> None:
    silent = Passage("b", "Red Tide", "Red Tide is a film that was released in 1950.")
    violations = check(BRIDGE, passages=(PASSAGES[0], silent, *PASSAGES[2:]))
    assert violations == (
        "train-0: the passages give no single answer: Red Tide has 0 objects under directed_by",
    )


def test_repeats_are_found() -> None:
    violations = check(BRIDGE, BRIDGE, passages=(*PASSAGES, PASSAGES[3]))
    assert violations[:4] == (
        "d: this passage id occurs 2 times",
        "blue hour: this title occurs 2 times",
        "train-0: this question id occurs 2 times",
        "which country is the director of the film red tide from?: this question occurs 2 times",
    )


def test_splits_that_share_are_found() -> None:
    other = replace(CHOICE, metadata={**CHOICE.metadata, "split": "test"})
    assert check(BRIDGE, other) == ("test-0: Red Tide is also used in the split train",)


def test_unbalanced_answers_are_found() -> None:
    again = replace(
        CHOICE, id="test-1", text="Which film was released earlier, Red Tide or Blue Hour?"
    )
    again = replace(again, answers=("Blue Hour",))
    violations = check(CHOICE, again)
    assert "train: 0 comparisons have the answer first, 2 second" in violations
