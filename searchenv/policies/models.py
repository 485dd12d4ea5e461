"""A language model as a policy: it continues the transcript, or answers the messages."""

from collections.abc import Mapping, Sequence

from searchenv.episode import EpisodeView
from searchenv.errors import PolicyError
from searchenv.policies.generation import (
    Completion,
    Finish,
    Generator,
    ToolGenerator,
    Transcript,
    sample_seed,
)
from searchenv.types import Written

__all__ = ["ModelPolicy", "turn_seed"]


class ModelPolicy:
    """Lets a model write every move in the protocol of the episode.

    A model that continues texts gets the whole transcript, in which the ids that it sampled before
    stand as they are. A chat server gets the messages: a protocol that goes on in one text is then
    played as a dialogue.

    Args:
        generator: the model.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    @property
    def concurrency(self) -> int:
        """Views that may be asked for at once; 0: ask for all of them together."""
        return int(getattr(self._generator, "concurrency", 0))

    @property
    def usage(self) -> Mapping[str, int] | None:
        """What the model's calls have cost so far."""
        return getattr(self._generator, "usage", None)

    def describe(self) -> dict[str, object]:
        """Returns what decides the moves, for the header of a run."""
        describe = getattr(self._generator, "describe", None)
        return {"model": describe() if describe else type(self._generator).__name__}

    def act(self, views: Sequence[EpisodeView]) -> list[str]:
        """Returns what the model writes for each view, with its ids where they are known.

        Raises:
            PolicyError: the model cannot continue one of them, or cannot call tools as the protocol
                wants it to.
        """
        by_protocol: dict[int, list[int]] = {}
        for i, view in enumerate(views):
            by_protocol.setdefault(id(view.protocol), []).append(i)
        texts = [""] * len(views)
        for members in by_protocol.values():
            written = self._write([views[i] for i in members])
            for i, completion in zip(members, written, strict=True):
                texts[i] = Written(
                    completion.text,
                    cut=completion.finish is Finish.LENGTH,
                    token_ids=completion.token_ids,
                )
        return texts

    def _write(self, views: Sequence[EpisodeView]) -> list[Completion]:
        protocol = views[0].protocol
        prompts = [Transcript(view.segments, tuple(view.messages)) for view in views]
        seeds = [turn_seed(view) for view in views]
        if not protocol.tool_schemas:
            found = self._generator.generate(
                prompts, stop=protocol.stop, include_stop=protocol.include_stop, seeds=seeds
            )
            return [completion for (completion,) in found]
        if not isinstance(self._generator, ToolGenerator):
            raise PolicyError(
                f"protocol {protocol.name!r} needs a chat server that calls tools; "
                "use tool_calls with a local model"
            )
        return self._generator.generate_calls(prompts, tools=protocol.tool_schemas, seeds=seeds)


def turn_seed(view: EpisodeView) -> int:
    """Returns the seed of a view's next move: it depends on nothing but episode and turn."""
    return sample_seed(view.seed, view.question_id, len(view.moves))
