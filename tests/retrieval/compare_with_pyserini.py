"""Run by path: compares LuceneRetriever with Pyserini's LuceneSearcher in one process.

Arguments: an index folder, a gzipped jsonl file of questions, k. Prints one JSON object.
"""

import gzip
import json
import os
import sys
from pathlib import Path

from searchenv.retrieval import open_index


def main(folder: str, questions: str, k: int) -> dict[str, int]:
    retriever = open_index(folder)
    retriever.search(["start Java before Pyserini is imported"], 1)
    os.environ.setdefault("OPENAI_API_KEY", "unused")  # Pyserini 1.6.0 cannot be imported without
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(Path(folder, "lucene")))
    searcher.set_bm25(0.9, 0.4)
    with gzip.open(questions, "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["question"] for line in file]
    counts = {"questions": len(texts), "same": 0, "score_differs": 0}
    for text, hits in zip(texts, retriever.search(texts, k), strict=True):
        theirs = searcher.search(text, k=k)
        counts["same"] += [hit.passage.id for hit in hits] == [hit.docid for hit in theirs]
        # Pyserini takes steps of about 1e-6 off tied scores
        counts["score_differs"] += any(
            abs(a.score - b.score) > 1e-4 for a, b in zip(hits, theirs, strict=True)
        )
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
