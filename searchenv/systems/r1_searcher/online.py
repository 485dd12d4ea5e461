"""R1-Searcher's evaluation on the live web: the first page whose summary says something.

Source: RUCAIBox/R1-Searcher at commit 631167c, ``eval_search_online.py``: English Wikipedia through
a search service; of the first three hits, in order, a language model summarises the page for the
query, and the first summary without the word ``none`` is what the agent reads. Differences:

1. The request for a summary is our own wording.
2. Of a page that is longer than the retriever's ``max_chars`` the stretch that holds most words of
   the query is read; the reference takes its beginning. Give ``max_chars=PAGE_CHARS``.
3. ``none`` is looked for in upper and lower case.
"""

from collections.abc import Sequence
from dataclasses import replace

from searchenv.errors import PolicyError, RetrievalError
from searchenv.policies.generation import Generator
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import derived_fingerprint, search_aligned
from searchenv.retrieval.ranking import checked
from searchenv.systems.r1_searcher.protocol import EVAL_LIMITS
from searchenv.types import Hit

__all__ = ["ONLINE_LIMITS", "PAGE_CHARS", "SummaryRetriever"]

PAGE_CHARS = 35_000
"""Characters of a page that the model reads."""
ONLINE_LIMITS = replace(EVAL_LIMITS, max_turns=8)
"""Eight turns in all, the answer included."""
_TRIED = 3
_PROMPT = (
    "Summarise what the page below says about the query, in at most 100 words and without adding "
    "anything. If it says nothing about it, write only: None\n\n"
    "Query: {query}\n\nPage: {title}\n{text}\n\nSummary:"
)


class SummaryRetriever:
    """Returns for each query one passage at most: the summary of a page, with its title and id.

    Queries are summarised together, their first hits first; those whose summary says nothing go on
    to the second and the third hit. When all three say nothing there is no hit.

    Args:
        pages: finds whole pages, such as a :class:`searchenv.retrieval.WebRetriever` with
            ``pages``.
        generator: the model that summarises.
        site: searches ask for pages of it only; empty: of any.

    Raises:
        RetrievalError: while searching: ``pages`` or the model failed.
    """

    def __init__(
        self, pages: Retriever, generator: Generator, *, site: str = "en.wikipedia.org"
    ) -> None:
        self.pages = pages
        self.generator = generator
        self.site = site

    @property
    def fingerprint(self) -> str:
        """Returns a digest of retriever, model, request and site."""
        describe = getattr(self.generator, "describe", None)
        model = describe() if describe else type(self.generator).__name__
        return derived_fingerprint(
            "summary", [self.pages.fingerprint], model=model, prompt=_PROMPT, site=self.site
        )

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to one hit for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        suffix = f" site:{self.site}" if self.site else ""
        found = search_aligned(self.pages, [text + suffix for text in texts], _TRIED)
        summaries: list[list[Hit]] = [[] for _ in texts]
        for rank in range(_TRIED):
            waiting = [i for i, hits in enumerate(found) if len(hits) > rank and not summaries[i]]
            pages = [found[i][rank].passage for i in waiting]
            prompts = [
                _PROMPT.format(query=texts[i], title=page.title, text=page.text[:PAGE_CHARS])
                for i, page in zip(waiting, pages, strict=True)
            ]
            for i, page, summary in zip(waiting, pages, self._summaries(prompts), strict=True):
                if summary and "none" not in summary.casefold():
                    summaries[i] = [Hit(page._replace(text=summary), 1.0, 1)]
        return summaries

    def _summaries(self, prompts: Sequence[str]) -> list[str]:
        if not prompts:
            return []
        try:
            written = self.generator.generate(prompts)
        except PolicyError as error:
            raise RetrievalError(f"the pages could not be summarised: {error}") from error
        return [completion.text.strip() for (completion,) in written]
