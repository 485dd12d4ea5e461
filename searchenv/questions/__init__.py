"""Question files: layouts of the suites, the common jsonl, corpora and gold passages."""

from searchenv.questions.aliases import with_aliases
from searchenv.questions.contrast import ContrastPair, contrast_pairs, is_answerable
from searchenv.questions.corpus import QuestionCorpus, question_corpus
from searchenv.questions.layouts import LAYOUTS, Layout
from searchenv.questions.link import TitleLookup, link_gold
from searchenv.questions.overlap import Overlap, Shared, Sharing, find_overlap
from searchenv.questions.reader import read_questions, write_questions
from searchenv.questions.summary import QuestionSummary, summarize_questions

__all__ = [
    "LAYOUTS",
    "ContrastPair",
    "Layout",
    "Overlap",
    "QuestionCorpus",
    "QuestionSummary",
    "Shared",
    "Sharing",
    "TitleLookup",
    "contrast_pairs",
    "find_overlap",
    "is_answerable",
    "link_gold",
    "question_corpus",
    "read_questions",
    "summarize_questions",
    "with_aliases",
    "write_questions",
]
