"""Run by path: compares DenseRetriever with Pyserini's FaissSearcher and its own encoder.

Arguments: an index folder, a file with one query a line, k. Prints one JSON object.
"""

import json
import os
import sys
from pathlib import Path

from searchenv.retrieval import DenseRetriever, TransformersEncoder, open_index
from searchenv.retrieval.java import java


def main(folder: str, queries: str, k: int) -> dict[str, int]:
    retriever = open_index(folder)
    assert isinstance(retriever, DenseRetriever)
    assert isinstance(retriever.encoder, TransformersEncoder)
    os.environ.setdefault("OPENAI_API_KEY", "unused")  # Pyserini 1.6.0 cannot be imported without
    with java():  # before any import of Pyserini: its own way of starting Java can end the process
        from pyserini.encode import AutoQueryEncoder
        from pyserini.search.faiss import FaissSearcher

        model = str(retriever.encoder.folder)
        encoder = AutoQueryEncoder(model, pooling="mean", l2_norm=True)
        searcher = FaissSearcher(str(Path(folder, "faiss")), encoder)
    texts = Path(queries).read_text(encoding="utf-8").splitlines()
    counts = {"queries": len(texts), "same": 0, "score_differs": 0}
    for text, hits in zip(texts, retriever.search(texts, k), strict=True):
        theirs = searcher.search(text, k=k)
        counts["same"] += [hit.passage.id for hit in hits] == [hit.docid for hit in theirs]
        counts["score_differs"] += any(
            abs(a.score - b.score) > 1e-5 for a, b in zip(hits, theirs, strict=True)
        )
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
