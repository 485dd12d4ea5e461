"""Question files: layouts of the suites, the common jsonl, links from gold titles to an index."""

from searchenv.questions.layouts import LAYOUTS, Layout
from searchenv.questions.link import TitleLookup, link_gold
from searchenv.questions.reader import read_questions, write_questions

__all__ = [
    "LAYOUTS",
    "Layout",
    "TitleLookup",
    "link_gold",
    "read_questions",
    "write_questions",
]
