"""Adapters to libraries that train agents."""
