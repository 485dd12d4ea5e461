import pytest

from searchenv.types import Passage
from searchenv.worlds.reading import Claim, Named, Plan, QuestionReader, read_passages
from searchenv.worlds.schema import RELATIONS, Kind
from searchenv.worlds.sentences import INTROS, SENTENCES

STORM = Named(Kind.PERSON, "Ilva Storm")
TIDE = Named(Kind.FILM, "Red Tide")
NORVIA = Named(Kind.COUNTRY, "Norvia")

PASSAGES = (
    Passage(
        "a",
        "Ilva Storm",
        "Ilva Storm (born 3 May 1911) is a film director from Norvia. "
        "She is also known as Iva Sand.",
    ),
    Passage("b", "Red Tide", "Red Tide is a 1950 film directed by Iva Sand. It stars Bo Lark."),
    Passage("c", "Norvia", "Norvia is a country whose official language is Norvish."),
    Passage("d", "Bo Lark", "Bo Lark (born 1 June 1920) is an actor from Norvia."),
)


def test_passages_are_read_claim_by_claim() -> None:
    storm, tide, norvia, _ = read_passages(PASSAGES)
    assert storm.entity == STORM
    assert storm.claims == [
        Claim(STORM, "born_on", "3 May 1911"),
        Claim(STORM, "citizen_of", NORVIA),
        Claim(STORM, "occupation", "a film director"),
        Claim(STORM, "alias", "Iva Sand"),
    ]
    assert tide.claims == [
        Claim(TIDE, "directed_by", Named(Kind.PERSON, "Iva Sand")),
        Claim(TIDE, "released_in", "1950"),
        Claim(TIDE, "starring", Named(Kind.PERSON, "Bo Lark")),
    ]
    assert norvia.claims == [Claim(NORVIA, "language", "Norvish")]
    assert not any(reading.problems for reading in read_passages(PASSAGES))


def test_sentence_about_somebody_unknown_is_a_problem() -> None:
    readings = read_passages(PASSAGES[:3])
    assert readings[1].problems == ["0 ways to read 'It stars Bo Lark.'"]


def test_unknown_opening_is_a_problem() -> None:
    (reading,) = read_passages([Passage("x", "X", "X is nothing much.")])
    assert reading.problems[0] == "unknown opening 'X is nothing much.'"


def test_qualifier_of_a_person_becomes_part_of_the_name() -> None:
    passage = Passage("a", "Bo Lark (actor)", "Bo Lark (born 1 June 1920) is an actor from Norvia.")
    assert read_passages([passage])[0].entity == Named(Kind.PERSON, "the actor Bo Lark")


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Who directed the film Red Tide?", Plan((TIDE,), ("directed_by",))),
        (
            "Which country is the director of the film Red Tide from?",
            Plan((TIDE,), ("directed_by", "citizen_of")),
        ),
        (
            "Who is the maternal grandfather of the person who directed the film Red Tide?",
            Plan((TIDE,), ("directed_by", "mother", "father")),
        ),
    ],
)
def test_question_is_read_as_a_plan(text: str, plan: Plan) -> None:
    assert QuestionReader({STORM, TIDE, NORVIA}).read(text) == [plan]


def test_comparison_is_read_with_its_form() -> None:
    other = Named(Kind.FILM, "Blue Tide")
    (plan,) = QuestionReader({TIDE, other}).read(
        "Which film is more recent, Red Tide or Blue Tide?"
    )
    assert plan.anchors == (TIDE, other)
    assert plan.path == ("released_in",)


def test_question_about_unknown_things_has_no_meaning() -> None:
    assert QuestionReader({STORM}).read("Who directed the film Red Tide?") == []


def test_every_relation_has_a_sentence_of_its_own() -> None:
    templates = {kind: (*INTROS[kind], *SENTENCES[kind]) for kind in Kind}
    for name, relation in RELATIONS.items():
        if name in {"occupation", "trade"}:  # stated by every opening
            assert all("{" + name + "}" in text for text in INTROS[relation.subject])
            continue
        assert any(_holds_only(text, name) for text in templates[relation.subject]), name
        if relation.back:
            assert isinstance(relation.object, Kind)
            assert any(_holds_only(text, "back_" + name) for text in templates[relation.object]), (
                name
            )


def _holds_only(text: str, slot: str) -> bool:
    rest = text.replace("{" + slot + "}", "", 1)
    for free in ("{s}", "{p}", "{p_mid}"):
        rest = rest.replace(free, "")
    return rest != text and "{" + slot + "}" in text and "{" not in rest
