"""Recording a run and playing it again."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.errors import IndexMismatchError, IndexNotFoundError, RetrievalError
from searchenv.retrieval import Retriever
from searchenv.retrieval.composition import DegradedHits
from searchenv.retrieval.replay import RecordingRetriever, ReplayRetriever
from searchenv.types import Hit


class Degraded:
    """Marks what the retriever below finds."""

    def __init__(self, inner: Retriever) -> None:
        self.inner = inner
        self.fingerprint = inner.fingerprint

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [DegradedHits(hits, "no scorer") for hits in self.inner.search(queries, k)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def test_replay_gives_what_was_recorded(keyword_retriever: Retriever, path: Path) -> None:
    queries = ["town river", "Orla", "nothing\x00 here \ud800", ""]
    found = RecordingRetriever(keyword_retriever, path).search(queries, 2)
    replay = ReplayRetriever(path)
    assert replay.search(queries, 2) == found == keyword_retriever.search(queries, 2)
    assert replay.search(["Orla"], 2) == [found[1]]
    assert replay.fingerprint == "keyword"
    assert len(replay) == 4


def test_recording_of_two_runs_adds_up(keyword_retriever: Retriever, path: Path) -> None:
    RecordingRetriever(keyword_retriever, path).search(["town", "town"], 2)
    second = RecordingRetriever(keyword_retriever, path)
    second.search(["town", "Orla"], 2)
    second.search(["town"], 1)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert records[0] == {"searchenv_recording": 1, "fingerprint": "keyword"}
    assert [(r["query"], r["k"]) for r in records[1:]] == [("town", 2), ("Orla", 2), ("town", 1)]


def test_recording_keeps_the_mark_of_degraded_hits(
    keyword_retriever: Retriever, path: Path
) -> None:
    RecordingRetriever(Degraded(keyword_retriever), path).search(["town"], 1)
    (hits,) = ReplayRetriever(path).search(["town"], 1)
    assert isinstance(hits, DegradedHits)
    assert hits.reason == "no scorer"


def test_replay_unseen_query_names_the_nearest(keyword_retriever: Retriever, path: Path) -> None:
    RecordingRetriever(keyword_retriever, path).search(["Who is Orla?", "the town"], 2)
    replay = ReplayRetriever(path)
    with pytest.raises(RetrievalError, match=r"'Who was Orla\?' with k=2 is not.*'Who is Orla\?'"):
        replay.search(["the town", "Who was Orla?"], 2)
    with pytest.raises(RetrievalError, match=r"'the town' with k=3 .* recorded with k=2"):
        replay.search(["the town"], 3)


def test_replay_of_an_empty_recording_says_so(keyword_retriever: Retriever, path: Path) -> None:
    RecordingRetriever(keyword_retriever, path)
    with pytest.raises(RetrievalError, match="of 0 searches; which holds none"):
        ReplayRetriever(path).search(["town"], 2)


def test_replay_results_may_be_changed_by_the_caller(
    keyword_retriever: Retriever, path: Path
) -> None:
    RecordingRetriever(keyword_retriever, path).search(["town"], 2)
    replay = ReplayRetriever(path)
    first, second = replay.search(["town", "town"], 2)
    first.clear()
    assert second == replay.search(["town"], 2)[0] != []


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_cut_last_line_is_left_out(keyword_retriever: Retriever, path: Path, cut: int) -> None:
    RecordingRetriever(keyword_retriever, path).search(["town", "Orla"], 2)
    path.write_bytes(path.read_bytes()[:-cut])
    replay = ReplayRetriever(path)
    assert len(replay) == 1
    assert replay.search(["town"], 2) == keyword_retriever.search(["town"], 2)
    RecordingRetriever(keyword_retriever, path).search(["Orla"], 2)
    assert ReplayRetriever(path).search(["town", "Orla"], 2) == keyword_retriever.search(
        ["town", "Orla"], 2
    )


def test_a_cut_first_line_starts_again(keyword_retriever: Retriever, path: Path) -> None:
    path.write_text('{"searchenv_reco')
    with pytest.raises(IndexMismatchError, match="is empty: not a recording"):
        ReplayRetriever(path)
    RecordingRetriever(keyword_retriever, path).search(["town"], 2)
    assert len(ReplayRetriever(path)) == 1


def test_a_damaged_line_is_an_error(keyword_retriever: Retriever, path: Path) -> None:
    RecordingRetriever(keyword_retriever, path).search(["town", "Orla"], 2)
    head, first, second = path.read_text().splitlines(keepends=True)
    path.write_text(head + first[:-9] + "\n" + second)
    with pytest.raises(IndexMismatchError, match="line 2, is damaged"):
        ReplayRetriever(path)


@pytest.mark.parametrize("content", ["no recording\n", "no recording", '{"id": 1}\n', "[]\n"])
def test_another_file_is_refused_and_left_alone(
    keyword_retriever: Retriever, path: Path, content: str
) -> None:
    path.write_text(content)
    for open_it in (ReplayRetriever, lambda p: RecordingRetriever(keyword_retriever, p)):
        with pytest.raises(IndexMismatchError, match="is not a recording"):
            open_it(path)
    assert path.read_text() == content


def test_a_recording_of_another_retriever_is_refused(
    keyword_retriever: Retriever, path: Path
) -> None:
    RecordingRetriever(keyword_retriever, path)
    other = Degraded(keyword_retriever)
    other.fingerprint = "other"
    with pytest.raises(IndexMismatchError, match="of the retriever keyword, not of other"):
        RecordingRetriever(other, path)


def test_replay_without_a_file_is_an_error(path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no recording at"):
        ReplayRetriever(path)


ONE_OF_SEVERAL = """
import sys
from searchenv.retrieval.replay import RecordingRetriever
from searchenv.types import Hit, Passage

class Echo:
    fingerprint = "echo"
    def search(self, queries, k):
        return [[Hit(Passage(query, "", "word " * 100), 1.0, 1)] for query in queries]

recorder = RecordingRetriever(Echo(), sys.argv[1])
for i in range(200):
    recorder.search([f"town {int(sys.argv[2]) + i}"], 1)
"""


def test_processes_record_into_one_file(path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", ONE_OF_SEVERAL, str(path), str(start)])
        for start in (0, 100, 200)
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    replay = ReplayRetriever(path)
    assert len(replay) == 400
    assert [hits[0].passage.id for hits in replay.search(["town 0", "town 399"], 1)] == [
        "town 0",
        "town 399",
    ]


FULL_DISK = """
import resource, sys
from searchenv.errors import RetrievalError
from searchenv.retrieval.replay import RecordingRetriever
from searchenv.types import Hit, Passage

class Long:
    fingerprint = "long"
    def search(self, queries, k):
        return [[Hit(Passage("a", "", "word " * 100), 1.0, 1)] for _ in queries]

recorder = RecordingRetriever(Long(), sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for query in "abcdef":
    try:
        recorder.search([query], 1)
    except RetrievalError as error:
        print(query, error)
"""


def test_a_full_disk_is_an_error_and_leaves_whole_lines(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    messages = run.stdout.splitlines()
    assert [message[0] for message in messages] == ["d", "e", "f"]
    assert "cannot record 1 searches in" in messages[0]
    assert len(ReplayRetriever(path)) == 3
    assert path.read_bytes().endswith(b"\n")
