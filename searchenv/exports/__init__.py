"""Runs in the formats of other programs."""

from searchenv.exports.records import export_jsonl, export_parquet
from searchenv.exports.trec import TrecCounts, export_trec

__all__ = ["TrecCounts", "export_jsonl", "export_parquet", "export_trec"]
