"""verl's agent loop over ``Episode``: a question is played token by token in the real trainer.

Written against verl 0.9.1. Ids that the rollout server sampled are kept and never made again from
text, the mask comes from the segments of the episode, and the reward from the episode as well, so
that retrieved text can neither be trained nor score.

A sample whose tool failed gives no trajectory. Its siblings live: verl drops a whole group of which
one member raises, so that nothing is raised here but what is a fault of the set-up.
"""

import asyncio
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from omegaconf import OmegaConf
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
)

from searchenv.episode import Episode
from searchenv.evaluation import Record
from searchenv.integrations.verl.auxiliary import FIELD, pack
from searchenv.integrations.verl.cpu_rollout import CPU_ROLLOUT
from searchenv.integrations.verl.parquet import read_question
from searchenv.integrations.verl.settings import LoopSettings
from searchenv.integrations.verl.worker import Worker, shared_worker
from searchenv.policies.generation import Completion, Finish, sample_seed
from searchenv.policies.local_text import read_completion
from searchenv.tokens import TokenSample, encode_segments, token_sample
from searchenv.training.items import Kind, TrainItem
from searchenv.training.settings import settings_of
from searchenv.types import Terms

__all__ = ["SearchAgentLoop"]

_GRACE_S = 60.0
"""How long a step is held after an outage, for who started verl to end it before it is learnt."""


class SearchAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """Plays one sample of one question.

    verl makes one for each trajectory, from its file of agent loops (see docs/verl.md).

    Args:
        *args: what verl gives.
        task: the keys of :class:`LoopSettings`.
        **kwargs: what verl gives.
    """

    def __init__(self, *args: object, task: Mapping[str, object] | None = None, **kwargs: object):
        tokenizer: Any = kwargs["tokenizer"]
        if tokenizer.chat_template is None:  # no template is used here, but verl 0.9.0 asks for one
            tokenizer.chat_template = "{{ messages[0].content }}"
        super().__init__(*args, **kwargs)
        if OmegaConf.is_config(task):
            task = OmegaConf.to_container(task)  # type: ignore[assignment]
        self._worker = shared_worker(settings_of(LoopSettings, task or {}), self.tokenizer)
        rollout = self.rollout_config
        self._samples = {"train": int(rollout.n), "val": int(rollout.val_kwargs.n)}
        self._prompt_length = int(rollout.prompt_length)
        self._response_length = int(rollout.response_length)
        self._takes_seeds = rollout.name == CPU_ROLLOUT

    async def run(
        self, sampling_params: dict[str, Any], **row: Any
    ) -> AgentLoopOutput | list[AgentLoopOutput]:
        """Returns the trajectory of one sample; an empty list if a tool or the prompt failed.

        Args:
            sampling_params: of the rollout server.
            **row: of the data set, with ``extra_info`` as
                :func:`searchenv.integrations.verl.parquet.question_row` writes it, and ``uid``,
                ``session_id`` and ``global_steps``.
        """
        sample = _Sample(self._worker, row, self._samples)
        try:
            await self._play(sample, sampling_params)
            return await self._output(sample)
        except Exception:
            self._worker.log.fault(traceback.format_exc())
            raise
        finally:
            await sample.leave()

    async def _play(self, sample: "_Sample", sampling_params: Mapping[str, Any]) -> None:
        """Plays the episode to its end."""
        worker, episode = self._worker, sample.episode
        opening = 0
        while not episode.over:
            with worker.busy():
                pieces = encode_segments(episode.segments, worker.tokenizer)
                ids = [i for piece in pieces for i in piece.ids]
            opening = opening or len(ids)
            if opening > self._prompt_length:
                episode.abandon(
                    f"the prompt has {opening} tokens: raise data.max_prompt_length, which is "
                    f"{self._prompt_length}"
                )
                break
            room = opening + self._response_length - len(ids)
            if room < 1:
                episode.exhaust(f"the response has {self._response_length} tokens")
                break
            completion = await self._write(sample, ids, room, sampling_params)
            sample.logprobs.append(completion.logprobs or [0.0] * len(completion.token_ids or ()))
            with worker.busy():
                cut = completion.finish is Finish.LENGTH
                episode.act(completion.text, token_ids=completion.token_ids, cut=cut)
            if not episode.over:
                started = time.perf_counter()
                results = await worker.pool.run(episode.pending)
                sample.waited["tools"] += time.perf_counter() - started
                with worker.busy():
                    episode.observe(results)

    async def _write(
        self, sample: "_Sample", ids: list[int], room: int, sampling_params: Mapping[str, Any]
    ) -> Completion:
        """Returns the policy's next move."""
        worker, protocol = self._worker, self._worker.protocol
        room = min(room, worker.settings.max_tokens)
        asked = {**sampling_params, "max_tokens": room, "stop": list(protocol.stop)}
        if self._takes_seeds:
            asked["seed"] = sample_seed(sample.episode.seed, len(sample.episode.turns))
        started = time.perf_counter()
        output = await self.server_manager.generate(
            request_id=sample.request_id, prompt_ids=ids, sampling_params=asked
        )
        sample.waited["generation"] += time.perf_counter() - started
        sample.note_steps(output.extra_fields or {})
        with worker.busy():
            written = list(output.token_ids)
            return read_completion(
                ids,
                written,
                list(output.log_probs or [0.0] * len(written)),
                worker.tokenizer,
                ends=worker.tokenizer.all_special_ids.intersection(written[-1:]),
                stop=protocol.stop,
                include_stop=protocol.include_stop,
                room=room,
            )

    async def _output(self, sample: "_Sample") -> AgentLoopOutput | list[AgentLoopOutput]:
        """Returns what verl trains on."""
        worker, result = self._worker, sample.episode.result
        with worker.busy():
            record = Record.of(sample.episode, worker.reward, worker.settings.scorers)
            tokens = token_sample(result.segments, worker.tokenizer, sample.logprobs)
        terms = {**record.outcome.terms, **await sample.arrive()}
        reward = float(sum(terms.values()))
        failed = result.stop.is_failure
        texts = [] if failed else await self._texts(sample, record)
        worker.log.episode(record, terms, tokens, {**sample.about(), "texts": len(texts)})
        if worker.is_outage((sample.split, sample.step), failed=failed):
            worker.log.fault(f"too many samples of step {sample.step} failed: {result.error}")
            await asyncio.sleep(_GRACE_S)
        if failed or not tokens.response_ids:
            return []
        return AgentLoopOutput(
            **_cut(tokens, self._response_length),
            reward_score=reward,
            num_turns=len(result.turns),
            metrics=AgentLoopMetrics(
                generate_sequences=sample.waited["generation"], tool_calls=sample.waited["tools"]
            ),
            multi_modal_data={},
            extra_fields={
                **sample.steps,
                **({FIELD: pack(texts)} if texts else {}),
                "turn_scores": [],
                "tool_rewards": [],
                "reward_extra_info": _extra(record, terms),
            },
        )

    async def _texts(self, sample: "_Sample", record: Record) -> list[TrainItem]:
        """Returns what is learnt beside an episode that is trained on.

        Raises:
            ValueError: an item is of another kind, or longer than prompt and response may be.
        """
        make = self._worker.auxiliary
        if make is None or sample.split != "train":
            return []
        items = list(await asyncio.to_thread(make, sample.step, [record]))
        longest = self._prompt_length + self._response_length
        for item in items:
            if item.kind is not Kind.SFT or not 2 <= len(item.ids) <= longest:
                raise ValueError(
                    f"expected auxiliary items of the kind sft with 2 to {longest} ids, got one of "
                    f"the kind {item.kind} with {len(item.ids)}"
                )
        return items


class _Sample:
    """One trajectory while it is played."""

    def __init__(self, worker: Worker, row: Mapping[str, Any], samples: Mapping[str, int]) -> None:
        question = read_question(row["extra_info"])
        self.split = str(row["extra_info"].get("split", "train"))
        self._siblings = samples["train" if self.split == "train" else "val"]
        self.step = int(row.get("global_steps", 0))
        self.session = int(row.get("session_id", 0))
        self.uid = str(row.get("uid") or uuid4().hex)
        seed = sample_seed(worker.settings.seed, self.split, self.step, question.id, self.session)
        self.episode = Episode(question, worker.protocol, worker.limits, seed=seed)
        self.request_id = uuid4().hex
        self.logprobs: list[Sequence[float]] = []
        self.waited = {"generation": 0.0, "tools": 0.0}
        self.steps: dict[str, object] = {}
        self._worker = worker
        self._arrived = False

    def note_steps(self, extra: Mapping[str, object]) -> None:
        """Keeps which weights wrote the first and the latest move."""
        for name, keep in (("min_global_steps", "first"), ("max_global_steps", "last")):
            if name in extra and (keep == "last" or name not in self.steps):
                self.steps[name] = extra[name]

    def about(self) -> dict[str, object]:
        """Returns where in the training this sample stands."""
        return {"step": self.step, "split": self.split, "session": self.session, "uid": self.uid}

    async def arrive(self) -> Terms:
        """Returns the terms that the group gives this sample; waits for its siblings."""
        self._arrived = True
        if self._worker.barrier is None:
            return {}
        return await self._worker.barrier.arrive(self.uid, self._siblings, self.episode.result)

    async def leave(self) -> None:
        """Lets the siblings of a sample that raised go on without it."""
        if not self._arrived and self._worker.barrier is not None:
            await self._worker.barrier.arrive(self.uid, self._siblings, None)


def _cut(tokens: TokenSample, length: int) -> dict[str, list[Any]]:
    return {
        "prompt_ids": list(tokens.prompt_ids),
        "response_ids": list(tokens.response_ids[:length]),
        "response_mask": list(tokens.mask[:length]),
        "response_logprobs": list((tokens.logprobs or ())[:length]),
    }


def _extra(record: Record, terms: Terms) -> dict[str, float]:
    """Returns what verl's validation shows of each sample; all of them have the same keys."""
    result = record.result
    return {
        **{name: float(value) for name, value in record.outcome.scores.items()},
        **{f"term_{name}": float(value) for name, value in terms.items()},
        "searches": float(result.num_calls),
        "search_rate": float(result.num_calls > 0),
        "valid_rate": float(result.answer is not None and result.num_invalid == 0),
    }
