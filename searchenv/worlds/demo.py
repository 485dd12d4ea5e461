"""The demo world: generated on first use, kept in the user's cache, the same on every machine."""

import json
import tempfile
from pathlib import Path

from searchenv.errors import CorpusError, QuestionError
from searchenv.indexing import build_index, ensure_index
from searchenv.questions import read_questions, write_questions
from searchenv.retrieval import Retriever, open_index
from searchenv.retrieval.manifest import index_home
from searchenv.types import Passage, Question
from searchenv.worlds.world import World, WorldConfig, content_hash, generate_world

__all__ = [
    "DEMO_CONFIG",
    "DEMO_HASH",
    "DEMO_VERSION",
    "demo_dir",
    "demo_index",
    "demo_questions",
    "demo_world",
]

DEMO_VERSION = "demo-v1"
"""Changes whenever the content does: results on different versions cannot be compared."""

DEMO_CONFIG = WorldConfig(seed=2026, entities=2000, train=300, dev=100, test=100)

DEMO_HASH = "9b706d4c587c005b80b02e229cfcd71853306440a400800a00c8f051e135f122"
"""``demo_world().content_hash``, frozen."""

_CORPUS = "corpus.jsonl"
_QUESTIONS = "questions.jsonl"


def demo_world() -> World:
    """Returns the demo world: 2,000 passages and 300, 100 and 100 questions."""
    return generate_world(DEMO_CONFIG)


def demo_dir() -> Path:
    """Returns the folder that holds the demo world as files, writing it on first use.

    The folder is ``$SEARCHENV_HOME/worlds/demo-v1`` (``SEARCHENV_HOME`` is ``~/.cache/searchenv``
    by default) and holds ``corpus.jsonl`` and ``questions.jsonl``. What is there is verified by its
    content hash and written again if it differs. Each file appears whole or not at all, and all
    writers write the same, so any number of processes may call this at once.

    Raises:
        CorpusError: this installation generates another world than the frozen one.
    """
    folder = index_home().parent / "worlds" / DEMO_VERSION
    if _hash_of(folder) != DEMO_HASH:
        _write(folder)
    return folder


def demo_questions() -> tuple[Question, ...]:
    """Returns the questions of all splits of the demo world."""
    return read_questions(demo_dir() / _QUESTIONS)


def demo_index(engine: str = "lucene") -> Retriever:
    """Returns a retriever over the demo world, building its index on first use.

    Args:
        engine: ``"lucene"`` or ``"bm25s"``.

    Raises:
        JavaUnavailableError: engine ``lucene`` without a usable Java.
    """
    folder = index_home() / f"{DEMO_VERSION}-{DEMO_HASH[:8]}-{engine}"
    ensure_index(folder, lambda: build_index(demo_dir() / _CORPUS, folder, engine=engine))
    return open_index(folder)


def _write(folder: Path) -> None:
    world = demo_world()
    if world.content_hash != DEMO_HASH:
        raise CorpusError(
            f"expected the world {DEMO_VERSION} to have the hash {DEMO_HASH}, generated "
            f"{world.content_hash}: the generator was changed. Install searchenv again, or give "
            "the changed world a new DEMO_VERSION and DEMO_HASH"
        )
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(passage._asdict(), ensure_ascii=False) + "\n" for passage in world.passages]
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{_CORPUS}.", delete=False) as part:
        part.write("".join(lines).encode())
    Path(part.name).chmod(0o644)  # a temporary file is closed to everybody else
    Path(part.name).replace(folder / _CORPUS)
    write_questions(folder / _QUESTIONS, world.questions)


def _hash_of(folder: Path) -> str:
    """Returns the content hash of the files, or "" where they are missing or unreadable."""
    try:
        with (folder / _CORPUS).open(encoding="utf-8") as lines:
            passages = [Passage(**json.loads(line)) for line in lines]
        questions = read_questions(folder / _QUESTIONS)
    except (OSError, ValueError, TypeError, QuestionError):
        return ""
    return content_hash(passages, questions)
