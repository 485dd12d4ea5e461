"""The HTTP retrieval service; needs ``pip install "searchenv[serve]"``."""

from searchenv.serving.app import RetrievalApp, ServiceOptions
from searchenv.serving.batching import BatchOptions
from searchenv.serving.server import Service, serve

__all__ = ["BatchOptions", "RetrievalApp", "Service", "ServiceOptions", "serve"]
