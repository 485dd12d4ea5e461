"""verl's agent loop played with a server that writes what a test wants."""

import asyncio
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from searchenv.protocols import SearchR1
from searchenv.types import Question

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap

    from searchenv.integrations.verl.agent_loop import SearchAgentLoop
    from searchenv.integrations.verl.parquet import question_row

Write = Callable[[int], str | Sequence[int]]
"""From the number of a sample's turn to the text or ids that are written in it."""


class Server:
    """Takes and gives ids as verl's server client does; each id has the log-probability -0.5."""

    def __init__(self, tokenizer: Any, write: Write) -> None:
        self.tokenizer = tokenizer
        self.write = write
        self.turns: dict[str, int] = {}
        self.prompts: list[list[int]] = []
        self.asked: list[Mapping[str, Any]] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: Mapping[str, Any]
    ) -> SimpleNamespace:
        turn = self.turns.get(request_id, 0)
        self.turns[request_id] = turn + 1
        self.prompts.append(list(prompt_ids))
        self.asked.append(sampling_params)
        written = self.write(turn)
        if isinstance(written, str):
            written = self.tokenizer.encode(written, add_special_tokens=False)
        ids = list(written)[: sampling_params["max_tokens"]]
        steps = {"min_global_steps": 3 + turn, "max_global_steps": 3 + turn}
        return SimpleNamespace(token_ids=ids, log_probs=[-0.5] * len(ids), extra_fields=steps)


@pytest.fixture
def play() -> Callable[..., tuple[list[Any], Server]]:
    """Plays one group of samples in verl's loop; returns what verl gets, and the first server."""
    return play_in_verl


def play_in_verl(
    model: Path,
    index: str,
    question: Question,
    writes: Sequence[Write],
    *,
    response_length: int = 200,
    prompt_length: int = 40,
    **task: object,
) -> tuple[list[Any], Server]:
    """Plays one group of samples; returns what verl gets of each."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    rollout = {
        "n": len(writes),
        "val_kwargs": {"n": 1},
        "prompt_length": prompt_length,
        "response_length": response_length,
        "name": "vllm",
    }
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}, "data": {}})
    row = question_row(question, SearchR1(), index=0)
    servers = [Server(tokenizer, write) for write in writes]

    async def run() -> list[Any]:
        loops = [
            SearchAgentLoop(
                trainer_config=DictConfigWrap(config),
                server_manager=server,
                tokenizer=tokenizer,
                processor=None,
                dataset_cls=None,
                data_config=DictConfigWrap(config.data),
                task={"index": index, "max_observation": 60, "max_tokens": 40, **task},
            )
            for server in servers
        ]
        runs = [
            loop.run({"temperature": 1.0}, **row, uid="u", session_id=i, global_steps=3)
            for i, loop in enumerate(loops)
        ]
        return await asyncio.wait_for(asyncio.gather(*runs), 60)

    return asyncio.run(run()), servers[0]
