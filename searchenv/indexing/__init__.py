"""Index building: from corpus files or passages to a folder that ``open_index`` opens."""

from searchenv.indexing.build import build_index
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.publish import ensure_index
from searchenv.indexing.specs import IndexSpec, build_spec, load_spec
from searchenv.indexing.verify import IndexReport, list_indexes, verify_index

__all__ = [
    "Corpus",
    "IndexReport",
    "IndexSpec",
    "build_index",
    "build_spec",
    "ensure_index",
    "list_indexes",
    "load_spec",
    "verify_index",
]
