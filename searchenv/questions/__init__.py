"""Question files: layouts of the suites, the common jsonl, corpora and gold passages."""

from searchenv.questions.corpus import QuestionCorpus, question_corpus
from searchenv.questions.layouts import LAYOUTS, Layout
from searchenv.questions.link import TitleLookup, link_gold
from searchenv.questions.reader import read_questions, write_questions
from searchenv.questions.summary import QuestionSummary, summarize_questions

__all__ = [
    "LAYOUTS",
    "Layout",
    "QuestionCorpus",
    "QuestionSummary",
    "TitleLookup",
    "link_gold",
    "question_corpus",
    "read_questions",
    "summarize_questions",
    "write_questions",
]
