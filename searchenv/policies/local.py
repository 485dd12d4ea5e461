"""Models that transformers runs in this process, on a CPU or a GPU.

Texts are made in batches by a loop of our own, because four things must hold that a general
``generate`` does not give together: ids that were sampled are continued as they are, a prompt's
sample does not depend on the batch that it is in, stop strings end each text of a batch by itself,
and a forbidden string is avoided at the token that would complete it.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from searchenv.errors import MissingDependencyError, PolicyError
from searchenv.policies.chat_wire import Style
from searchenv.policies.generation import (
    Completion,
    Prompt,
    Sampling,
    Transcript,
    prompt_text,
)
from searchenv.policies.local_text import Draft
from searchenv.tokens import encode_segments

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["TransformersGenerator"]


class TransformersGenerator:
    """Continues texts, or answers messages through the chat template of the tokenizer.

    In completion mode an episode is continued token by token: what the model sampled stands in the
    prompt as the same ids, and what the environment wrote as ids of its own. In chat mode the whole
    dialogue is written anew by the template in every turn.

    A sample depends on prompt and seed alone, up to the rounding of floating-point numbers, which
    may differ with the shape of a batch.

    Args:
        folder: with a causal language model and its tokenizer, as ``save_pretrained`` writes them.
        name: what the model is called in headers; None: the folder's name.
        sampling: how it draws.
        style: completion or chat mode.
        batch_size: texts at once, at least 1.
        device: such as ``cpu`` or ``cuda``; ``auto``: a GPU where there is one.
        dtype: of the weights, such as ``bfloat16``; ``auto``: as they are stored.

    Raises:
        ValueError: there is no such folder, ``batch_size`` is below 1, or chat mode is asked of a
            tokenizer without a chat template.
        MissingDependencyError: transformers or torch is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        sampling: Sampling | None = None,
        style: Style | str = Style.COMPLETION,
        batch_size: int = 16,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        if not (Path(folder) / "config.json").is_file():
            raise ValueError(f"expected a folder with a model, found no config.json in {folder}")
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingDependencyError(
                'local models need transformers: pip install "searchenv[local]"'
            ) from error
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        model.to(device)  # type: ignore[arg-type]
        tokenizer = AutoTokenizer.from_pretrained(folder)
        name = name or Path(folder).resolve().name
        self._set_up(model, tokenizer, name, sampling, style, batch_size)

    @classmethod
    def of(
        cls,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        name: str = "model",
        sampling: Sampling | None = None,
        style: Style | str = Style.COMPLETION,
        batch_size: int = 16,
    ) -> "TransformersGenerator":
        """Returns a generator over a model in memory, such as one that a trainer is training.

        The model is used as it is: its weights may change between calls, it stays on its device,
        and a model that was in training mode is again in it after a call.

        Raises:
            ValueError: as for a folder.
        """
        self = cls.__new__(cls)
        self._set_up(model, tokenizer, name, sampling, style, batch_size)
        return self

    def _set_up(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        sampling: Sampling | None,
        style: Style | str,
        batch_size: int,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, got {batch_size}")
        self.batch_size = batch_size
        self.model: Any = model
        self.tokenizer: Any = tokenizer
        self.name = name
        self.sampling = sampling or Sampling()
        self.style = Style(style)
        if self.style is Style.CHAT and not self.tokenizer.chat_template:
            raise ValueError(f"{name} has no chat template: use completion mode")
        stored = self.model.generation_config.eos_token_id
        ends = stored if isinstance(stored, list) else [stored]
        self._ends = {*ends, self.tokenizer.eos_token_id} - {None}
        self._usage: Counter[str] = Counter()

    @property
    def usage(self) -> dict[str, int]:
        """Texts and tokens so far."""
        return {name: self._usage[name] for name in ("requests", *_TOKENS)}

    def describe(self) -> dict[str, object]:
        """Returns what decides the texts, for the header of a run."""
        return {
            "model": self.name,
            "sha256": self._fingerprint(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "style": self.style.value,
            "max_tokens": self.sampling.max_tokens,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
        }

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        """Returns ``n`` completions for each prompt; see :class:`Generator`.

        Ids hold the end token where it was sampled; the text does not. Where a stop string that is
        left out begins inside a token, the characters before it are encoded anew: these ids alone
        were not sampled, and the completion has no ``logprobs``. Other ``logprobs`` are at
        temperature 1, over all tokens.

        Raises:
            PolicyError: a prompt leaves no room in the model's context, or is empty.
        """
        drafts = []
        for i, prompt in enumerate(prompts):
            ids = self._encode(prompt)
            room = self._room(ids)
            for j in range(n):
                rng = np.random.default_rng(None if seeds is None else [seeds[i], j])
                drafts.append(Draft(ids, room, rng, self.tokenizer, tuple(stop), tuple(forbid)))
        training = self.model.training
        self.model.eval()
        try:
            longest_first = sorted(drafts, key=lambda draft: -len(draft.prompt))
            for start in range(0, len(drafts), self.batch_size):
                self._write(longest_first[start : start + self.batch_size])
        finally:
            self.model.train(training)
        self._usage["requests"] += len(drafts)
        self._usage["prompt_tokens"] += sum(len(draft.prompt) for draft in drafts)
        self._usage["completion_tokens"] += sum(len(draft.ids) for draft in drafts)
        texts = iter(draft.completion(include_stop=include_stop) for draft in drafts)
        return [[next(texts) for _ in range(n)] for _ in prompts]

    def _encode(self, prompt: Prompt) -> list[int]:
        """Returns the ids of a prompt."""
        if self.style is Style.CHAT and (text := prompt_text(prompt)) is not None:
            if isinstance(prompt, Transcript):
                messages: Sequence[object] = prompt.messages
            else:
                messages = [{"role": "user", "content": text}] if prompt == text else list(prompt)
            shown = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            return self._ids(shown, special=False)
        if isinstance(prompt, Transcript):
            pieces = encode_segments(prompt.segments, self.tokenizer)
            return [i for piece in pieces for i in piece.ids]
        text = prompt_text(prompt)
        return [i for i in prompt if isinstance(i, int)] if text is None else self._ids(text)

    def _ids(self, text: str, *, special: bool = True) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _room(self, ids: Sequence[int]) -> int:
        """Returns how many tokens may follow."""
        if not ids:
            raise PolicyError("the prompt is empty: expected at least one token")
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if context is None:
            return self.sampling.max_tokens
        if len(ids) >= context:
            raise PolicyError(
                f"the prompt has {len(ids)} tokens, and {self.name} reads {context}: lower the "
                "number of hits, max_observation or max_turns"
            )
        return int(min(self.sampling.max_tokens, context - len(ids)))

    def _write(self, drafts: Sequence[Draft]) -> None:
        """Writes a batch to its end; a text that has ended leaves it."""
        import torch

        with torch.no_grad():  # what a model keeps in inference mode cannot be trained through
            device = self.model.device
            width = max(len(draft.prompt) for draft in drafts)
            pads = [width - len(draft.prompt) for draft in drafts]
            rows = [[0] * pad + draft.prompt for pad, draft in zip(pads, drafts, strict=True)]
            ids = torch.tensor(rows, device=device)  # (num_drafts, width)
            mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=device)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            cache = None
            while drafts:
                out = self.model(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                cache = out.past_key_values
                tokens = self._choose(out.logits[:, -1].float(), drafts)
                live = [i for i, draft in enumerate(drafts) if draft.finish is None]
                if len(live) < len(drafts) and live:
                    kept = torch.tensor(live, device=device)
                    cache.batch_select_indices(kept)
                    mask, positions = mask[kept], positions[kept]
                drafts = [drafts[i] for i in live]
                ids = torch.tensor([[tokens[i]] for i in live], device=device)
                mask = torch.nn.functional.pad(mask, (0, 1), value=1)
                positions = positions[:, -1:] + 1

    def _choose(self, logits: "torch.Tensor", drafts: Sequence[Draft]) -> list[int]:
        """Lets each draft take its next token, and returns them."""
        import torch

        logprobs = torch.log_softmax(logits, dim=-1)  # (num_drafts, vocabulary)
        scores = logprobs
        points = [draft.point() for draft in drafts]
        while True:
            tokens = self._draw(scores, points).tolist()
            refused = [i for i, draft in enumerate(drafts) if draft.refuses(tokens[i])]
            if not refused:
                break
            scores = scores.clone()
            for i in refused:
                scores[i, tokens[i]] = -torch.inf
                points[i] = drafts[i].point()
        for i, draft in enumerate(drafts):
            take = draft.end if tokens[i] in self._ends else draft.take
            take(tokens[i], float(logprobs[i, tokens[i]]))
        return [int(token) for token in tokens]

    def _draw(self, scores: "torch.Tensor", points: Sequence[float]) -> "torch.Tensor":
        """Returns the token at each point of the cumulative distribution."""
        import torch

        if self.sampling.temperature == 0:
            return scores.argmax(dim=-1)
        probs = torch.softmax(scores.double() / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            ordered, order = probs.sort(dim=-1, descending=True, stable=True)
            before = ordered.cumsum(dim=-1) - ordered
            ordered[before >= self.sampling.top_p] = 0.0
            probs = torch.zeros_like(probs).scatter(-1, order, ordered)
        cumulative = probs.cumsum(dim=-1)
        at = torch.tensor(points, dtype=torch.double, device=scores.device)[:, None]
        return torch.searchsorted(cumulative, at * cumulative[:, -1:], right=True)[:, 0]

    def _fingerprint(self) -> str:
        """Returns a digest of the settings and of all weights."""
        import torch

        digest = hashlib.sha256(self.model.config.to_json_string().encode())
        for name, weights in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weights.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()


_TOKENS = ("prompt_tokens", "completion_tokens")
