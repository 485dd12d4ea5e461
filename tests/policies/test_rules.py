"""The rule-based policies: how they understand questions, read passages and play."""

import json

import pytest

from searchenv.driver import step_episodes
from searchenv.episode import Episode
from searchenv.indexing import build_index
from searchenv.policies import IterativePolicy, OneShotPolicy, Policy
from searchenv.policies.clues import Form, Kind, make_plan
from searchenv.policies.reading import names, read, read_inverse, sort_key
from searchenv.protocols import ReAct
from searchenv.retrieval import Retriever, RetrieverTool, open_index
from searchenv.types import Act, Limits, Passage, Question


def _asked(question: str) -> list[str]:
    return [clue.asked.split("|")[0] for clue in make_plan(question).clues]


@pytest.mark.parametrize(
    ("question", "anchors", "clues"),
    [
        ("Who is the spouse of the director of film Ebb Tide?", ("Ebb Tide",), "director spouse"),
        ("Where did Ann Lee's father study?", ("Ann Lee",), "father study"),
        ("What is the capital of Norland?", ("Norland",), "capital"),
        ("Who is the maternal grandfather of Ann Lee?", ("Ann Lee",), "mother father"),
        ("Who is the mother of the architect Ann Lee?", ("Ann Lee",), "mother"),
        (
            "Which film has the director who was born first, Ebb Tide or Wax of Rome?",
            ("Ebb Tide", "Wax of Rome"),
            "director birthplace",
        ),
        ("Are Ann Lee and Bo Ek of one nationality?", ("Ann Lee", "Bo Ek"), "country"),
        ("what is it", ("what is it",), ""),
    ],
)
def test_plan_names_anchors_and_orders_clues(
    question: str, anchors: tuple[str, ...], clues: str
) -> None:
    assert make_plan(question).anchors == anchors
    assert _asked(question) == (clues.split() or [""])


@pytest.mark.parametrize(
    ("question", "form", "kind"),
    [
        ("When was Ann Lee born?", Form.FOLLOW, Kind.DATE),
        ("Where was Ann Lee born?", Form.FOLLOW, Kind.NAME),
        ("Who was born later, Ann Lee or Bo Ek?", Form.MOST, Kind.DATE),
        ("Which city has fewer inhabitants, Ob or Po?", Form.LEAST, Kind.NUMBER),
        ("Are Ann Lee and Bo Ek from the same country?", Form.SAME, Kind.NAME),
        ("Which member of The Ravens was born in Oslo?", Form.FOLLOW, Kind.NAME),
    ],
)
def test_plan_form_and_kind(question: str, form: Form, kind: Kind) -> None:
    plan = make_plan(question)
    assert (plan.form, plan.kind) == (form, kind)


def test_names_joins_connectors_initials_and_saints() -> None:
    text = "He met John Ash, the Earl of Fen, at St. Ives with T. Roe's son on 3 May 1900."
    assert names(text) == ["John Ash", "Earl of Fen", "St. Ives", "T. Roe"]


PERSON = Passage(
    "p", "Ann Lee", "Ann Lee (born 2 May 1901 in Fen, died 3 June 1970) was a Danish singer. "
    "Her parents were Bo Lee and Eva Roe. She married American actor Max Ode."
)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When was Ann Lee born?", "2 May 1901"),
        ("When did Ann Lee die?", "3 June 1970"),
        ("Where was Ann Lee born?", "Fen"),
        ("Who is the father of Ann Lee?", "Bo Lee"),
        ("Who is the mother of Ann Lee?", "Eva Roe"),
        ("Who is the spouse of Ann Lee?", "Max Ode"),
        ("Who is the coach of Ann Lee?", None),
    ],
)
def test_read_finds_the_span(question: str, answer: str | None) -> None:
    plan = make_plan(question)
    assert read(PERSON, plan.clues[0], plan.kind) == answer


def test_read_dates_in_brackets_without_a_verb() -> None:
    passage = Passage("p", "Ann Lee", "Ann Lee (2 May 1901 – 3 June 1970) was a singer.")
    died, born = make_plan("When did Ann Lee die?"), make_plan("When was Ann Lee born?")
    assert read(passage, died.clues[0], died.kind) == "3 June 1970"
    assert read(passage, born.clues[0], born.kind) == "2 May 1901"


def test_read_inverse_takes_the_title_of_the_other_side() -> None:
    clue = make_plan("Who is the father of Ann Lee?").clues[0]
    child = Passage("p1", "Cy Roe", "Cy Roe never met Ann Lee. Her father was a miller.")
    father = Passage("p2", "Bo Lee (poet)", "Bo Lee was the father of Ann Lee.")
    assert read_inverse([child, father], clue, "Ann Lee") == "Bo Lee"
    assert read_inverse([child], clue, "Ann Lee") is None


def test_sort_key_orders_dates_years_and_numbers() -> None:
    dates = ["1899", "2 May 1901", "May 3, 1901", "June 1901"]
    assert sorted(reversed(dates), key=sort_key) == dates


WORLD = (
    Passage("1", "Ebb Tide", "Ebb Tide is a 1962 film directed by Ann Lee."),
    Passage(
        "2", "Wax Moon", "Wax Moon is a film. It was released in 1950. Bo Ek directed Wax Moon."
    ),
    Passage("3", "Ann Lee", "Ann Lee (born 2 May 1901 in Fen) is a film director from Norland."),
    Passage("4", "Bo Ek", "Bo Ek (born 1 April 1900) is a film director from Norland."),
    Passage("5", "Cy Lee", "Cy Lee was the father of Ann Lee. Cy Lee died in Aston."),
    Passage("6", "The Ravens", "The Ravens is a band with the members Ann Lee and Bo Ek."),
    Passage("7", "Fen", "Fen is a city in Norland whose river is the Ouse."),
)


@pytest.fixture(scope="module")
def bm25(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    folder = tmp_path_factory.mktemp("rules")
    lines = [json.dumps(passage._asdict()) for passage in WORLD]
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    build_index(folder / "corpus.jsonl", folder / "index", engine="bm25s")
    return open_index(folder / "index")


def _play(policy: Policy, text: str, retriever: Retriever) -> tuple[str | None, list[str]]:
    episode = Episode(Question("q", text, ("-",)), ReAct(), Limits())
    tools = {"search": RetrieverTool(retriever, 3)}
    while not episode.over:
        step_episodes([episode], policy.act([episode.view]), tools)
    moves = [turn.move for turn in episode.turns]
    queries = [call.query for move in moves if isinstance(move, Act) for call in move.calls]
    return episode.result.answer, queries


@pytest.mark.parametrize(
    ("question", "answer", "queries"),
    [
        ("Where was the director of film Ebb Tide born?", "Fen", ["Ebb Tide", "Ann Lee"]),
        ("What is the river of the city where Ann Lee was born?", "Ouse", ["Ann Lee", "Fen"]),
        ("Who is the father of the director of film Ebb Tide?", "Cy Lee", ["Ebb Tide", "Ann Lee"]),
        ("Which film came out first, Ebb Tide or Wax Moon?", "Wax Moon", ["Ebb Tide", "Wax Moon"]),
        ("Who is younger, Ann Lee or Bo Ek?", "Ann Lee", ["Ann Lee", "Bo Ek"]),
        ("Are Ann Lee and Bo Ek from the same country?", "yes", ["Ann Lee", "Bo Ek"]),
    ],
)  # fmt: skip
def test_iterative_follows_what_it_reads(
    question: str, answer: str, queries: list[str], bm25: Retriever
) -> None:
    assert _play(IterativePolicy(), question, bm25) == (answer, queries)


def test_iterative_answers_from_what_it_has_when_searches_run_out(bm25: Retriever) -> None:
    question = "What is the river of the city where the director of Ebb Tide was born?"
    assert _play(IterativePolicy(3), question, bm25) == ("Ouse", ["Ebb Tide", "Ann Lee", "Fen"])
    assert _play(IterativePolicy(1), question, bm25)[1] == ["Ebb Tide"]


def test_one_shot_searches_the_question_once(bm25: Retriever) -> None:
    question = "Who is the director of film Ebb Tide?"
    assert _play(OneShotPolicy(), question, bm25) == ("Ann Lee", [question])
