"""Index building: from corpus files or passages to a folder that ``open_index`` opens."""

from searchenv.indexing.build import build_index
from searchenv.indexing.corpus import Corpus
from searchenv.indexing.publish import ensure_index
from searchenv.retrieval.manifest import Manifest

__all__ = ["Corpus", "Manifest", "build_index", "ensure_index"]
