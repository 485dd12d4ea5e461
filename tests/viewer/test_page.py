"""The page of a run, read and clicked in a real headless Chromium."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from searchenv import cli
from searchenv.evaluation import Setup, run_header, run_questions
from searchenv.evaluation.judge import judge_run
from searchenv.evaluation.judge_prompts import get_judge_prompt
from searchenv.imports import import_run
from searchenv.policies import ScriptedPolicy
from searchenv.policies.chat import ChatGenerator
from searchenv.protocols import get_protocol
from searchenv.types import (
    Act,
    Answer,
    Gold,
    Hit,
    Limits,
    Observation,
    Passage,
    Question,
    ToolCall,
    ToolFailure,
    ToolResult,
)
from searchenv.viewer import write_page
from tests.evaluation.judging import judge_server

HOSTILE = (
    '</script><script>document.title = "broken"</script><img src=x onerror="alert(1)"> & {hash}'
)
FILM = Passage("p1", "Velmara Nights", HOSTILE)
TOWN = Passage("p2", "Dunmarrow", "Dunmarrow is a town on the Issel.")
QUESTIONS = (
    Question(
        "q1",
        "Who directed Velmara Nights?",
        ("Orla Fenwick", "O. Fenwick"),
        gold=(Gold("Velmara Nights", ("p1",)), Gold("Orla Fenwick", ("p9",))),
        metadata={"type": "bridge", "hops": 1},
    ),
    Question("q2", "Which river is it on?", ("Issel",), metadata={"type": "bridge", "hops": 2}),
    Question("q3", "Is <b>Dunmarrow</b> a river?", ("no",), metadata={"type": "comparison"}),
    Question("q4", "Does the index work?", ("yes",), metadata={"type": "comparison"}),
)
MOVES: dict[str, Sequence[str | Act | Answer]] = {
    "q1": [Act((ToolCall("search", "Velmara Nights"),)), Answer("Orla Fenwick")],
    "q2": ["I do not know.", Answer("the river Issel")],
    "q3": ["I do not know.", "Nor now."],
    "q4": [Act((ToolCall("search", "broken"),))],
}


class Shelf:
    """Finds the same two passages for every query, and fails for one."""

    def run(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        hits = (Hit(FILM, 2.5, 1), Hit(TOWN, 1.25, 2))
        return [
            ToolFailure("the index is <i>gone</i>", retryable=False)
            if call.query == "broken"
            else Observation(hits)
            for call in calls
        ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "run"
    setup = Setup(
        tools={"search": Shelf()},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=2),
        scorers=("em", "f1_hotpot"),
    )
    header = run_header(
        QUESTIONS, setup, name="towns", policy={"name": "scripted"}, retriever={"k": 2}
    )
    run_questions(ScriptedPolicy(MOVES), QUESTIONS, setup, folder, header=header)
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    path = run.with_name("page.html")
    write_page(run, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def judged_page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(run, folder)
    asked = [question.text for question in QUESTIONS]
    for name, replies in (("strict", ("True", HOSTILE)), ("kind", ("True", "False, another."))):
        with judge_server(dict(zip(asked, replies, strict=False))) as server:
            judge_run(
                folder, get_judge_prompt("r1_searcher"), ChatGenerator(server.url, name), name=name
            )
    path = folder.with_name("page.html")
    write_page(folder, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        message = "chromium and chromedriver must be installed: apt-get install chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def visit(browser: webdriver.Chrome, page: str, state: str = "", width: int = 1280) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")  # another "#" alone would not load the page again
    browser.get(page + state)


def text(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def listed(browser: webdriver.Chrome) -> list[str]:
    """The episodes in the list, by the number of the question, once it has been drawn again."""
    shown = texts(browser, ".rows .quiet")
    return [row.split(" ")[0] for row in shown]


def choose(browser: webdriver.Chrome, name: str, value: str) -> None:
    Select(browser.find_element(By.ID, f"filter-{name}")).select_by_value(value)
    settle(browser)


def click(browser: webdriver.Chrome, link: str) -> None:
    browser.find_element(By.PARTIAL_LINK_TEXT, link).click()
    settle(browser)


def settle(browser: webdriver.Chrome) -> None:
    """Waits until the page has handled the events that are under way."""
    browser.execute_async_script("setTimeout(arguments[0], 50)")


def test_summary_shows_means_and_failures(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page)
    assert browser.title == text(browser, "h1") == "scripted on towns"
    assert text(browser, "header .quiet") == (
        "protocol search_r1 · 4 episodes · 1 failed, which score 0"
    )
    means = dict(zip(texts(browser, "dt"), texts(browser, "dd"), strict=True))
    # em is right once in four; f1 of "the river Issel" is 2 * (1/2 * 1) / (1/2 + 1) = 2/3
    assert means["em"].split("\n")[0] == "0.250"
    assert means["f1_hotpot"].split("\n")[0] == "0.417"
    assert means["gold_recall"].split("\n") == ["0.500", "0.500 to 0.500, n=1"]
    assert not browser.find_elements(By.ID, "partial")


def test_filters_narrow_the_list(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page)
    assert listed(browser) == ["q1", "q2", "q3", "q4"]
    choose(browser, "verdict", "wrong")
    assert listed(browser) == ["q2", "q3"]
    choose(browser, "scorer", "f1_hotpot")
    assert listed(browser) == ["q3"]
    choose(browser, "verdict", "partly")
    assert listed(browser) == ["q2"]
    choose(browser, "verdict", "")
    choose(browser, "type", "bridge")
    assert listed(browser) == ["q1", "q2"]
    choose(browser, "hops", "2")
    assert listed(browser) == ["q2"]
    visit(browser, page)
    choose(browser, "stop", "max_turns")
    assert listed(browser) == ["q3"]
    assert text(browser, "#count") == "1 of 4 episodes"
    visit(browser, page)
    browser.find_element(By.ID, "filter-text").send_keys("velmara")
    settle(browser)
    assert listed(browser) == ["q1"]


def test_an_episode_reads_as_a_conversation(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page)
    click(browser, "Who directed")
    assert text(browser, "h2") == "Who directed Velmara Nights?"
    assert (text(browser, "#answer"), text(browser, "#gold")) == (
        "Orla Fenwick",
        "Orla Fenwick · O. Fenwick",
    )
    assert texts(browser, ".plain li") == ["Velmara Nights found", "Orla Fenwick not found"]
    assert texts(browser, ".scores tr") == ["em 1", "f1_hotpot 1"]
    assert texts(browser, ".reward tr") == ["outcome 1", "reward 1"]
    assert texts(browser, ".call q") == ["Velmara Nights"]
    assert texts(browser, ".passage summary") == [
        "1. Velmara Nights gold p1 · 2.5",
        "2. Dunmarrow p2 · 1.25",
    ]
    assert texts(browser, ".passage.gold .text") == [HOSTILE]
    assert texts(browser, ".trained") == [
        "<search> Velmara Nights </search>",
        "<answer> Orla Fenwick </answer>",
    ]


def test_verdicts_of_judges_filter_and_are_shown(
    browser: webdriver.Chrome, judged_page: str
) -> None:
    visit(browser, judged_page)
    means = dict(zip(texts(browser, "dt"), texts(browser, "dd"), strict=True))
    # q1 is right; q2 has no verdict from strict; q3 and q4 have no answer
    assert means["judge_strict"].split("\n")[0] == "0.333"
    assert means["judge_kind"].split("\n")[0] == "0.250"
    choose(browser, "judge_strict", "unparsable")
    assert listed(browser) == ["q2"]
    choose(browser, "judge_kind", "wrong")
    assert listed(browser) == ["q2"]
    choose(browser, "judge_strict", "unanswered")
    assert listed(browser) == []
    choose(browser, "judge_kind", "")
    assert listed(browser) == ["q3", "q4"]
    visit(browser, judged_page)
    choose(browser, "scorer", "judge_strict")
    choose(browser, "verdict", "unscored")
    assert listed(browser) == ["q2"]
    click(browser, "Which river")
    assert texts(browser, ".judges .tool") == ["kind", "strict"]
    assert texts(browser, ".judges .badge") == ["wrong", "unparsable"]
    assert texts(browser, ".judges .text") == ["False, another.", HOSTILE]
    assert texts(browser, ".scores tr") == ["em 0", "f1_hotpot 0.667", "judge_kind 0"]
    assert browser.title == "scripted on towns"
    assert not browser.find_elements(By.CSS_SELECTOR, "img")


def test_a_verdict_on_an_answer_that_changed_is_not_shown(
    browser: webdriver.Chrome, run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    with judge_server({question.text: "True" for question in QUESTIONS}) as server:
        judge_run(folder, get_judge_prompt("r1_searcher"), ChatGenerator(server.url, "m"))
    results = (folder / "results.jsonl").read_text()
    (folder / "results.jsonl").write_text(results.replace("the river Issel", "the river Ise"))
    write_page(folder, tmp_path / "page.html")
    page = (tmp_path / "page.html").as_uri()
    visit(browser, page, "#judge_r1_searcher=right")
    assert listed(browser) == ["q1"]
    visit(browser, page, "#id=q2")
    assert not browser.find_elements(By.CSS_SELECTOR, ".judges")


def test_a_closed_passage_opens(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page, "#id=q1")
    closed = browser.find_element(By.CSS_SELECTOR, ".passage:not(.gold)")
    assert not closed.find_element(By.CSS_SELECTOR, ".text").is_displayed()
    closed.find_element(By.CSS_SELECTOR, "summary").click()
    assert closed.find_element(By.CSS_SELECTOR, ".text").text == TOWN.text


def test_invalid_moves_and_failures_are_shown(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page, "#id=q3")
    assert [fault.split(" (")[0] for fault in texts(browser, ".fault")] == [
        "Invalid move: no_action",
        "Invalid move: no_action",
    ]
    assert text(browser, "#answer") == "none"
    click(browser, "Next")
    assert "the index is <i>gone</i>" in text(browser, "article .warning")
    assert text(browser, "article .badge") == "failed"
    assert texts(browser, ".call .quiet") == ["No result: the call was refused or it failed."]


def test_an_imported_episode_shows_moves_whose_texts_are_not_known(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    found = [{"id": "7", "contents": "Velmara Nights\nA film."}]
    row = {
        "id": "t1",
        "question": "Who directed it?",
        "golden_answers": ["Orla"],
        "output": {"pred": "Orla", "retrieval_result": found},
    }
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    import_run("flashrag", [tmp_path / "rows.json"], tmp_path / "run")
    write_page(tmp_path / "run", tmp_path / "page.html")
    visit(browser, (tmp_path / "page.html").as_uri(), "#id=t1")
    assert texts(browser, ".rows .quiet") == ["t1 · answer"]
    assert texts(browser, ".passage summary") == ["1. Velmara Nights 7 · 0"]
    assert "unknown" in text(browser, "header .quiet")


def test_hostile_text_stays_text(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page, "#id=q1")
    assert browser.title == "scripted on towns"
    assert not browser.find_elements(By.CSS_SELECTOR, "img, article b, .rows b")
    click(browser, "Is <b>Dunmarrow</b>")
    assert text(browser, "h2") == "Is <b>Dunmarrow</b> a river?"
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_links_keep_the_episode_and_the_filters(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page)
    choose(browser, "type", "comparison")
    click(browser, "Does the index work?")
    address = browser.current_url
    browser.get("about:blank")
    browser.get(address)
    assert text(browser, "h2") == "Does the index work?"
    assert listed(browser) == ["q3", "q4"]
    click(browser, "Previous")
    assert text(browser, "h2") == "Is <b>Dunmarrow</b> a river?"
    browser.back()
    settle(browser)
    assert text(browser, "h2") == "Does the index work?"
    visit(browser, page, "#id=q77")
    assert text(browser, ".empty").startswith("No episode q77 in this run.")


def test_a_phone_shows_the_list_or_the_episode(browser: webdriver.Chrome, page: str) -> None:
    visit(browser, page, width=390)
    click(browser, "Who directed")
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide == 390
    assert not browser.find_element(By.TAG_NAME, "aside").is_displayed()
    click(browser, "All episodes")
    assert browser.find_element(By.TAG_NAME, "aside").is_displayed()
    assert not browser.find_element(By.TAG_NAME, "main").is_displayed()


def test_dark_follows_the_system(browser: webdriver.Chrome, page: str) -> None:
    colours = []
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        visit(browser, page)
        body = browser.find_element(By.TAG_NAME, "body")
        colours.append(body.value_of_css_property("background-color"))
    assert colours == ["rgba(246, 247, 249, 1)", "rgba(20, 23, 28, 1)"]


def test_a_run_that_is_not_whole_says_so(
    browser: webdriver.Chrome, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run / "header.json", tmp_path)
    lines = (run / "results.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "results.part.jsonl").write_bytes(lines[0])
    out = tmp_path / "page.html"
    assert cli.main(["view", str(tmp_path), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 1 episodes, the run is not whole\n"
    visit(browser, out.as_uri())
    assert text(browser, "#partial") == ("This run is not whole: 1 of 4 episodes have been played.")
    (tmp_path / "results.part.jsonl").write_bytes(b"")
    write_page(tmp_path, out)
    visit(browser, out.as_uri())
    assert text(browser, "#count") == "0 of 0 episodes"


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert cli.main(["view", str(tmp_path), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"searchenv: no run in {tmp_path}: it holds no header.json\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_page_asks_for_nothing_from_elsewhere(run: Path, tmp_path: Path) -> None:
    write_page(run, tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|<link|@import|url\(", content)
    assert content.count("</script>") == 2
    assert "default-src 'none'" in content
