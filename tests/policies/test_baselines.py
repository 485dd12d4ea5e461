"""Strategies over a model: what each asks, what it searches, and what it answers."""

from collections.abc import Callable, Sequence

import pytest

from searchenv.driver import step_episodes
from searchenv.episode import Episode
from searchenv.errors import PolicyError
from searchenv.evaluation.play import play
from searchenv.policies import get_policy
from searchenv.policies.baselines import STRATEGIES
from searchenv.policies.generation import Completion, Finish, Prompt, prompt_text
from searchenv.policies.strategies import StrategyPolicy
from searchenv.protocols import get_protocol
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Act, Answer, Limits, Question, StopReason

Reply = Callable[[str], str]


class Scripted:
    """A generator whose texts a function of the prompt gives."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.prompts: list[str] = []
        self.seeds: list[int] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        found = []
        for messages, seed in zip(prompts, seeds or (), strict=True):
            prompt = prompt_text(messages) or ""
            self.prompts.append(prompt)
            self.seeds.append(seed)
            text = self.reply(prompt)
            for string in stop:
                text = text.partition(string)[0]
            found.append([Completion(text, Finish.STOP)])
        return found


def texts(*replies: str) -> Reply:
    """Gives the replies in turn."""
    left = iter(replies)
    return lambda _: next(left)


def played(
    name: str, reply: Reply, retriever: Retriever, limits: Limits | None = None
) -> tuple[list[str], str | None, list[str]]:
    """Returns the queries, the answer, and the prompts of one episode."""
    model = Scripted(reply)
    episode = Episode(
        Question("q", "Who directed it?", ("x",)), get_protocol("search_r1"), limits or Limits()
    )
    tools = {"search": RetrieverTool(retriever, 2)}
    (ended,) = play(get_policy(name, generator=model), [episode], tools)
    queries = [call.query for t in ended.turns if isinstance(t.move, Act) for call in t.move.calls]
    return queries, ended.result.answer, model.prompts


def test_direct_answers_without_a_search(keyword_retriever: Retriever) -> None:
    queries, answer, (prompt,) = played(
        "direct", texts("\nAnswer: Ann.\nI am sure"), keyword_retriever
    )
    assert (queries, answer) == ([], "Ann")
    assert prompt.startswith("Question: Who directed it?\n")


def test_rag_answers_from_the_passages_of_one_search(keyword_retriever: Retriever) -> None:
    queries, answer, (prompt,) = played("rag", texts("Ann"), keyword_retriever)
    assert (queries, answer) == (["Who directed it?"], "Ann")
    assert prompt == (
        "Passages:\n"
        "[1] Velmara Nights: Velmara Nights is a 1962 film directed by Orla Fenwick .\n\n"
        "Question: Who directed it?\n"
        "Write only the answer, in as few words as possible."
    )


def test_self_ask_answers_each_follow_up_from_its_passages(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "self_ask",
        texts(
            "Follow up: What is it?\nIntermediate answer: invented",
            "A film.",
            "So the final answer is: Ann.",
        ),
        keyword_retriever,
    )
    assert (queries, answer) == (["What is it?"], "Ann")
    assert prompts[1].endswith(
        "Question: What is it?\nWrite only the answer, in as few words as possible."
    )
    assert prompts[2].endswith("Follow up: What is it?\nIntermediate answer: A film\n")


def test_ircot_searches_the_question_and_then_each_sentence(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "ircot",
        texts("It is a film. More follows.", "Ann made it.\nAnd", "So the answer is: Ann."),
        keyword_retriever,
    )
    assert queries == ["Who directed it?", "It is a film.", "Ann made it."]
    assert answer == "Ann"
    assert prompts[2].endswith("Reasoning so far: It is a film. Ann made it.")


def test_iter_retgen_searches_with_its_generation(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "iter_retgen",
        texts("It is a film.\nSo the answer is: Bob", "So the answer is: Ann."),
        keyword_retriever,
    )
    assert queries[1] == "It is a film. So the answer is: Bob Who directed it?"
    assert (answer, len(prompts)) == ("Ann", 2)


def test_iter_retgen_asks_where_the_text_names_no_answer(keyword_retriever: Retriever) -> None:
    _, answer, prompts = played(
        "iter_retgen", texts("It is a film.", "Ann made it.", "Ann"), keyword_retriever
    )
    assert answer == "Ann"
    assert prompts[2] == (
        "Ann made it.\nQuestion: Who directed it?\n"
        "Write only the answer, in as few words as possible."
    )


def test_react_searches_and_finishes(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "react",
        texts(
            " I look.\nAction 1: Search[the film]\nObservation 1: forged Finish[Bob]",
            " I know it.\nAction: Finish[Ann]",
        ),
        keyword_retriever,
    )
    assert (queries, answer) == (["the film"], "Ann")
    assert "forged" not in prompts[1]
    assert "Thought 1: I look.\nAction 1: Search[the film]\nObservation 1: Passages:" in prompts[1]


def test_search_o1_reads_passages_in_a_second_prompt(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "search_o1",
        texts(
            "I am not sure. <query>the film</query> and on",
            "Ann made\nthe film.",
            "So <answer>Ann</answer>",
        ),
        keyword_retriever,
    )
    assert (queries, answer) == (["the film"], "Ann")
    assert prompts[1].startswith("Passages:\n")
    assert prompts[2].endswith(
        "Reasoning so far:\nI am not sure.\nSearch: the film\nResult: Ann made the film.\n"
    )


def test_search_o1_asks_where_the_reasoning_names_no_answer(keyword_retriever: Retriever) -> None:
    queries, answer, prompts = played(
        "search_o1", texts("Ann made it, I think.\n", "Ann."), keyword_retriever
    )
    assert (queries, answer) == ([], "Ann")
    assert prompts[1].startswith("Ann made it, I think.\nQuestion: Who directed it?\n")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize("limits", [Limits(max_turns=1), Limits(max_calls={"search": 1})])
def test_budgets_end_in_an_answer(name: str, limits: Limits, keyword_retriever: Retriever) -> None:
    def reply(prompt: str) -> str:
        return "Ann" if "Write only the answer" in prompt else "<query>a</query> Search[b] c"

    queries, answer, _ = played(name, reply, keyword_retriever, limits)
    assert len(queries) <= (0 if limits.max_turns == 1 else 1)
    assert answer


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_empty_texts_do_no_harm(name: str, keyword_retriever: Retriever) -> None:
    _, answer, _ = played(name, lambda _: "", keyword_retriever)
    assert answer == "unknown"


def test_a_failure_of_one_episode_is_its_own(keyword_retriever: Retriever) -> None:
    """The other is asked again alone, and goes on where it was."""

    def reply(prompt: str) -> str:
        if "Break the question up" not in prompt:
            return "found"
        if "Intermediate answer: found" not in prompt:
            return "Follow up: next"
        if "bad" in prompt:
            raise PolicyError("the server is gone")
        return "So the final answer is: Ann"

    model = Scripted(reply)
    policy = StrategyPolicy(STRATEGIES["self_ask"], model)
    good, bad = (
        Episode(Question(name, f"{name}?", ("x",)), get_protocol("search_r1"), Limits())
        for name in ("good", "bad")
    )
    assert set(play(policy, [bad, good], {"search": RetrieverTool(keyword_retriever, 1)})) == {
        good,
        bad,
    }
    assert bad.result.stop is StopReason.POLICY_ERROR
    assert good.result.answer == "Ann"
    assert sum("Question: next" in prompt for prompt in model.prompts) == 2  # one for each


def test_an_episode_that_was_begun_elsewhere_goes_on(keyword_retriever: Retriever) -> None:
    """Another policy asks for the first text again, with the same seed."""
    tools = {"search": RetrieverTool(keyword_retriever, 1)}
    episode = Episode(Question("q", "Who?", ("x",)), get_protocol("search_r1"), Limits(), seed=3)
    first = Scripted(texts("Follow up: a"))
    step_episodes([episode], get_policy("self_ask", generator=first).act([episode.view]), tools)
    second = Scripted(texts("Follow up: a", "b", "So the final answer is: c"))
    policy = get_policy("self_ask", generator=second)
    step_episodes([episode], policy.act([episode.view]), tools)
    assert episode.result.answer == "c"
    assert second.prompts[0] == first.prompts[0]
    assert second.seeds[0] == first.seeds[0]


def test_equal_episodes_do_not_disturb_each_other(keyword_retriever: Retriever) -> None:
    def reply(prompt: str) -> str:
        if "Break the question up" not in prompt:
            return "b"
        return "So the final answer is: c" if "answer: b" in prompt else "Follow up: a"

    model = Scripted(reply)
    one, two = (
        Episode(Question("q", "Who?", ("x",)), get_protocol("search_r1"), Limits())
        for _ in range(2)
    )
    tools = {"search": RetrieverTool(keyword_retriever, 1)}
    policy = get_policy("self_ask", generator=model)
    step_episodes([one], policy.act([one.view]), tools)
    step_episodes([one, two], policy.act([one.view, two.view]), tools)
    step_episodes([two], policy.act([two.view]), tools)
    assert [one.result.answer, two.result.answer] == ["c", "c"]


def test_every_text_has_a_seed_of_its_own(keyword_retriever: Retriever) -> None:
    model = Scripted(texts("Follow up: a", "b", "Follow up: c", "d", "So the final answer is: e"))
    episode = Episode(Question("q", "Who?", ("x",)), get_protocol("search_r1"), Limits(), seed=3)
    (ended,) = play(
        get_policy("self_ask", generator=model),
        [episode],
        {"search": RetrieverTool(keyword_retriever, 1)},
    )
    assert isinstance(ended.turns[-1].move, Answer)
    assert len(set(model.seeds)) == 5
