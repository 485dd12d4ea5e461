"""TRL's ``GRPOTrainer`` on SearchQA: its ``rollout_func`` over ``Episode``.

Written against trl 1.12, the newest that verl 0.9.1 can be imported beside. ``rollout_func`` is an
experimental interface of TRL. Texts are written by the trainer's own model, without vLLM::

    rollout = SearchRollout(Task(index="demo"), max_tokens=200)
    trainer = GRPOTrainer(
        model=model,
        args=config,
        train_dataset=rollout.dataset(),
        reward_funcs=rollout.reward,
        rollout_func=rollout,
        processing_class=tokenizer,
    )
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from searchenv.episode import Episode
from searchenv.evaluation import Record, Setup
from searchenv.policies.generation import Sampling, sample_seed
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.models import ModelPolicy
from searchenv.task import Task
from searchenv.tokens import token_sample
from searchenv.training.rollout import Clock, describe_records, roll_out
from searchenv.types import Question

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["SearchRollout"]

_BATCH = 64


class SearchRollout:
    """Plays the prompts of a step: what ``GRPOTrainer(rollout_func=...)`` calls.

    What the model sampled keeps its ids; ``env_mask`` is 1 where the segments of the episode are
    trained. A sample whose tool failed has a mask of zeros and no reward, so that TRL leaves it out
    of its group; its siblings live.

    Args:
        task: index, questions, protocol, reward, limits.
        max_tokens: that a move may have.
        scorers: also measured, and logged beside the terms of the reward.
        seed: what samples are drawn from.

    Raises:
        ValueError: two questions have the same id and text, or there are none.
    """

    def __init__(
        self,
        task: Task,
        *,
        max_tokens: int = 500,
        scorers: Sequence[str] = ("em", "f1_squad"),
        seed: int = 0,
    ) -> None:
        self._max_tokens = Sampling(max_tokens).max_tokens
        self._seed = seed
        self._questions = {_key(question): question for question in task.questions}
        (twice, count), *_ = Counter(map(_key, task.questions)).most_common(1) or [("", 0)]
        if count != 1:
            what = f"{twice!r} {count} times" if count else "none"
            raise ValueError(f"expected questions that can be told apart, got {what}")
        self._setup = Setup(
            tools=task.tools,
            protocol=task.protocol,
            reward=task.reward,
            limits=task.limits,
            scorers=tuple(scorers),
        )
        self._calls: Counter[tuple[str, int]] = Counter()
        self._described: dict[str, float] = {}

    def dataset(self, questions: Sequence[Question] | None = None) -> "Dataset":
        """Returns the rows of TRL's data set: a column ``prompt``, which names the question.

        TRL shows it; the model reads the prompt of the protocol instead.

        Args:
            questions: of the task; None: all of them.
        """
        from datasets import Dataset

        chosen = self._questions if questions is None else map(_key, questions)
        return Dataset.from_list([{"prompt": key} for key in chosen])

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Returns one episode a prompt, as TRL wants it.

        Args:
            prompts: those of :meth:`dataset`; TRL repeats each as often as it wants samples of it.
            trainer: whose model plays, at the temperature of its ``args``.

        Raises:
            ValueError: a prompt is none of the task's questions.
        """
        tokenizer = trainer.processing_class
        questions = [self._question(prompt) for prompt in prompts]
        sampling = Sampling(self._max_tokens, float(trainer.args.temperature))
        generator = TransformersGenerator.of(
            trainer.accelerator.unwrap_model(trainer.model),
            tokenizer,
            sampling=sampling,
            batch_size=_BATCH,
        )
        rollout = roll_out(
            ModelPolicy(generator),
            questions,
            self._setup,
            seed=self._next_seed("train" if trainer.model.training else "eval", trainer),
            clock=Clock(),
        )
        self._described = {**describe_records(rollout.records), "failed": float(rollout.failed)}
        samples = [
            self._sample(question, group, tokenizer)
            for question, group in zip(questions, rollout.groups, strict=True)
        ]
        names = ("prompt_ids", "completion_ids", "env_mask", "env_reward")
        columns = dict(zip(names, map(list, zip(*samples, strict=True)), strict=True))
        return {**columns, "logprobs": None}

    def reward(
        self,
        *,
        env_reward: Sequence[float | None],
        log_metric: Callable[[str, float], None] | None = None,
        **others: object,
    ) -> list[float | None]:
        """Returns the rewards of the episodes: what ``GRPOTrainer(reward_funcs=...)`` takes.

        Args:
            env_reward: what the roll-out gave TRL.
            log_metric: TRL's; gets the means of terms, scores, searches and validity.
            **others: not used.
        """
        if log_metric is not None:
            for name, value in self._described.items():
                log_metric(f"episodes/{name}", value)
        return list(env_reward)

    def _question(self, prompt: str) -> Question:
        if prompt not in self._questions:
            raise ValueError(
                f"the prompt {prompt!r} is none of the task's {len(self._questions)} questions: "
                "train on the rows of dataset()"
            )
        return self._questions[prompt]

    def _next_seed(self, mode: str, trainer: Any) -> int:
        """Returns a seed of its own for each call within a step."""
        step = int(trainer.state.global_step)
        number = self._calls[mode, step]
        self._calls[mode, step] += 1
        return sample_seed(self._seed, mode, step, number, int(trainer.accelerator.process_index))

    def _sample(
        self, question: Question, group: Sequence[Record], tokenizer: Any
    ) -> tuple[list[int], list[int], list[int], float | None]:
        """Returns ids of prompt and completion, mask and reward of the one sample in ``group``."""
        if group:
            tokens = token_sample(group[0].result.segments, tokenizer)
            if tokens.response_ids:
                reward = float(sum(group[0].outcome.terms.values()))
                return (
                    list(tokens.prompt_ids),
                    list(tokens.response_ids),
                    list(tokens.mask),
                    reward,
                )
        opening = Episode(question, self._setup.protocol, self._setup.limits).segments
        prompt_ids = list(token_sample(opening, tokenizer).prompt_ids)
        return prompt_ids, [int(tokenizer.eos_token_id)], [0], None


def _key(question: Question) -> str:
    return f"[{question.id}] {question.text}"
