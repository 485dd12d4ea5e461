"""Searches as actions: which name to search next, judged by features and a small encoder.

A question and the passages that were found name what may be searched. As in
:mod:`searchenv.integrations.choices`, everything is made of the view of an episode, and no gold
answer or gold passage can reach a policy; only the reward of :class:`NewGold` sees the latter.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import SupportsFloat, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from searchenv.env import Info, SearchQAEnv
from searchenv.episode import EpisodeView
from searchenv.integrations.candidates import Candidate, around, named
from searchenv.integrations.choices import (
    ADVISED,
    CANDIDATE_SIZE,
    STATE_SIZE,
    Choices,
    Layout,
    Option,
    describe,
    describe_state,
    rules_option,
)
from searchenv.policies import IterativePolicy
from searchenv.policies.clues import Kind, make_plan, question_names
from searchenv.policies.moves import may_search, searched
from searchenv.policies.reading import bare, plain
from searchenv.rewards import found_share
from searchenv.types import Hit, Passage

__all__ = ["NewGold", "QueryReader", "passage_text", "query_candidates"]

Vectors = npt.NDArray[np.float32]


class NewGold(gym.Wrapper[str, str, str, str]):
    """Pays each search for the gold passages that it is the first to find.

    The reward of a step is the share of the question's gold passages that no earlier search found,
    so that those of an episode sum to its recall. The episode is over, ``terminated``, after the
    last search that its limits allow; nothing is paid for an answer.

    Args:
        env: a ``SearchQA-v0`` environment with ``limits.max_calls["search"]``, whose questions have
            gold passages that are linked to the index.

    Raises:
        ValueError: the limits do not bound the searches.
    """

    def __init__(self, env: gym.Env[str, str]) -> None:
        super().__init__(env)
        if "search" not in self._env.task.limits.max_calls:
            raise ValueError('NewGold needs a number of searches: Limits(max_calls={"search": 4})')

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, Info]:
        """Makes a move."""
        before = self._recall()
        text, _, terminated, truncated, info = self.env.step(action)
        over = terminated or self._env.episode.view.calls_left("search") == 0
        return text, self._recall() - before, over, truncated and not over, info

    def _recall(self) -> float:
        episode = self._env.episode
        ids = {hit.passage.id for hits in episode.view.observations for hit in hits}
        return found_share(episode.question.gold, ids) or 0.0

    @property
    def _env(self) -> SearchQAEnv:
        return cast(SearchQAEnv, self.unwrapped)


class QueryReader:
    """Offers searches: of the question, and of the names in it and in the passages found.

    The features are those of :mod:`searchenv.integrations.choices`, but for the first of each
    candidate: whether the rules of ``iterative`` would search it now, whether a found passage has
    it as title, whether the last search brought it, the score of its passage as a share of the
    best in that search, how often passages name it, and the cosine of question and passage,
    moved to 0..1.

    Args:
        embed: returns vectors of length 1, (num_texts, dim), for questions and for what
            :func:`passage_text` writes.
        candidates: how many names may be searched in one state, at least 1.
        size: how many states are remembered; one takes about 0.6 kB a candidate.
    """

    def __init__(
        self,
        embed: Callable[[Sequence[str]], Vectors],
        *,
        candidates: int = 32,
        size: int = 8192,
    ) -> None:
        self.layout = Layout(1, candidates, 1, STATE_SIZE, CANDIDATE_SIZE)
        self._embed = embed
        self._size = size
        self._known: dict[Hashable, Choices] = {}

    def read(self, view: EpisodeView) -> Choices:
        """Returns the searches that are possible; none where the budgets allow no more.

        What was searched is not offered again, up to case and punctuation.
        """
        searches = searched(view)
        key = (view.question, tuple(searches.items()), len(view.moves), may_search(view))
        choices = self._known.pop(key, None) or self._read(view, searches)
        self._known[key] = choices
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]
        return choices

    def _read(self, view: EpisodeView, searches: Mapping[str, Sequence[Hit]]) -> Choices:
        layout, plan = self.layout, make_plan(view.question)
        found = query_candidates(view.question, searches, layout.candidates)
        rules = rules_option(view, IterativePolicy().act([view])[0])
        texts = [view.question, *(candidate.text for candidate in found)]
        may = may_search(view)
        asked = {plain(query) for query in searches}
        moves = [Option(False, t) if may and plain(t) not in asked else None for t in texts]
        moves += [None] * (layout.num_actions - len(moves))
        mask = np.array([move is not None for move in moves])
        rows = np.zeros((layout.candidates, layout.candidate_size), dtype=np.float32)
        if found:
            rows[: len(found)] = [describe(each, view.question, plan) for each in found]
            rows[: len(found), :ADVISED] = self._compare(view.question, found, searches, rules)
        state = describe_state(view, plan, rules)
        features = np.concatenate([mask, state, rows.ravel()], dtype=np.float32)
        return Choices(features, mask, tuple(moves))

    def _compare(
        self,
        question: str,
        found: Sequence[Candidate],
        searches: Mapping[str, Sequence[Hit]],
        rules: Option | None,
    ) -> list[list[float]]:
        """Returns the features that depend on the searches so far, (len(found), ADVISED)."""
        hits = {hit.passage: (hit.score, best) for hit, _, best in _latest(searches)}
        near = self._cosines(question, list(hits))
        last = {hit.passage for hit in next(reversed([*searches.values()]), ())}
        titles = {named(passage)[0] for passage in hits}
        counts = Counter(t for passage in hits for t, _ in _names(passage, 1, 1))
        advised = None if rules is None or rules.answers else plain(rules.text)
        rows = []
        for each in found:
            passage, text = each.passage, plain(bare(each.text))
            score, best = hits[passage] if passage else (0.0, 0.0)
            rows.append(
                [
                    text == advised,
                    text in titles,
                    passage in last,
                    score / best if 0 < score <= best else 0.0,
                    min(counts[text] / 4, 1.0),
                    near[passage] if passage else 0.0,
                ]
            )
        return rows

    def _cosines(self, question: str, passages: Sequence[Passage]) -> dict[Passage, float]:
        vectors = self._embed([question, *map(passage_text, passages)])
        near = np.clip((vectors[1:] @ vectors[0] + 1) / 2, 0, 1)
        return dict(zip(passages, near.tolist(), strict=True))


def passage_text(passage: Passage) -> str:
    """Returns what is encoded of a passage: the first 64 characters of title, blank, text.

    That is what it is about; a policy meets many passages, and each costs a pass of the encoder.
    """
    return f"{passage.title} {passage.text}"[:64]


def query_candidates(
    question: str, searches: Mapping[str, Sequence[Hit]], size: int
) -> list[Candidate]:
    """Returns up to ``size`` names that may be searched next, each once.

    First come the names of the question, then titles of the passages found, and what they mention:
    what stands first in its passage is first, equal places in the order of the hits, the last
    search before those before it. Names that were searched are left out.

    Args:
        question: as asked.
        searches: the hits of each query, in the order of the searches.
        size: at least 1.
    """
    first = {
        plain(bare(name)): (-1, Candidate(bare(name), Kind.NAME, None))
        for name in question_names(question)
    }
    for hit, depth, _ in _latest(searches):
        for place, (text, candidate) in enumerate(_names(hit.passage, hit.rank, depth)):
            if text not in first or place < first[text][0]:
                first[text] = (place, candidate)
    done = {plain(bare(query)) for query in searches} | {""}
    ordered = sorted((text for text in first if text not in done), key=lambda text: first[text][0])
    return [first[text][1] for text in ordered[:size]]


def _latest(searches: Mapping[str, Sequence[Hit]]) -> Iterator[tuple[Hit, int, float]]:
    """Yields each passage once, the last search first: a hit, its first search, its best score."""
    depths: dict[str, int] = {}
    for depth, hits in enumerate(searches.values(), start=1):
        for hit in hits:
            depths.setdefault(hit.passage.id, depth)
    for hits in reversed([*searches.values()]):
        for hit in hits:
            if depth := depths.pop(hit.passage.id, 0):
                yield hit, depth, hits[0].score


@lru_cache(maxsize=20_000)
def _names(passage: Passage, rank: int, depth: int) -> tuple[tuple[str, Candidate], ...]:
    """Returns the title of a passage and the names in it, each with what it is compared by."""
    title, mentions = named(passage)
    about = Candidate(bare(passage.title), Kind.NAME, None, depth=depth, passage=passage, rank=rank)
    found = {title: about}
    for text, mention in mentions:
        if mention.kind is Kind.NAME and text not in found:
            before, after = around(mention)
            found[text] = replace(
                about,
                text=mention.text,
                source=about.text,
                sentence=mention.sentence,
                before=before,
                after=after,
            )
    return tuple(found.items())
