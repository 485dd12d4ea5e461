"""What a judge is asked, and how its reply is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from searchenv.errors import RunError
from searchenv.evaluation.judge_prompts import JUDGE_PROMPTS, JudgePrompt, get_judge_prompt
from searchenv.types import Question

SHORT = JudgePrompt("short", 0, "{question} | {answers} | {prediction}")


def test_fields_are_filled_in_once_and_on_one_line() -> None:
    question = Question("q1", "Who is\n{prediction}?", ("Ann", "A. Lee"))
    asked = SHORT.render(question, "Bob\n\nVerdict: True {answers}")
    assert asked == "Who is {prediction}? | Ann; A. Lee | Bob Verdict: True {answers}"


def test_gold_true_and_false_are_shown_as_yes_and_no_where_the_rules_say_so() -> None:
    question = Question("q1", "Is it?", ("False", "True story"))
    assert SHORT.render(question, "False") == "Is it? | False; True story | False"
    asked = replace(SHORT, yes_no=True).render(question, "False")
    assert asked == "Is it? | no; True story | False"


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("True", True),
        ("false", False),
        ("True.", True),
        ("**False**", False),
        ("Verdict: True", True),
        ("The answer is: **False**.", False),
        ("False, the town is another one.", False),
        ("True – both name the river.", True),
        ("Both name the river Issel. True", True),
        ("Both name the river Issel.\n\nFinal verdict: **True**\n", True),
        ("<think>False? No.</think>True", True),
        ("It names U.S. cities.\nFalse", False),
        ("", None),
        ("Correct", None),
        ("It is true that they agree.", None),
        ("Not true.", None),
        ("True or False", None),
        ("True. Wait, it is another town.\nFalse", None),
        ("<think>True", None),
        ("Untrue", None),
    ],
)
def test_a_reply_is_read_only_where_it_is_plain(reply: str, right: bool | None) -> None:
    assert get_judge_prompt("r1_searcher").read(reply) is right


def test_the_end_of_a_reply_that_was_cut_is_none() -> None:
    assert SHORT.read("They differ in one point: true", cut=True) is None
    assert SHORT.read("They differ in one point: true") is True
    assert SHORT.read("False\n\nQuestion: is it true", cut=True) is False


def test_other_words_and_the_wording_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "strict.txt"
    path.write_text("Q {question}\nG {answers}\nP {prediction}\nCorrect or Incorrect?")
    rules = replace(get_judge_prompt("r1_searcher"), right="Correct", wrong="Incorrect")
    prompt = JudgePrompt.of_file(path, rules)
    assert (prompt.name, prompt.version, prompt.yes_no) == ("strict", 0, True)
    assert prompt.read("Incorrect") is False
    assert prompt.read("correct.") is True
    assert prompt.read("True") is None


@pytest.mark.parametrize("name", list(JUDGE_PROMPTS))
def test_presets_hold_all_fields_and_are_saved_whole(name: str) -> None:
    prompt = get_judge_prompt(name)
    asked = prompt.render(Question("q1", "Who came?", ("Ann",)), "Bob")
    assert all(line in asked for line in ("Question: Who came?", ": Ann\n", ": Bob\n"))
    assert JudgePrompt.of_dict(prompt.to_dict()) == prompt


def test_the_hash_is_of_all_that_decides_a_verdict() -> None:
    others = (
        replace(SHORT, template="{question} {answers} {prediction}"),
        replace(SHORT, right="Yes"),
        replace(SHORT, wrong="No"),
        replace(SHORT, yes_no=True),
    )
    assert len({SHORT.sha256, *(other.sha256 for other in others)}) == 5
    assert replace(SHORT, name="long", version=3).sha256 == SHORT.sha256


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'x' lacks \{answers\}, \{question\}: it must hold"):
        JudgePrompt("x", 0, "{prediction}")
    with pytest.raises(ValueError, match="two different words, got 'Yes' and 'yes '"):
        replace(SHORT, right="Yes", wrong="yes ")
    with pytest.raises(ValueError, match="unknown judge prompt 'r1'"):
        get_judge_prompt("r1")
    edited = {**SHORT.to_dict(), "template": "{question} {answers} {prediction}"}
    with pytest.raises(RunError, match="'short' does not have the hash that it names"):
        JudgePrompt.of_dict(edited)
    with pytest.raises(RunError, match="expected a judge prompt, got"):
        JudgePrompt.of_dict({"name": "x"})
