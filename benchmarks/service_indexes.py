"""The indexes of ``service.py``."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.service_load import K
from searchenv.indexing import build_index
from searchenv.retrieval import open_index
from searchenv.retrieval.java import anserini_jar, find_java


def build_indexes(folder: Path, corpus: Path, questions: Sequence[str], tables: set[str]) -> None:
    """Builds the indexes, and a typical response."""
    build_index(corpus, folder / "bm25s", engine="bm25s")
    source = folder / "json"
    source.mkdir()
    with (source / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for batch in open_index(folder / "bm25s").passages.batches():
            for passage in batch:
                contents = f'"{passage.title}"\n{passage.text}'
                file.write(json.dumps({"id": passage.id, "contents": contents}) + "\n")
    command = [str(find_java().path / "bin" / "java"), "-cp", str(anserini_jar())]
    command += ["io.anserini.index.IndexCollection", "-collection", "JsonCollection"]
    command += ["-generator", "DefaultLuceneDocumentGenerator", "-threads", "1", "-storeRaw"]
    command += ["-input", str(source), "-index", str(folder / "lucene"), "-optimize"]
    subprocess.run(command, check=True, capture_output=True)
    if "dense" in tables:
        build_index(corpus, folder / "faiss", engine="faiss", encoder="minilm")
    (hits,) = open_index(folder / "bm25s").search([questions[0]], K)
    result = [
        {"document": {"id": p.id, "contents": f'"{p.title}"\n{p.text}'}, "score": score}
        for p, score, _ in hits
    ]
    (folder / "body.json").write_text(json.dumps({"result": [result]}, ensure_ascii=False))
