"""Runs in the formats of other programs."""

from searchenv.exports.messages import messages_of
from searchenv.exports.records import export_jsonl, export_parquet
from searchenv.exports.selection import Selection, select
from searchenv.exports.sft import Tokenizer, export_sft, load_tokenizer, sft_example
from searchenv.exports.trec import TrecCounts, export_trec

__all__ = [
    "Selection",
    "Tokenizer",
    "TrecCounts",
    "export_jsonl",
    "export_parquet",
    "export_sft",
    "export_trec",
    "load_tokenizer",
    "messages_of",
    "select",
    "sft_example",
]
