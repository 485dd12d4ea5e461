"""A suite as users make their own: three invented questions over three passages."""

from searchenv.evaluation.suites import Suite

TOWNS = Suite(
    name="towns",
    split="test",
    questions=("test.jsonl",),
    corpus="corpus.jsonl",
    index="towns",
    k=2,
)
