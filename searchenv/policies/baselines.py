"""Baselines that prompt a language model: published ways to search without training.

Common to all, beside what each names: the prompts are ours and hold no demonstrations; every step
is one user message, so that chat servers can be used; passages come from the episode's tool.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from searchenv.policies.strategies import Steps, Strategy, ask, find
from searchenv.protocols.base import neutralise
from searchenv.types import Passage

__all__ = [
    "STRATEGIES",
    "direct",
    "ircot",
    "iter_retgen",
    "rag",
    "react",
    "search_o1",
    "self_ask",
]

MAX_SEARCHES = 7
"""Searches of the strategies that decide themselves when to end; the limits may allow fewer."""
MAX_PASSAGES = 15
"""Passages that IRCoT keeps in sight."""

_SHORT = "Write only the answer, in as few words as possible."


def direct(question: str) -> Steps:
    """Answers from what the model knows, without a search."""
    return (yield from _answer("", question))


def rag(question: str) -> Steps:
    """Searches the question once and answers from the passages.

    Retrieval-augmented generation: Lewis et al. 2020 (arXiv 2005.11401). Differences: (1) nothing
    is trained; (2) all passages stand in one prompt, without marginalising over them.
    """
    found = yield from find(question)
    return (yield from _answer(_shown(found), question))


def self_ask(question: str) -> Steps:
    """Asks itself follow-up questions, searches each, and answers it before the next.

    Self-Ask: Press et al. 2022 (arXiv 2210.03350), with a search engine. Differences: (1) the model
    reads the intermediate answer in passages; there the search engine gives it.
    """
    done = ""
    for _ in range(MAX_SEARCHES):
        text = yield from ask(
            f"Question: {question}\nBreak the question up. Write either 'Follow up:' and the next "
            "simple question that must be answered first, or, once all is known, 'So the final "
            f"answer is:' and the answer in few words.\n\n{done}",
            "\nIntermediate answer:",
        )
        _, mark, answer = text.partition("So the final answer is:")
        if mark:
            return _line(answer)
        query = _line(text.partition("Follow up:")[2] or text) or question
        found = yield from find(query)
        if found is None:
            break
        intermediate = yield from _answer(_shown(found), query)
        done += f"Follow up: {query}\nIntermediate answer: {intermediate}\n"
    return (yield from _answer(done, question))


def ircot(question: str) -> Steps:
    """Takes turns between one sentence of reasoning and a search with that sentence.

    IRCoT: Trivedi et al. 2023 (arXiv 2212.10509): the first search is the question, every sentence
    is written in sight of the passages so far, and reasoning ends with "answer is". Differences:
    (1) the answer is that of the reasoning; there a reader writes it anew from the passages;
    (2) at most seven searches; there eight steps.
    """
    seen: dict[str, Passage] = {}
    reasoning: list[str] = []
    query = question
    for _ in range(MAX_SEARCHES):
        found = yield from find(query)
        if found is None:
            break
        seen |= {passage.id: passage for passage in found}
        text = yield from ask(
            f"{_shown(list(seen.values())[:MAX_PASSAGES])}Question: {question}\nReason step by "
            "step, one sentence at a time. Write only the next sentence. Once all is known, write "
            "'So the answer is:' and the answer in few words.\n\n"
            f"Reasoning so far: {' '.join(reasoning)}",
            "\n",
        )
        _, mark, answer = text.partition("answer is")
        if mark:
            return _line(answer.lstrip(": "))
        query = _sentence(text) or question
        reasoning.append(query)
    sight = _shown(list(seen.values())[:MAX_PASSAGES])
    return (yield from _answer(f"{sight}{' '.join(reasoning)}\n", question))


def iter_retgen(question: str) -> Steps:
    """Searches, generates, searches with the generation beside the question, generates again.

    Iter-RetGen: Shao et al. 2023 (arXiv 2305.15294): every iteration reads its own passages only.
    Differences: (1) always two iterations; (2) a text that names no answer is asked for one.
    """
    text = ""
    for _ in range(2):
        found = yield from find(f"{text} {question}".strip())
        if found is None:
            break
        written = yield from ask(
            f"{_shown(found)}Question: {question}\nThink step by step in a few sentences, then "
            "write 'So the answer is:' and the answer in few words."
        )
        text = _flat(written)
    _, mark, answer = text.rpartition("So the answer is:")
    return _line(answer) if mark else (yield from _answer(f"{text}\n" if text else "", question))


def react(question: str) -> Steps:
    """Writes thoughts and actions in turn, ``Search[...]`` or ``Finish[...]``.

    ReAct: Yao et al. 2023 (arXiv 2210.03629). Differences: (1) there is no ``Lookup``; (2) a step
    without a readable action searches the question.
    """
    log = ""
    for n in range(1, MAX_SEARCHES + 1):
        text = yield from ask(
            "Answer the question with steps of Thought, Action and Observation. An action is "
            "Search[query], or Finish[answer] with the answer in few words. Write the next thought "
            f"and action.\n\nQuestion: {question}\n{log}Thought {n}:",
            "\nObservation",
        )
        name, argument = _action(text)
        if name == "Finish":
            return argument
        found = yield from find(argument or question)
        if found is None:
            break
        log += f"Thought {n}: {text.strip()}\nObservation {n}: {_flat(_shown(found))}\n"
    return (yield from _answer(log, question))


def search_o1(question: str) -> Steps:
    """Reasons at length, searches where it is unsure, and reads passages into its reasoning.

    Search-o1: Li et al. 2025 (arXiv 2501.05366): the passages do not enter the reasoning; a second
    prompt, with the reasoning, the query and the passages, makes of them what does. Differences:
    (1) passages stand in for web pages; (2) the marks are ``<query>`` and ``<answer>``; (3) a
    reasoning that names no answer is asked for one.
    """
    reasoning = ""
    for _ in range(MAX_SEARCHES):
        text = yield from ask(
            "Answer the question by reasoning step by step. Where you are not sure of a fact, "
            "write <query>what to search</query> and wait for the result. At the end write "
            f"<answer>the answer in few words</answer>.\n\nQuestion: {question}\n"
            f"Reasoning so far:\n{reasoning}",
            "</query>",
            "</answer>",
        )
        before, mark, rest = text.rpartition("<query>")
        if not mark:
            _, mark, answer = text.rpartition("<answer>")
            if mark:
                return _line(answer)
            reasoning += f"{answer.strip()}\n"
            break
        query = _flat(rest) or question
        found = yield from find(query)
        if found is None:
            break
        refined = yield from ask(
            f"{_shown(found)}A reasoning on the question '{question}' came to the search "
            f"'{query}'.\nReasoning: {reasoning}{before}\nWrite only what the passages say that "
            "helps it on, in one or two sentences, or 'No helpful information found.'"
        )
        reasoning += f"{before.strip()}\nSearch: {query}\nResult: {_flat(refined)}\n"
    return (yield from _answer(reasoning, question))


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "direct": direct,
        "rag": rag,
        "self_ask": self_ask,
        "ircot": ircot,
        "iter_retgen": iter_retgen,
        "react": react,
        "search_o1": search_o1,
    }
)
"""The baselines by name."""


def _answer(before: str, question: str) -> Steps:
    text = yield from ask(f"{before}Question: {question}\n{_SHORT}")
    return _line(text.strip().removeprefix("Answer:"))


def _shown(found: Sequence[Passage] | None) -> str:
    """Returns passages as prompts show them; nothing where there are none."""
    if not found:
        return ""
    lines = [
        f"[{i}] {neutralise(passage.title)}: {neutralise(passage.text)}\n"
        for i, passage in enumerate(found, start=1)
    ]
    return "".join(["Passages:\n", *lines, "\n"])


def _line(text: str) -> str:
    """Returns the first line that is not empty, without a full stop at its end."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "").removesuffix(".").strip()


def _sentence(text: str) -> str:
    """Returns the first sentence."""
    first, mark, _ = _flat(text).partition(". ")
    return first + mark.strip()


def _flat(text: str) -> str:
    return " ".join(text.split())


def _action(text: str) -> tuple[str, str]:
    """Returns the name and the argument of the first action of a ReAct step."""
    found = [(text.find(f"{name}["), name) for name in ("Search", "Finish")]
    at, name = min(((at, name) for at, name in found if at >= 0), default=(-1, ""))
    if at < 0:
        return "", ""
    return name, _flat(text[at + len(name) + 1 :].partition("]")[0])
