"""A rollout backend of verl that runs on a CPU: transformers behind verl's server interface.

Written against verl 0.9.1. It is for models of a few million parameters, to try a set-up or to
study a method; a cluster uses vLLM through the same agent loop. The server is here; what verl
finds it by is in :mod:`searchenv.integrations.verl.cpu_backend`.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from searchenv.policies.generation import Sampling
from searchenv.policies.local import TransformersGenerator

__all__ = ["CPU_ROLLOUT", "CpuServer"]

logger = logging.getLogger(__name__)

CPU_ROLLOUT = "searchenv_cpu"
"""What ``rollout.name`` calls this backend."""

_MAX_BATCH = 256


class CpuServer:
    """Continues ids; requests that arrive together are written as one batch.

    Args:
        folder: the model, whose weights are replaced by each synchronisation.
    """

    def __init__(self, folder: str) -> None:
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        self._generator = TransformersGenerator(folder, device="cpu", dtype="float32")
        self._waiting: list[tuple[list[int], Mapping[str, Any], asyncio.Future[Any]]] = []
        self._running: asyncio.Task[None] | None = None
        self._step: int | None = None
        self._served = 0

    async def generate(
        self,
        prompt_ids: list[int],
        sampling_params: dict[str, Any],
        request_id: str,
        **ignored: object,
    ) -> Any:
        """Returns verl's ``TokenOutput``.

        Args:
            prompt_ids: what is continued.
            sampling_params: with ``max_tokens``, and maybe ``temperature``, ``top_p``, ``stop`` and
                ``seed``; others are ignored.
            request_id: not used.
            **ignored: images and such.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(prompt_ids), sampling_params, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def load_weights(self, weights: Mapping[str, Any], step: int | None) -> float:
        """Takes over weights and returns the largest change of one.

        Raises:
            KeyError: one of the model's weights is not among them.
        """
        import torch

        with torch.no_grad():
            own = self._generator.model.state_dict()
            tied = {name for name in own if name not in weights}
            if missing := tied - set(self._generator.model._tied_weights_keys or ()):
                raise KeyError(f"weights are missing: {sorted(missing)[:5]}")
            changes = [float((own[n] - weights[n]).abs().max()) for n in own if n in weights]
            self._generator.model.load_state_dict(dict(weights), strict=False)
        self._step = step
        logger.warning(
            "weights of step %s: largest change %.3e, %d texts so far",
            step,
            max(changes),
            self._served,
        )
        return max(changes)

    async def wake_up(self, tags: object = None) -> None:
        """Does nothing: the weights stay in memory."""

    async def sleep(self) -> None:
        """Does nothing."""

    async def clear_kv_cache(self) -> None:
        """Does nothing: no cache outlives a batch."""

    async def release_kv_cache(self) -> None:
        """Does nothing."""

    async def resume_kv_cache(self) -> None:
        """Does nothing."""

    async def abort_all_requests(self, reject_request: bool = False) -> dict[str, object]:
        """Does nothing: a batch is short."""
        return {}

    async def resume_generation(self) -> None:
        """Does nothing."""

    async def start_profile(self, **ignored: object) -> None:
        """Does nothing."""

    async def stop_profile(self) -> None:
        """Does nothing."""

    async def set_global_steps(self, step: int) -> None:
        """Notes the step whose weights are used."""
        self._step = step

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0.002)  # trajectories that were answered together come together
                batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
                await self._answer(batch)
        finally:
            self._running = None

    async def _answer(
        self, batch: Sequence[tuple[list[int], Mapping[str, Any], asyncio.Future[Any]]]
    ) -> None:
        by_sampling: dict[tuple[Any, ...], list[int]] = {}
        for i, (_, params, _) in enumerate(batch):
            by_sampling.setdefault(_key(params), []).append(i)
        for members in by_sampling.values():
            try:
                outputs = await asyncio.to_thread(self._write, [batch[i][:2] for i in members])
            except Exception as error:  # one bad prompt fails its batch, not the server
                outputs = [error] * len(members)
            for i, output in zip(members, outputs, strict=True):
                future = batch[i][2]
                if future.done():
                    continue
                if isinstance(output, Exception):
                    future.set_exception(output)
                else:
                    future.set_result(output)

    def _write(self, requests: Sequence[tuple[list[int], Mapping[str, Any]]]) -> list[Any]:
        from verl.workers.rollout.replica import TokenOutput

        params = requests[0][1]
        self._generator.sampling = Sampling(
            max_tokens=int(params["max_tokens"]),
            temperature=float(params.get("temperature", 1.0)),
            top_p=float(params.get("top_p", 1.0)),
        )
        seeds = [
            int(params.get("seed", self._served + i)) for i, (_, params) in enumerate(requests)
        ]
        found = self._generator.generate(
            [ids for ids, _ in requests], stop=tuple(params.get("stop") or ()), seeds=seeds
        )
        self._served += len(requests)
        return [
            TokenOutput(
                token_ids=list(completion.token_ids or ()),
                log_probs=list(completion.logprobs or ()),
                stop_reason="completed",
                num_preempted=0,
                extra_fields={"global_steps": self._step},
            )
            for (completion,) in found
        ]


def _key(params: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("temperature", "top_p", "max_tokens")
    return (*(params.get(name) for name in names), tuple(params.get("stop") or ()))
