"""verl's synchronous trainer, whose updates also see supervised texts.

Written against verl 0.9.1. ``verl.trainer.v1.trainer_mode: searchenv_sync`` takes it, and
``searchenv train verl`` sets that where ``task.auxiliary`` names something. The actor's update is
all that differs: see :mod:`searchenv.integrations.verl.auxiliary`.
"""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from searchenv.integrations.verl.auxiliary import FIELD, Layout, interleave, texts_of, unpack
from searchenv.integrations.verl.losses import SUPERVISED
from searchenv.integrations.verl.settings import TRAINER
from searchenv.training.items import TrainItem

__all__ = ["SearchTrainer"]


@register_trainer(TRAINER)
class SearchTrainer(PPOTrainerSync):  # type: ignore[misc]
    """Adds the texts of a step to its updates, whose number stays what it was.

    Args:
        config: verl's.
    """

    def __init__(self, config: DictConfig) -> None:
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"  # verl asks for this name in many places
        super().__init__(config)

    def _update_actor(self, batch: KVBatchMeta, metrics: MutableMapping[str, Any]) -> KVBatchMeta:
        actor = self.config.actor_rollout_ref.actor
        workers: Any = self.actor_rollout_wg  # type: ignore[has-type]
        multiple = 1 if actor.use_dynamic_bsz else int(actor.ppo_micro_batch_size_per_gpu)
        joint = _JointUpdate(workers, multiple)
        self.actor_rollout_wg = joint
        try:
            batch = super()._update_actor(batch, metrics)
        finally:
            self.actor_rollout_wg = workers
        metrics["actor/sft_items"] = joint.num_items
        return batch


class _JointUpdate:
    """Stands for the actor's workers in an update, and gives them more rows than it is given."""

    def __init__(self, workers: Any, multiple: int) -> None:
        self._workers = workers
        self._multiple = multiple
        self.num_items = 0

    def update_actor(self, batch: KVBatchMeta) -> Any:
        """Returns what the workers return of the update with the texts of the batch."""
        items = _items(batch)
        self.num_items = len(items)
        if not items:
            return self._workers.update_actor(batch)
        updates = len(batch) // batch.extra_info["mini_batch_size"]
        ranks = max(self._workers._dispatch_info["actor"]) + 1
        wide = self._widened(batch, items, Layout(updates, ranks, self._multiple))
        # the loss still divides by global_batch_size, the number of episodes in an update
        wide.extra_info["mini_batch_size"] = len(wide) // updates
        try:
            return self._workers.update_actor(wide)
        finally:
            own = set(batch.keys)
            tq.kv_clear([key for key in wide.keys if key not in own], batch.partition_id)

    @staticmethod
    def _widened(batch: KVBatchMeta, items: list[TrainItem], layout: Layout) -> KVBatchMeta:
        """Stores the texts and returns the batch with them."""
        source = tq.kv_batch_get(batch.keys[:1], batch.partition_id)[0]
        row = {name: source[name] for name in source.keys()}  # noqa: SIM118  (a TensorDict)
        blocks = texts_of(items, layout, filler=row["input_ids"].tolist())
        named = [[(f"sft{uuid4().hex}_0_0", text) for text in block] for block in blocks]
        rows = {key: text.row(row, SUPERVISED) for block in named for key, text in block}
        tags = {
            key: {**batch.tags[0], "seq_len": len(new["input_ids"])} for key, new in rows.items()
        }
        fields = list_of_dict_to_tensordict(list(rows.values()))
        tq.kv_batch_put(list(rows), batch.partition_id, fields, list(tags.values()))
        tags |= dict(zip(batch.keys, batch.tags, strict=True))
        keys = interleave(batch.keys, [[key for key, _ in block] for block in named])
        return replace(batch, keys=keys, tags=[tags[key] for key in keys])


def _items(batch: KVBatchMeta) -> list[TrainItem]:
    """Returns what the trajectories of a batch carry; verl's padding copies one of them."""
    keys = [
        key
        for key, tag in zip(batch.keys, batch.tags, strict=True)
        if not tag.get("is_padding", False)
    ]
    carried = list(tq.kv_batch_get(keys, batch.partition_id, ["extra_fields"])["extra_fields"])
    return [item for fields in carried for item in unpack(fields.get(FIELD, "[]"))]
