"""Equal moves give equal observations, rewards and segments, whoever drives the episode.

A model plays in TRL's trainer; its moves are then made again in the environment, the vector
environment, the evaluation, and verl's agent loop.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from searchenv.env import SearchQAEnv
from searchenv.episode import Episode, EpisodeView
from searchenv.evaluation.play import play as play_episodes
from searchenv.integrations.trl import SearchRollout
from searchenv.task import Task
from searchenv.tokens import token_sample
from searchenv.types import Limits, Question, Written
from searchenv.vector import SearchQAVectorEnv
from searchenv.worlds import FactWorld

QUESTIONS, SAMPLES, TURNS, TOKENS, OBSERVATION = 6, 16, 3, 24, 60


@dataclass(frozen=True)
class Played:
    """What TRL got of one sample."""

    question: Question
    moves: tuple[Written, ...]
    prompt_ids: list[int]
    response_ids: list[int]
    mask: list[int]
    reward: float


class Replay:
    """Writes given moves, whoever asks first."""

    def __init__(self, moves: Sequence[Written]) -> None:
        self._moves = moves

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        return [self._moves[len(view.moves)] for view in views]


@pytest.fixture(scope="module")
def tokenizer(searching_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(searching_model)


@pytest.fixture(scope="module")
def task(index: Path, world: FactWorld, tokenizer: Any) -> Task:
    limits = Limits(
        max_turns=TURNS,
        max_observation=OBSERVATION,
        counter=lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
    )
    return Task(index=index, questions=world.split("train")[:QUESTIONS], limits=limits)


@pytest.fixture(scope="module")
def played(task: Task, trl_trainer: Callable[..., Any], tokenizer: Any) -> list[Played]:
    rollout = SearchRollout(task, max_tokens=TOKENS)
    trainer = trl_trainer(rollout)
    prompts = [row["prompt"] for row in rollout.dataset() for _ in range(SAMPLES)]
    output = rollout(prompts, trainer)
    questions = [question for question in task.questions for _ in range(SAMPLES)]
    columns = zip(
        questions,
        output["prompt_ids"],
        output["completion_ids"],
        output["env_mask"],
        output["env_reward"],
        strict=True,
    )
    return [
        Played(question, tuple(moves_of(ids, mask, tokenizer)), prompt, ids, mask, reward)
        for question, prompt, ids, mask, reward in columns
    ]


def moves_of(ids: list[int], mask: list[int], tokenizer: Any) -> Iterator[Written]:
    """Yields the stretches that the model wrote."""
    for trained, pairs in groupby(zip(mask, ids, strict=True), key=lambda pair: pair[0]):
        if trained:
            own = [id_ for _, id_ in pairs]
            ended = own[-1] in tokenizer.all_special_ids
            text = tokenizer.decode(own, skip_special_tokens=True)
            stopped = ended or text.endswith(("</search>", "</answer>"))
            yield Written(text, token_ids=own, cut=not stopped and len(own) == TOKENS)


def test_what_the_model_played_is_worth_comparing(played: list[Played]) -> None:
    assert len(played) == QUESTIONS * SAMPLES
    assert {p.reward for p in played} == {0.0, 1.0}
    assert {len(p.moves) for p in played} == {1, 2, 3}
    assert any(move.cut for p in played for move in p.moves)
    assert any("<search>" in move for p in played for move in p.moves)
    assert any("</answer>" in move for p in played for move in p.moves)


def test_the_environment(played: list[Played], task: Task, index: Path, tokenizer: Any) -> None:
    env = SearchQAEnv(index=index, questions=task.questions, limits=task.limits)
    for p in played:
        observation, _ = env.reset(options={"question_id": p.question.id})
        texts, rewards, over = [observation], [], False
        for move in p.moves:
            assert not over
            observation, reward, terminated, truncated, _ = env.step(move)
            texts.append(observation)
            rewards.append(float(reward))
            over = terminated or truncated
        assert over
        agrees(p, env.episode, sum(rewards), tokenizer)
        read = [s.text for s in env.episode.segments if s.source != "agent"]
        assert "".join(texts) == "".join(read)


def test_the_vector_environment(
    played: list[Played], task: Task, index: Path, tokenizer: Any
) -> None:
    env = SearchQAVectorEnv(
        SAMPLES, index=index, questions=task.questions, limits=task.limits, group_size=SAMPLES
    )
    for start in range(0, len(played), SAMPLES):
        group = played[start : start + SAMPLES]
        env.reset(options={"question_id": group[0].question.id})
        totals, ended = [0.0] * SAMPLES, [False] * SAMPLES
        for turn in range(TURNS):
            actions = ["" if over else p.moves[turn] for p, over in zip(group, ended, strict=True)]
            _, rewards, terminations, truncations, _ = env.step(actions)
            for i, p in enumerate(group):
                if ended[i]:
                    continue
                totals[i] += float(rewards[i])
                ended[i] = bool(terminations[i] or truncations[i])
                if ended[i]:
                    assert len(p.moves) == turn + 1
                    agrees(p, env.episodes[i], totals[i], tokenizer)
        assert all(ended)


def test_the_evaluation(played: list[Played], task: Task, tokenizer: Any) -> None:
    for p in played:
        episode = Episode(p.question, task.protocol, task.limits)
        (ended,) = play_episodes(Replay(p.moves), [episode], task.tools)
        agrees(p, ended, sum(task.reward(ended.result).values()), tokenizer)


def test_verls_agent_loop(
    played: list[Played], index: Path, searching_model: Path, play: Callable[..., Any]
) -> None:
    for start in range(0, len(played), SAMPLES):
        group = played[start : start + SAMPLES]
        outputs, _ = play(
            searching_model,
            str(index),
            group[0].question,
            [writes(p) for p in group],
            max_turns=TURNS,
            max_tokens=TOKENS,
            max_observation=OBSERVATION,
        )
        for p, output in zip(group, outputs, strict=True):
            assert output.prompt_ids == p.prompt_ids
            assert output.response_ids == p.response_ids
            assert output.response_mask == p.mask
            assert output.reward_score == p.reward
            assert output.num_turns == len(p.moves)


def writes(p: Played) -> Callable[[int], Sequence[int]]:
    return lambda turn: p.moves[turn].token_ids or ()


def agrees(p: Played, episode: Episode, reward: float, tokenizer: Any) -> None:
    tokens = token_sample(episode.segments, tokenizer)
    assert list(tokens.prompt_ids) == p.prompt_ids
    assert list(tokens.response_ids) == p.response_ids
    assert list(tokens.mask) == p.mask
    assert reward == p.reward
