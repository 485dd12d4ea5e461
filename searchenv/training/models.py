"""Language models that are small enough to be trained from nothing on one core."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchenv.errors import MissingDependencyError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["ModelSize", "load_model", "make_model", "save_model"]


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The shape of a decoder of Llama's architecture; the default has about 0.4 million parameters.

    Three layers are the least that learn to look facts up here; with two, copying stays half right.
    """

    width: int = 96
    """Of the residual stream; a multiple of ``2 * heads``."""
    layers: int = 3
    heads: int = 4
    inner: int = 256
    """Width inside the feed-forward layers."""
    context: int = 512
    """Tokens that it can read."""


def make_model(
    tokenizer: "PreTrainedTokenizerFast", size: ModelSize, *, seed: int
) -> "PreTrainedModel":
    """Returns a model with random weights, the same ones for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def save_model(
    folder: str | os.PathLike[str],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
) -> None:
    """Writes an ordinary Hugging Face folder."""
    model.save_pretrained(Path(folder))
    tokenizer.save_pretrained(Path(folder))


def load_model(
    folder: str | os.PathLike[str],
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """Returns the model and the tokenizer of a Hugging Face folder.

    Raises:
        ValueError: there is no model.
        MissingDependencyError: transformers or torch is not installed.
    """
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"expected a folder with a model, found no config.json in {folder}")
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise MissingDependencyError(
            'training needs transformers: pip install "searchenv[local]"'
        ) from error
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    return model, tokenizer
