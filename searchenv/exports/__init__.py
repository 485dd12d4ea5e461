"""Runs in the formats of other programs."""

from searchenv.exports.records import export_jsonl, export_parquet

__all__ = ["export_jsonl", "export_parquet"]
