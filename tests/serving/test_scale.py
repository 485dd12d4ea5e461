"""The service on Ray: really run, with two shards in processes of their own."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from searchenv.errors import IndexNotFoundError
from searchenv.indexing import build_index, build_shards
from searchenv.retrieval import open_index
from searchenv.serving.scale import ClusterSpec, deploy, load_cluster
from searchenv.types import Passage

# Ray's own, at its import
pytestmark = pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")

WORDS = ("river", "town", "hill", "sea", "film", "singer", "castle", "bridge")
# documents of the first half are longer and hold other words: the shards' own statistics differ
PASSAGES = [
    Passage(
        f"{i * 37 % 401}",
        WORDS[i % 8],
        " ".join(WORDS[(i * j + j * j) % (8 if i < 200 else 5)] for j in range(9 - i // 50)),
    )
    for i in range(400)
]
QUERIES = [f"{a} {b}" for a in WORDS for b in WORDS] + ["", "castle castle sea"]


def test_load_cluster_reads_a_flat_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text('shards = "wiki"\nname = "wiki18"\nmax_replicas = 3\n')
    spec = load_cluster(path)
    assert spec == ClusterSpec(tmp_path / "wiki", "wiki18", min_replicas=1, max_replicas=3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('shard = "wiki"', "unknown key 'shard'. Did you mean 'shards'"),
        ('name = "wiki"', "the key 'shards' is missing"),
        ('shards = "a"\nmin_replicas = 2', "min_replicas <= max_replicas, got 2 and 1"),
        ('shards = "a"\nrouters = 0', "routers must be >= 1, got 0"),
        ('shards = "a"\ndeadline_s = 0', "deadline_s must be > 0, got 0"),
    ],
)
def test_load_cluster_refuses(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(ValueError, match=expected):
        load_cluster(tmp_path / "cluster.toml")


def test_deploy_without_shards_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no shards\.json in"):
        deploy(ClusterSpec(tmp_path))


@dataclass(frozen=True)
class Cluster:
    url: str
    whole: Path
    """One index that holds all."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    ray = pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("cluster")
    build_index(PASSAGES, folder / "whole", engine="lucene")
    build_shards(PASSAGES, folder / "shards", num_shards=2, engine="lucene")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(
            address="local",
            num_cpus=4,
            object_store_memory=100_000_000,
            include_dashboard=False,
            log_to_driver=False,
        )
        yield Cluster(deploy(ClusterSpec(folder / "shards", "towns", port=port)), folder / "whole")
    finally:
        ray.serve.shutdown()
        ray.shutdown()


def search(client: httpx.Client, queries: list[str], k: int) -> list[list[tuple[str, float]]]:
    answer = client.post("/v1/search", json={"queries": queries, "k": k})
    answer.raise_for_status()
    return [[(hit["id"], hit["score"]) for hit in hits] for hits in answer.json()["results"]]


def replica_of(shard: str) -> int:
    """Returns the process of a shard's replica."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_text()
        except OSError:
            continue
        if title.startswith(f"ray::ServeReplica:towns:{shard}"):
            return int(folder.name)
    return 0


@pytest.mark.xdist_group("ray")
def test_two_shards_return_the_hits_of_one_index(cluster: Cluster) -> None:
    expected = open_index(cluster.whole).search(QUERIES, 20)
    with httpx.Client(base_url=cluster.url, timeout=60, trust_env=False) as client:
        found = search(client, QUERIES, 20)
        assert client.get("/health").status_code == 200
        body = {"queries": ["castle"], "topk": 1, "return_scores": True}
        (old_style,) = client.post("/retrieve", json=body).json()["result"]
    assert [[id_ for id_, _ in hits] for hits in found] == [
        [hit.passage.id for hit in hits] for hits in expected
    ]
    for hits, wanted in zip(found, expected, strict=True):
        assert [score for _, score in hits] == pytest.approx([h.score for h in wanted], rel=1e-6)
    assert old_style[0]["document"]["id"] == found[QUERIES.index("castle castle")][0][0]


@pytest.mark.xdist_group("ray")
def test_a_killed_replica_comes_back_and_no_request_is_lost(cluster: Cluster) -> None:
    killed = replica_of("shard-1")
    answers: list[list[tuple[str, float]]] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=cluster.url, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                try:  # words that are nowhere keep the service from answering from memory
                    answers.extend(search(client, [f"castle no{number} no{len(answers)}"], 5))
                except Exception as error:
                    errors.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    os.kill(killed, signal.SIGKILL)
    until = time.monotonic() + 40
    while replica_of("shard-1") in (0, killed) and time.monotonic() < until:
        time.sleep(0.1)
    back, before = replica_of("shard-1"), len(answers)
    while len(answers) < before + 10 and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert back not in (0, killed)
    assert errors == []
    assert len(answers) >= before + 10
    assert all(answer == answers[0] for answer in answers)
