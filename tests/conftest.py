"""Fixtures for all tests: the real data, a home for built indexes, a small world of passages."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from searchenv.retrieval import TransformersEncoder
from searchenv.types import Gold, Hit, Passage, Question

# a busy machine is no failure
settings.register_profile("any_speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_speed")


@pytest.fixture(scope="session", autouse=True)
def searchenv_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One place for generated worlds and indexes; all workers of a test run share it."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "searchenv-home"
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEARCHENV_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real questions and passages that SEARCHENV_DATA names."""
    folder = os.environ.get("SEARCHENV_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    message = f"SEARCHENV_DATA is {folder!r}: it must name the folder of real questions"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def minilm() -> TransformersEncoder:
    """The real small model, loaded once."""
    return TransformersEncoder("minilm")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT of 16 numbers that reads letters and digits."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny"
    letters = "abcdefghijklmnopqrstuvwxyz0123456789:"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(words)}
    BertTokenizer(vocab=vocabulary, model_max_length=64).save_pretrained(folder)
    return folder


class KeywordRetriever:
    """A real, exact retriever over a few passages: a hit shares a word with the query.

    Scores are the number of shared words; ``batches`` keeps the size of every call.
    """

    fingerprint = "keyword"

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self.batches: list[int] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.batches.append(len(queries))
        return [self._one(query, k) for query in queries]

    def _one(self, query: str, k: int) -> list[Hit]:
        words = set(query.lower().split())
        scored = [
            (float(len(words & set(f"{p.title} {p.text}".lower().split()))), p)
            for p in self._passages
        ]
        best = sorted((pair for pair in scored if pair[0]), key=lambda pair: (-pair[0], pair[1].id))
        return [Hit(p, s, rank) for rank, (s, p) in enumerate(best[:k], start=1)]


PASSAGES = (
    Passage("p1", "Velmara Nights", "Velmara Nights is a 1962 film directed by Orla Fenwick ."),
    Passage("p2", "Orla Fenwick", "Orla Fenwick was born in Dunmarrow in 1921 ."),
    Passage("p3", "Dunmarrow", "Dunmarrow is a town on the river Issel ."),
)
QUESTIONS = (
    Question(
        "q1",
        "Where was the director of Velmara Nights born?",
        ("Dunmarrow",),
        gold=(Gold("Velmara Nights", ("p1",)), Gold("Orla Fenwick", ("p2",))),
        metadata={"split": "train"},
    ),
    Question("q2", "Who directed Velmara Nights?", ("Orla Fenwick",), metadata={"split": "train"}),
    Question("q3", "Which river is Dunmarrow on?", ("Issel",), metadata={"split": "test"}),
)


@pytest.fixture
def passages() -> tuple[Passage, ...]:
    return PASSAGES


@pytest.fixture
def questions() -> tuple[Question, ...]:
    return QUESTIONS


@pytest.fixture
def keyword_retriever() -> KeywordRetriever:
    return KeywordRetriever(PASSAGES)


@dataclass(frozen=True)
class Served:
    """A retrieval service in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts ``searchenv serve``, or a script, on a free port; all end with the session."""
    started: list[subprocess.Popen[str]] = []
    log = tmp_path_factory.mktemp("serve") / "stderr.txt"

    def start(*arguments: str | Path) -> Served:
        words = [str(argument) for argument in arguments]
        if not words[0].endswith(".py"):
            words = ["-m", "searchenv.cli", "serve", "--port", "0", *words]
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert " at http://" in line, log.read_text()
        return Served(line.split()[-1], process)

    try:
        yield start
    finally:
        for process in started:
            process.kill()  # also wakes what a test has stopped
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
