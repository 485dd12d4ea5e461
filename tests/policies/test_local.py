"""Local models: what holds for every text, and transformers' own generate as the reference."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import (  # type: ignore[import-untyped]
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
)
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from searchenv.errors import PolicyError
from searchenv.evaluation import Setup, run_header, run_questions
from searchenv.policies import get_policy
from searchenv.policies.generation import Finish, Sampling, Transcript
from searchenv.policies.local import TransformersGenerator
from searchenv.policies.named import describe_policy
from searchenv.protocols import get_protocol
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Limits, Question, Segment, Source

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
PROMPTS = ["Who?", "Where was the director born?", "a", "In which year did it open, and why?"]
HOT = Sampling(max_tokens=12, temperature=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model over bytes; some pairs of letters are one token."""
    path = tmp_path_factory.mktemp("model")
    vocabulary = {"<end>": 0} | {letter: i for i, letter in enumerate(ALPHABET, start=1)}
    merges = [("a", "b"), ("e", "r"), ("t", "h")]
    vocabulary |= {a + b: len(vocabulary) + i for i, (a, b) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="<end>"
    )
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,
        eos_token_id=0,
        bos_token_id=None,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(path)  # type: ignore[no-untyped-call]
    return path


@pytest.fixture(scope="module")
def hot(folder: Path) -> TransformersGenerator:
    return TransformersGenerator(folder, sampling=HOT, device="cpu")


def test_greedy_texts_are_those_of_transformers(folder: Path) -> None:
    generator = TransformersGenerator(folder, sampling=Sampling(max_tokens=12), device="cpu")
    found = generator.generate(PROMPTS)
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        ids = generator.tokenizer(prompt, return_tensors="pt")
        expected = generator.model.generate(**ids, max_new_tokens=12, do_sample=False)[0].tolist()
        expected = expected[ids["input_ids"].shape[1] :]
        assert list(completion.token_ids or ()) == expected
        assert (completion.finish is Finish.STOP) == (expected[-1] == 0)
        assert completion.text == generator.tokenizer.decode(expected, skip_special_tokens=True)


def test_the_end_token_is_among_the_ids_and_not_in_the_text(hot: TransformersGenerator) -> None:
    found = [c for (c,) in hot.generate(["Who?"] * 200, seeds=range(200))]
    ended = [c for c in found if c.finish is Finish.STOP]
    assert 0 < len(ended) < 200
    for completion in found:
        ids = completion.token_ids or ()
        assert ids.count(0) == (completion.finish is Finish.STOP)
        assert completion.text == hot.tokenizer.decode(ids, skip_special_tokens=True)
        assert len(completion.logprobs or ()) == len(ids)
    assert all(c.token_ids and c.token_ids[-1] == 0 for c in ended)


def test_a_sample_does_not_depend_on_its_batch(folder: Path, hot: TransformersGenerator) -> None:
    seeds = [3, 1, 4, 1]
    together = hot.generate(PROMPTS, seeds=seeds, n=2)
    alone = TransformersGenerator(folder, sampling=HOT, batch_size=1, device="cpu")
    for prompt, seed, found in zip(PROMPTS, seeds, together, strict=True):
        (again,) = alone.generate([prompt], seeds=[seed], n=2)
        assert [c.token_ids for c in again] == [c.token_ids for c in found]
        assert found[0].token_ids != found[1].token_ids


def test_logprobs_are_those_of_the_model(hot: TransformersGenerator) -> None:
    ((completion,),) = hot.generate(["Who?"], seeds=[5])
    prompt = hot.tokenizer("Who?")["input_ids"]
    assert completion.token_ids is not None
    ids = [*prompt, *completion.token_ids]
    with torch.inference_mode():
        logits = hot.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [float(logits[at - 1, ids[at]]) for at in range(len(prompt), len(ids))]
    assert completion.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_stop_string_ends_each_text_by_itself(hot: TransformersGenerator) -> None:
    free = [c.text for (c,) in hot.generate(PROMPTS, seeds=[1, 2, 3, 4])]
    stop = next(c for c in free[0] if c.isascii() and c.isalpha())
    found = [c for (c,) in hot.generate(PROMPTS, seeds=[1, 2, 3, 4], stop=[stop])]
    for completion, whole in zip(found, free, strict=True):
        at = whole.find(stop)
        if at < 0:
            assert completion.text == whole
        else:
            assert completion.finish is Finish.STOP
            assert whole.startswith(completion.text)
            assert completion.text[at:] in (stop, whole[at : at + 2])  # a token may hold two
    assert stop in found[0].text
    ((short,),) = hot.generate(PROMPTS[:1], seeds=[1], stop=[stop], include_stop=False)
    assert short.text == free[0][: free[0].index(stop)]


def test_forbidden_strings_never_appear(hot: TransformersGenerator) -> None:
    forbid = ["a", "er", " ", "Z"]
    seeds = list(range(40))
    found = hot.generate(["Who?"] * 40, seeds=seeds, forbid=forbid)
    free = hot.generate(["Who?"] * 40, seeds=seeds)
    assert any(word in c.text for (c,) in free for word in forbid)
    assert not any(word in c.text for (c,) in found for word in forbid)


def test_a_model_in_training_writes_what_its_folder_does_and_goes_on_training(
    hot: TransformersGenerator,
) -> None:
    config = LlamaConfig.from_dict({**hot.model.config.to_dict(), "attention_dropout": 0.5})
    model = LlamaForCausalLM(config).train()  # type: ignore[no-untyped-call]
    model.load_state_dict(hot.model.state_dict())
    generator = TransformersGenerator.of(model, hot.tokenizer, sampling=HOT)
    seeds = [1, 2, 3, 4]
    assert generator.generate(PROMPTS, seeds=seeds) == hot.generate(PROMPTS, seeds=seeds)
    assert model.training
    before = generator.describe()["sha256"]
    loss = model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert generator.describe()["sha256"] != before


class Watched(TransformersGenerator):
    """Keeps the ids of its prompts."""

    seen: list[list[int]]

    def _encode(self, prompt: object) -> list[int]:
        ids = super()._encode(prompt)  # type: ignore[arg-type]
        self.seen = [*getattr(self, "seen", []), ids]
        return ids


def test_sampled_ids_are_continued_as_they_are(folder: Path) -> None:
    generator = Watched(folder, sampling=HOT, device="cpu")
    split = [ALPHABET.index("a") + 1, ALPHABET.index("b") + 1]  # "ab" would be one token
    assert generator.tokenizer("ab")["input_ids"] != split

    def piece(source: Source, text: str, ids: Sequence[int] | None = None) -> Segment:
        return Segment(source, text, ids is not None, None if ids is None else tuple(ids))

    segments = (
        piece(Source.PROMPT, "Q"),
        piece(Source.TEMPLATE, "?"),
        piece(Source.AGENT, "ab", split),
        piece(Source.ENVIRONMENT, "th"),
    )
    generator.generate([Transcript(segments, ())], seeds=[0])
    (ids,) = generator.seen
    encoded = generator.tokenizer
    assert ids == [*encoded("Q?")["input_ids"], *split, *encoded("th")["input_ids"]]


def test_a_prompt_without_room_is_a_policy_error(hot: TransformersGenerator) -> None:
    with pytest.raises(PolicyError, match=r"the prompt has 3000 tokens, and .* reads 2048"):
        hot.generate(["x" * 3000])
    with pytest.raises(PolicyError, match="the prompt is empty"):
        hot.generate([""])
    ((completion,),) = hot.generate(["x" * 2045], seeds=[0])
    assert len(completion.token_ids or ()) <= 3


def test_bad_arguments_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found no config.json in"):
        TransformersGenerator(tmp_path)
    with pytest.raises(ValueError, match="batch_size must be >= 1, got 0"):
        TransformersGenerator(folder, batch_size=0)
    with pytest.raises(ValueError, match="has no chat template"):
        TransformersGenerator(folder, style="chat")


def test_a_run_repeats_itself(folder: Path, tmp_path: Path, keyword_retriever: Retriever) -> None:
    questions = [Question(str(i), f"Who rules town {i}?", ("Ann",)) for i in range(5)]
    setup = Setup(
        tools={"search": RetrieverTool(keyword_retriever, 2)},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=2),
        scorers=("em",),
        samples=2,
    )
    texts = []
    for batch_size in (16, 1):
        generator = TransformersGenerator(folder, sampling=HOT, batch_size=batch_size, device="cpu")
        policy = get_policy("model", generator=generator)
        described = describe_policy("model", policy)
        header = run_header(
            questions, setup, name="towns", policy=described, retriever={"name": "keyword"}
        )
        out = tmp_path / str(batch_size)
        run = run_questions(policy, questions, setup, out, header=header)
        assert not any(record.outcome.failed for record in run.records)
        texts.append((out / "results.jsonl").read_bytes())
        assert run.sessions[0]["usage"]["requests"] == sum(r.outcome.turns for r in run.records)
    assert texts[0] == texts[1]
