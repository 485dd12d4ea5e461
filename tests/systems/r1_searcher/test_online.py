"""The evaluation on the web, with pages in memory and a model that says what it is told to."""

from collections.abc import Sequence

import pytest

from searchenv.episode import Episode
from searchenv.errors import PolicyError, RetrievalError
from searchenv.evaluation.play import play
from searchenv.policies import ScriptedPolicy
from searchenv.policies.generation import Completion, Finish, Prompt
from searchenv.retrieval import RetrieverTool
from searchenv.systems.r1_searcher import ONLINE_LIMITS, PAGE_CHARS, R1Searcher, SummaryRetriever
from searchenv.types import Hit, Passage, Question, StopReason

NAMES = ("a", "b", "c")
PAGES = [Passage(f"http://w/{n}", n.upper(), f"{n} page " + "x" * 40_000) for n in NAMES]


class Web:
    fingerprint = "web"

    def __init__(self, num_hits: int = 3) -> None:
        self.asked: list[tuple[list[str], int]] = []
        self.num_hits = num_hits

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.asked.append(([*queries], k))
        ranked = [Hit(page, 1 / rank, rank) for rank, page in enumerate(PAGES, 1)]
        return [ranked[: self.num_hits] for _ in queries]


class Model:
    """Says of each page what ``says`` holds for its query and title, else ``None.``."""

    def __init__(self, says: dict[tuple[str, str], str]) -> None:
        self.says = says
        self.prompts: list[list[str]] = []

    def generate(self, prompts: Sequence[Prompt], **_: object) -> list[list[Completion]]:
        texts = [str(prompt) for prompt in prompts]
        self.prompts.append(texts)
        return [[Completion(self._about(text), Finish.STOP)] for text in texts]

    def _about(self, text: str) -> str:
        for (query, title), summary in self.says.items():
            if f"Query: {query}\n" in text and f"Page: {title}\n" in text:
                return summary
        return "None."


def test_first_summary_that_says_something_is_the_hit() -> None:
    web = Web()
    model = Model({("q1", "A"): " It is one. ", ("q2", "B"): "Two", ("q2", "C"): "Not asked for"})
    found = SummaryRetriever(web, model).search(["q1", "q2", "q3"], 5)
    assert found == [
        [Hit(Passage("http://w/a", "A", "It is one."), 1.0, 1)],
        [Hit(Passage("http://w/b", "B", "Two"), 1.0, 1)],
        [],
    ]
    assert web.asked == [([f"q{n} site:en.wikipedia.org" for n in (1, 2, 3)], 3)]
    assert [len(prompts) for prompts in model.prompts] == [3, 2, 1]  # all first pages together
    assert model.prompts[0][0].count("x") == PAGE_CHARS - len("a page ")


def test_fewer_pages_and_no_queries() -> None:
    model = Model({})
    assert SummaryRetriever(Web(1), model, site="").search(["q"], 1) == [[]]
    assert len(model.prompts) == 1
    assert SummaryRetriever(Web(), model).search([], 1) == []


def test_model_that_fails_is_a_failed_search() -> None:
    class Broken(Model):
        def generate(self, prompts: Sequence[Prompt], **_: object) -> list[list[Completion]]:
            raise PolicyError("the server is down")

    with pytest.raises(RetrievalError, match="could not be summarised: the server is down"):
        SummaryRetriever(Web(), Broken({})).search(["q"], 1)


def test_fingerprint_tells_sites_apart() -> None:
    retrievers = [SummaryRetriever(Web(), Model({}), site=site) for site in ("", "a.org", "a.org")]
    prints = [retriever.fingerprint for retriever in retrievers]
    assert prints[0] != prints[1] == prints[2]


def test_an_episode_reads_summaries_and_has_eight_turns() -> None:
    tool = RetrieverTool(SummaryRetriever(Web(), Model({("tall tower", "A"): "It is tall."})), k=5)
    searches = ["I search <|begin_of_query|> tall tower", *["<|begin_of_query|> nothing"] * 7]
    asked = Question(id="1", text="Who?", answers=("Ann",))
    episode = Episode(asked, R1Searcher(evaluation=True), ONLINE_LIMITS)
    (played,) = play(ScriptedPolicy({"1": searches}), [episode], {"search": tool})
    shown = [s.text for s in played.result.segments if s.text.startswith("<|begin_of_documents|>")]
    assert shown[0] == "<|begin_of_documents|>\n(1)A   It is tall.\n<|end_of_documents|>\n\n"
    assert "\nNone" in shown[1]
    assert played.result.stop is StopReason.MAX_TURNS
    assert len(played.result.turns) == 8
