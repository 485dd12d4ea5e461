"""The suites: question sets with all that their runs hold fixed, besides the policy.

Figures of one suite and version were measured alike: the same questions over the same passages, k,
limits, protocol and scorers. A change here that changes results raises the version.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from searchenv.errors import IndexMismatchError, QuestionError, did_you_mean
from searchenv.evaluation.header import run_header
from searchenv.evaluation.run import Run, Setup, run_questions
from searchenv.indexing import Corpus, IndexSpec, build_spec
from searchenv.indexing.publish import ensure_index
from searchenv.loading import load_object
from searchenv.policies import get_policy
from searchenv.protocols import get_protocol
from searchenv.questions import question_corpus
from searchenv.retrieval import HybridRetriever, Retriever, RetrieverTool, index_home, open_index
from searchenv.types import Limits, Question

__all__ = ["RETRIEVERS", "SUITES", "Suite", "SuiteData", "get_suite", "play_suite"]

RETRIEVERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"BM25": ("lucene",), "dense": ("faiss",), "hybrid": ("lucene", "faiss")}
)
"""The engines of the indexes that each searches: Lucene with k1 0.9 and b 0.4, a flat index of
MiniLM's vectors, and both fused by reciprocal ranks."""


@dataclass(frozen=True)
class SuiteData:
    """The questions of a suite, and the passages that they are played over."""

    questions: tuple[Question, ...]
    """With the gold passages linked to ids of the corpus."""
    corpus: Path
    corpus_sha256: str
    num_passages: int


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A question set and how it is played."""

    name: str
    """Also of its folder among the data."""
    split: str
    """Which of the official questions these are."""
    questions: tuple[str, ...]
    """Files in that folder, in any layout of :mod:`searchenv.questions`."""
    corpus: str
    """A file in that folder, in any layout of :class:`searchenv.indexing.Corpus`."""
    index: str
    """Name of the Lucene index over it; that of MiniLM's vectors ends in ``-minilm``."""
    version: int = 1
    retriever: str = "BM25"
    """Of :data:`RETRIEVERS`: what searches where nobody says otherwise."""
    k: int = 5
    limits: Limits = field(default_factory=lambda: Limits(max_turns=8))
    protocol: str = "search_r1"
    scorers: tuple[str, ...] = ("em", "f1_hotpot", "cover_em_r1")

    @property
    def label(self) -> str:
        """Name and version, as headers of runs show them."""
        return f"{self.name} v{self.version}"

    def read(self, data: str | os.PathLike[str] | None = None) -> SuiteData:
        """Returns the questions and the corpus.

        Args:
            data: the folder that holds the suite's own; None: the one that SEARCHENV_DATA names.

        Raises:
            QuestionError: no folder is named, a file is missing, or the corpus lacks a passage
                that stands beside a question.
        """
        folder = _data_folder(self, data) / self.name
        paths = [folder / name for name in (*self.questions, self.corpus)]
        if missing := [str(path) for path in paths if not path.is_file()]:
            raise QuestionError(
                f"the suite {self.name} lacks {', '.join(missing)}: benchmarks/{self.name}/"
                "README.md says where the files are from; --data names another folder"
            )
        *questions, path = paths
        base = Corpus(path)
        passages = list(base)
        found = question_corpus(questions, base=passages)
        if found.unlinked or len(found.passages) > len(passages):
            raise QuestionError(
                f"{path} lacks passages that belong to the questions of {self.name}: take "
                "questions and corpus of one origin"
            )
        return SuiteData(found.questions, path, base.sha256, len(passages))

    def index_spec(self, engine: str, corpus: Path) -> IndexSpec:
        """Returns what the suite's index of an engine is built from and how."""
        if engine == "faiss":
            return IndexSpec(f"{self.index}-minilm", engine, (corpus,), encoder="minilm")
        return IndexSpec(self.index, engine, (corpus,))

    def open(
        self,
        data: SuiteData,
        retriever: str | None = None,
        *,
        home: Path | None = None,
        progress: bool = False,
    ) -> Retriever:
        """Returns a retriever over the suite's corpus; builds the indexes that are missing.

        Args:
            data: what :meth:`read` gave.
            retriever: of :data:`RETRIEVERS`; None: the suite's own.
            home: where the indexes are; None: :func:`searchenv.retrieval.index_home`.
            progress: show bars on standard error while an index is built.

        Raises:
            IndexMismatchError: an index of that name holds other passages, or ranks them otherwise.
            ValueError: the retriever is unknown.
        """
        name = retriever or self.retriever
        if name not in RETRIEVERS:
            raise ValueError(f"unknown retriever {name!r}. {did_you_mean(name, RETRIEVERS)}")
        home = home or index_home()
        opened = [
            _opened(self.index_spec(engine, data.corpus), data, home, progress)
            for engine in RETRIEVERS[name]
        ]
        return opened[0] if len(opened) == 1 else HybridRetriever(opened)

    def setup(self, retriever: Retriever | None = None) -> Setup:
        """Returns what the questions are played with; without a retriever there is no tool."""
        return Setup(
            tools={} if retriever is None else {"search": RetrieverTool(retriever, self.k)},
            protocol=get_protocol(self.protocol),
            limits=self.limits,
            scorers=self.scorers,
        )


def get_suite(name: str) -> Suite:
    """Returns a suite by its name, or as ``package.module:Name``.

    Raises:
        ValueError: there is none.

    >>> get_suite("musique").label
    'musique v1'
    """
    if name in SUITES:
        return SUITES[name]
    if ":" not in name:
        raise ValueError(
            f"no suite is named {name!r}. {did_you_mean(name, SUITES)} "
            "Others are named package.module:Name."
        )
    found = load_object(name)
    if not isinstance(found, Suite):
        raise ValueError(f"{name!r}: expected a Suite, got {type(found).__name__}")
    return found


def play_suite(
    suite: Suite,
    policy: str,
    data: SuiteData,
    retriever: Retriever,
    out: str | os.PathLike[str],
    *,
    progress: bool = False,
) -> Run:
    """Returns the run of a policy by name in the folder ``out``; plays what is missing there."""
    setup = suite.setup(retriever)
    header = run_header(
        data.questions,
        setup,
        name=suite.label,
        policy={"name": policy},
        retriever={"fingerprint": retriever.fingerprint, "k": suite.k},
    )
    player = get_policy(policy, data.questions)
    return run_questions(player, data.questions, setup, out, header=header, progress=progress)


def _data_folder(suite: Suite, data: str | os.PathLike[str] | None) -> Path:
    folder = data or os.environ.get("SEARCHENV_DATA")
    if not folder:
        raise QuestionError(
            f"the suite {suite.name} needs its question files: set SEARCHENV_DATA, or give "
            f"--data, to the folder that holds {suite.name}/{suite.questions[0]}"
        )
    return Path(folder)


def _opened(spec: IndexSpec, data: SuiteData, home: Path, progress: bool) -> Retriever:
    folder = home / spec.name
    manifest = ensure_index(folder, lambda: build_spec(spec, folder, progress=progress))
    found = (manifest.engine, manifest.corpus_sha256, manifest.k1, manifest.b)
    k1_b = (None, None) if spec.encoder else (spec.k1, spec.b)
    if found != (spec.engine, data.corpus_sha256, *k1_b):
        raise IndexMismatchError(
            f"{folder} is an index of engine '{manifest.engine}' over other passages than "
            f"{data.corpus}, or with other settings: move it away, and the suite builds its own"
        )
    return open_index(folder)


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite(
                name="hotpotqa",
                split="development, in part",
                questions=("dev_distractor.jsonl.gz", "dev_official_format.jsonl.gz"),
                corpus="corpus.jsonl.gz",
                index="hotpotqa",
            ),
            Suite(
                name="2wikimultihopqa",
                split="development, in part",
                questions=("dev_1000.jsonl.gz", "dev_official_format.jsonl.gz"),
                corpus="corpus_all.jsonl.gz",
                index="2wikimultihopqa-all",
            ),
            Suite(
                name="musique",
                split="development, answerable, in part",
                questions=("dev.jsonl.gz",),
                corpus="corpus.jsonl.gz",
                index="musique",
            ),
            Suite(
                name="bamboogle",
                split="test, in part",
                questions=("questions_with_subquestions.jsonl",),
                corpus="passages.jsonl.gz",
                index="bamboogle",
            ),
        )
    }
)
"""The suites by name."""
