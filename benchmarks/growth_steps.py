"""The steps of ``growth.py``; each runs in a process of its own and prints one line of JSON.

python benchmarks/growth_steps.py build-lucene 10000 FOLDER
"""

import gzip
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from searchenv.indexing import Corpus, Hnsw, build_index, build_shards
from searchenv.indexing.faiss_writer import write_faiss
from searchenv.indexing.lucene_writer import write_lucene
from searchenv.retrieval import PassageStore, PassageWriter, open_index
from searchenv.retrieval.dense import INDEX_FILE, read_faiss
from searchenv.retrieval.java import anserini_jar, find_java
from searchenv.types import Passage

NUM_REAL = 104_792
K = 5
DIM = 384
NUM_CLUSTERS = 1000
NUM_QUERIES = 500
ROUNDS = 5

Row = dict[str, Any]


def passages(size: int) -> Iterator[Passage]:
    """Yields real passages, or generated ones where there are not as many real ones."""
    file = Path(os.environ["SEARCHENV_DATA"], "scale", "enwiki2018_AA_passages.jsonl.gz")
    if size <= NUM_REAL:
        yield from islice(Corpus(file), size)
        return
    counts: Counter[str] = Counter()
    lengths = []
    for passage in Corpus(file):
        words = passage.text.split()
        counts.update(words)
        lengths.append(len(words))
    vocabulary = np.array(sorted(counts), object)
    ends = np.cumsum([counts[word] for word in vocabulary])
    rng = np.random.default_rng(0)
    for number in range(size):
        length = lengths[int(rng.integers(len(lengths)))] + 2
        drawn = vocabulary[np.searchsorted(ends, rng.integers(ends[-1], size=length), side="right")]
        yield Passage(str(number), " ".join(drawn[:2]), " ".join(drawn[2:]))


def questions() -> list[str]:
    """Returns real questions."""
    file = Path(os.environ["SEARCHENV_DATA"], "2wikimultihopqa", "dev_1000.jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["question"] for line in lines][:NUM_QUERIES]


def build_lucene(size: int, folder: Path) -> Row:
    """Builds an index from passages that lie on disk, as a corpus would."""
    store = write_store(size, folder)
    source = chain.from_iterable(store.batches())
    start = time.perf_counter()
    with Memory() as memory:
        build_index(source, folder / "index", engine="lucene")
    return {
        "corpus": "real" if size <= NUM_REAL else "generated",
        "build_s": time.perf_counter() - start,
        "caller_own_mb": memory.caller_mb,
        "indexer_own_mb": memory.child_mb,
        "index_mb": megabytes(folder / "index" / "lucene"),
        "passages_mb": megabytes(folder / "index" / "passages.arrow"),
        "caller_mb": peak_mb(resource.RUSAGE_SELF),
        "indexer_mb": peak_mb(resource.RUSAGE_CHILDREN),
    }


class Memory:
    """The largest memory of this process and of its child, mapped files excluded (Linux)."""

    def __init__(self) -> None:
        self.caller_mb = self.child_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(threading.get_native_id(),))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self, thread: int) -> None:
        children = Path(f"/proc/self/task/{thread}/children")
        while children.is_file() and not self._stop.wait(0.1):
            self.caller_mb = max(self.caller_mb, own_mb("self"))
            for child in children.read_text().split():
                self.child_mb = max(self.child_mb, own_mb(child))


def own_mb(process: str) -> float:
    """Returns the memory of a process now, mapped files excluded; 0 if it is gone."""
    try:
        lines = Path("/proc", process, "status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon")), 0.0)


def search_lucene(_: int, folder: Path) -> Row:
    """Opens the index and searches it."""
    texts = questions()
    start = time.perf_counter()
    retriever = open_index(folder / "index")
    retriever.search(["Who was the first one?"], K)
    cold_s = time.perf_counter() - start
    return {"cold_s": cold_s, **search_times(lambda batch: retriever.search(batch, K), texts)}


def build_indexers(size: int, folder: Path) -> Row:
    """Runs our indexer and Anserini's in turns; input is ready on disk for both."""
    store = write_store(size, folder)
    (folder / "json").mkdir()
    write_anserini_input(store, folder / "json")
    runs: dict[str, Callable[[Path], object]] = {
        "ours": lambda out: sum(write_lucene(store.path, out, k1=0.9, b=0.4)),
        "anserini": lambda out: run_anserini(folder / "json", out, ()),
        "anserini_merged": lambda out: run_anserini(folder / "json", out, ("-optimize",)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(3 if size <= NUM_REAL else 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(folder / name)
            seconds[name].append(time.perf_counter() - start)
            shutil.rmtree(folder / name)
    return {f"{name}_s": statistics.median(values) for name, values in seconds.items()}


def build_shards_of(size: int, folder: Path) -> Row:
    """Compares what three shards of Lucene find with what one index of everything finds."""
    store, texts, row = write_store(size, folder), questions(), dict[str, Any]()
    build_index(chain.from_iterable(store.batches()), folder / "whole", engine="lucene")
    source = chain.from_iterable(store.batches())
    build_shards(source, folder / "shards", num_shards=3, engine="lucene")
    whole, shards = open_index(folder / "whole"), open_index(folder / "shards")
    for k in (5, 100):
        expected, found = (
            [[hit.passage.id for hit in hits] for hits in retriever.search(texts, k)]
            for retriever in (whole, shards)
        )
        pairs = list(zip(expected, found, strict=True))
        shared = sum(len(set(a) & set(b)) for a, b in pairs)
        row[f"overlap_{k}"] = shared / sum(map(len, expected))
        row[f"same_order_{k}"] = sum(a == b for a, b in pairs) / len(pairs)
    for name, retriever in (("one", whole), ("shards", shards)):
        times = search_times(partial(retriever.search, k=K), texts)
        row |= {f"{name}_per_s_1": times["per_s_1"], f"{name}_per_s_64": times["per_s_64"]}
    return row


def write_store(size: int, folder: Path) -> PassageStore:
    """Writes the passages and returns them."""
    with PassageWriter(folder / "corpus.arrow") as writer:
        for passage in passages(size):
            writer.add(passage)
    return PassageStore(folder / "corpus.arrow")


def write_anserini_input(store: PassageStore, folder: Path) -> None:
    """Writes one file for each of Anserini's threads."""
    half = len(store) // 2
    for name, start, stop in (("0", 0, half), ("1", half, len(store))):
        with (folder / f"{name}.jsonl").open("w") as file:
            for passage in chain.from_iterable(store.batches(start, stop)):
                contents = f"{passage.title}\n{passage.text}"
                file.write(json.dumps({"id": passage.id, "contents": contents}) + "\n")


def run_anserini(source: Path, out: Path, options: Sequence[str]) -> None:
    """Runs Anserini's own indexer with two threads, and the heap that ours has."""
    command = [str(find_java().path / "bin" / "java"), "-Xmx1g", "-cp", str(anserini_jar())]
    command += ["io.anserini.index.IndexCollection", "-collection", "JsonCollection"]
    command += ["-generator", "DefaultLuceneDocumentGenerator", "-threads", "2"]
    command += ["-input", str(source), "-index", str(out), *options]
    subprocess.run(command, capture_output=True, check=True)


def vectors(size: int, seed: int) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yields normalised vectors around common centres, some thousands at a time."""
    centres = np.random.default_rng(0).standard_normal((NUM_CLUSTERS, DIM), np.float32)
    rng = np.random.default_rng(seed)
    for start in range(0, size, 8192):
        count = min(8192, size - start)
        block = centres[rng.integers(NUM_CLUSTERS, size=count)]
        block = block + rng.standard_normal((count, DIM), np.float32)
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def build_flat(size: int, folder: Path) -> Row:
    """Builds a flat index of synthetic vectors."""
    return build_faiss(size, folder, "flat")


def build_hnsw(size: int, folder: Path) -> Row:
    """Builds a graph of synthetic vectors."""
    return build_faiss(size, folder, "hnsw")


def build_faiss(size: int, folder: Path, faiss_type: str) -> Row:
    """Builds an index from vectors that are mapped into memory."""
    mapped = np.lib.format.open_memmap(
        folder / "vectors.npy", "w+", dtype=np.float32, shape=(size, DIM)
    )
    for number, block in enumerate(vectors(size, seed=1)):
        mapped[number * 8192 : number * 8192 + len(block)] = block
    start = time.perf_counter()
    write_faiss([mapped], folder / "index", dim=DIM, faiss_type=faiss_type, hnsw=Hnsw())
    return {
        "corpus": "synthetic vectors",
        "build_s": time.perf_counter() - start,
        "index_mb": megabytes(folder / "index"),
        "caller_mb": peak_mb(resource.RUSAGE_SELF),
    }


def search_faiss(_: int, folder: Path) -> Row:
    """Opens the index and searches it with vectors; encoding is not included."""
    queries = np.concatenate(list(vectors(NUM_QUERIES, seed=2)))
    start = time.perf_counter()
    index = read_faiss(folder / "index" / INDEX_FILE)
    index.search(queries[:1], K)
    cold_s = time.perf_counter() - start
    texts = list(range(NUM_QUERIES))
    times = search_times(lambda batch: index.search(queries[batch], K), texts)
    truth = exact(queries, np.load(folder / "vectors.npy", mmap_mode="r"))
    found = index.search(queries, K)[1]
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(found, truth, strict=True)])
    return {"cold_s": cold_s, **times, "recall_at_5": float(recall)}


def exact(
    queries: np.ndarray[Any, np.dtype[np.float32]], mapped: np.ndarray[Any, np.dtype[np.float32]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Returns the true nearest neighbours."""
    import faiss

    return faiss.knn(queries, np.asarray(mapped), K, metric=faiss.METRIC_INNER_PRODUCT)[1]


def search_times(search: Callable[[list[Any]], object], queries: Sequence[Any]) -> Row:
    """Returns latency of single searches and rates at batches of 1 and 64, after a round."""
    singles: list[float] = []
    batches: list[float] = []
    for number in range(-1, ROUNDS):
        for query in queries:
            start = time.perf_counter()
            search([query])
            singles.append(time.perf_counter() - start)
        for i in range(0, len(queries), 64):
            start = time.perf_counter()
            search(list(queries[i : i + 64]))
            batches.append(time.perf_counter() - start)
        if number < 0:
            singles, batches = [], []
        elif sum(singles) > 60:
            break
    rounds = len(singles) / len(queries)
    return {
        "p50_ms": statistics.median(singles) * 1000,
        "p99_ms": sorted(singles)[len(singles) * 99 // 100] * 1000,
        "per_s_1": len(singles) / sum(singles),
        "per_s_64": rounds * len(queries) / sum(batches),
        "search_mb": peak_mb(resource.RUSAGE_SELF),
    }


def megabytes(path: Path) -> float:
    """Returns the size of a file or of a folder's files."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6


def peak_mb(who: int) -> float:
    """Returns the largest resident memory, mapped files included."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit / 1e6


STEPS: dict[str, Callable[[int, Path], Row]] = {
    "build-lucene": build_lucene,
    "search-lucene": search_lucene,
    "build-indexers": build_indexers,
    "build-shards": build_shards_of,
    "build-flat": build_flat,
    "search-flat": search_faiss,
    "build-hnsw": build_hnsw,
    "search-hnsw": search_faiss,
}

if __name__ == "__main__":
    name, size, folder = sys.argv[1:]
    print(json.dumps(STEPS[name](int(size), Path(folder))))
