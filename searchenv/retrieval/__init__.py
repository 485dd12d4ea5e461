"""Retrievers: engines that find passages, many queries at a time."""

from searchenv.retrieval.base import Retriever, RetrieverTool
from searchenv.retrieval.bm25 import Bm25sRetriever
from searchenv.retrieval.cache import CachedRetriever
from searchenv.retrieval.composition import DegradedHits
from searchenv.retrieval.dense import DenseRetriever
from searchenv.retrieval.encoders import Encoder, EncoderSettings, Pooling, TransformersEncoder
from searchenv.retrieval.hybrid import Fusion, HybridRetriever
from searchenv.retrieval.lucene import Analyzer, LuceneRetriever
from searchenv.retrieval.manifest import DenseSettings, Engine, Manifest, index_home, read_manifest
from searchenv.retrieval.memory import MemoryRetriever
from searchenv.retrieval.opening import named_indexes, open_index
from searchenv.retrieval.passages import Passages, PassageStore, PassageWriter
from searchenv.retrieval.remote import RemoteRetriever, Wire
from searchenv.retrieval.replay import RecordingRetriever, ReplayRetriever
from searchenv.retrieval.rerank import CrossEncoder, RerankRetriever, Scorer
from searchenv.retrieval.sharded import ShardedRetriever
from searchenv.retrieval.web import WebRetriever
from searchenv.retrieval.web_apis import GoogleCseApi, SearchApi, SearxngApi, SerperApi
from searchenv.retrieval.web_pages import PageFetcher

__all__ = [
    "Analyzer",
    "Bm25sRetriever",
    "CachedRetriever",
    "CrossEncoder",
    "DegradedHits",
    "DenseRetriever",
    "DenseSettings",
    "Encoder",
    "EncoderSettings",
    "Engine",
    "Fusion",
    "GoogleCseApi",
    "HybridRetriever",
    "LuceneRetriever",
    "Manifest",
    "MemoryRetriever",
    "PageFetcher",
    "PassageStore",
    "PassageWriter",
    "Passages",
    "Pooling",
    "RecordingRetriever",
    "RemoteRetriever",
    "ReplayRetriever",
    "RerankRetriever",
    "Retriever",
    "RetrieverTool",
    "Scorer",
    "SearchApi",
    "SearxngApi",
    "SerperApi",
    "ShardedRetriever",
    "TransformersEncoder",
    "WebRetriever",
    "Wire",
    "index_home",
    "named_indexes",
    "open_index",
    "read_manifest",
]
