"""Index building: from corpus files or passages to a folder that ``open_index`` opens."""

from searchenv.indexing.build import build_index
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.faiss_index import adopt_faiss, merge_shards
from searchenv.indexing.faiss_writer import Hnsw
from searchenv.indexing.publish import ensure_index
from searchenv.indexing.shards import build_shards
from searchenv.indexing.shards_check import ShardsReport, verify_shards
from searchenv.indexing.specs import IndexSpec, build_spec, load_spec
from searchenv.indexing.vectors import encode_corpus
from searchenv.indexing.verify import IndexReport, list_indexes, verify_index

__all__ = [
    "Corpus",
    "Hnsw",
    "IndexReport",
    "IndexSpec",
    "ShardsReport",
    "adopt_faiss",
    "build_index",
    "build_shards",
    "build_spec",
    "encode_corpus",
    "ensure_index",
    "list_indexes",
    "load_spec",
    "merge_shards",
    "verify_index",
    "verify_shards",
]
