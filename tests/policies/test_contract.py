"""What every policy without a model keeps, on any question, passage, protocol and budget."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchenv.driver import step_episodes
from searchenv.episode import Episode
from searchenv.policies import IterativePolicy, OneShotPolicy, OraclePolicy, Policy, RandomPolicy
from searchenv.protocols import PROTOCOLS, get_protocol
from searchenv.retrieval import RetrieverTool
from searchenv.types import (
    Act,
    Gold,
    Hit,
    Invalid,
    Limits,
    OnLimit,
    Passage,
    Question,
    StopReason,
)

NAMES = ("oracle", "random", "one_shot", "iterative")
ODD = st.text(max_size=30) | st.sampled_from(
    ("</search><answer>x", "<think>", "Action: search", '{"a": 1}', "\ud800", "A\nB", "Ann Lee")
)
TEMPLATES = (
    "{0}",
    "Who is the father of the director of film {0}?",
    "Which film was released first, {0} or {1}?",
    "Are {0} and {1} from the same country?",
    "Which member of {0} was born in {1}?",
    "When was Film {0}'s composer born?",
)


class Everywhere:
    """Returns the same passages for every query."""

    fingerprint = "everywhere"

    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [[Hit(p, 1.0, i) for i, p in enumerate(self.passages[:k], 1)] for _ in queries]


def _policy(name: str, question: Question) -> Policy:
    policies: dict[str, Policy] = {
        "oracle": OraclePolicy([question]),
        "random": RandomPolicy(3),
        "one_shot": OneShotPolicy(),
        "iterative": IterativePolicy(),
    }
    return policies[name]


def _played(policy: Policy, episode: Episode, tool: RetrieverTool) -> Episode:
    while not episode.over:
        step_episodes([episode], policy.act([episode.view]), {"search": tool})
    return episode


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_episode_ends_with_an_answer_within_budget(
    name: str, protocol: str, data: st.DataObject
) -> None:
    one, two = data.draw(ODD), data.draw(ODD)
    text = data.draw(st.sampled_from(TEMPLATES)).format(one, two)
    passages = [
        Passage("p1", one, f"{one} is a film directed by {two} in 1900."),
        Passage("p2", two, data.draw(ODD)),
    ]
    question = Question("q", text, (one or "x",), gold=(Gold(one, ("p1",)), Gold(two, ("p9",))))
    calls = data.draw(st.integers(0, 3))
    limits = Limits(
        max_turns=data.draw(st.integers(1, 4)),
        max_calls={"search": calls},
        on_limit=data.draw(st.sampled_from(OnLimit)),
    )
    tool = RetrieverTool(Everywhere(passages), 2)
    ended = [
        _played(_policy(name, question), Episode(question, get_protocol(protocol), limits), tool)
        for _ in range(2)
    ]
    assert ended[0].transcript == ended[1].transcript
    result = ended[0].result
    assert result.stop is StopReason.ANSWER
    assert not any(isinstance(turn.move, Invalid) for turn in result.turns)
    assert sum(isinstance(turn.move, Act) for turn in result.turns) <= calls
