"""The search and the score for verl's stock agent loop, as verl loads and calls them."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from verl.experimental.agent_loop.tool_agent_loop import ToolAgentLoop
from verl.tools.tool_registry import load_all_tools

from searchenv.cli import main
from searchenv.integrations.verl import tools as own_tools
from searchenv.integrations.verl.tools import SearchTool, compute_score
from searchenv.questions import write_questions
from searchenv.types import Question
from searchenv.worlds import FactWorld


def load(index: Path | str, tmp_path: Path) -> list[Any]:
    file = tmp_path / "tools.yaml"
    config = {"type": "native", "index": str(index), "k": 2}
    name = f"{SearchTool.__module__}.{SearchTool.__name__}"
    OmegaConf.save({"tools": [{"class_name": name, "config": config}]}, file)
    return list(load_all_tools(str(file), None))


def call(tools: list[Any], arguments: str) -> tuple[str, dict[str, int]]:
    """Calls the search as verl's loop does; returns what its model reads, and what was counted."""
    loop = SimpleNamespace(
        tools={tool.name: tool for tool in tools},
        max_tool_response_length=10_000,
        tool_response_truncate_side="middle",
    )
    data = SimpleNamespace(extra_fields={})
    wanted = SimpleNamespace(name="search", arguments=arguments)
    response, reward, _ = asyncio.run(ToolAgentLoop._call_tool(loop, wanted, {}, data))
    assert reward == 0.0
    return response.text, data.extra_fields


@pytest.fixture
def query(world: FactWorld) -> str:
    return " 's ".join(world.split("train")[0].text.split(" 's ")[:2])


def test_verl_finds_and_calls_the_search(index: Path, query: str, tmp_path: Path) -> None:
    tools = load(index, tmp_path)
    assert [tool.name for tool in tools] == ["search"]
    text, fields = call(tools, json.dumps({"query": query}))
    first, second = text.splitlines()
    assert first.startswith(f"Doc 1 {query}")
    assert second.startswith("Doc 2 ")
    assert fields == {"searches": 1}


@pytest.mark.parametrize("arguments", ['{"query": "  "}', '{"question": "x"}', '{"query": 3}'])
def test_a_call_without_a_query_is_told_so(index: Path, tmp_path: Path, arguments: str) -> None:
    text, _ = call(load(index, tmp_path), arguments)
    assert text.startswith('no valid call: expected {"query": "..."} with some text, got {')


def test_a_failed_search_is_no_empty_result(tmp_path: Path) -> None:
    text, fields = call(load("http://127.0.0.1:9", tmp_path), '{"query": "x"}')
    assert text.startswith("Error executing tool 'search':")
    assert "127.0.0.1:9" in text
    assert fields == {}


def test_the_function_tool(
    index: Path, query: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEARCHENV_INDEX", str(index))
    monkeypatch.setenv("SEARCHENV_K", "2")
    file = Path(own_tools.__file__).with_name("function_tools.py")  # verl imports it, nobody else
    tools = load_all_tools(None, str(file))
    assert [tool.name for tool in tools] == ["search"]
    arguments = json.dumps({"query": query})
    assert call(tools, arguments)[0] == call(load(index, tmp_path), arguments)[0]
    monkeypatch.setenv("SEARCHENV_INDEX", "http://127.0.0.1:9")
    assert call(tools, arguments)[0].startswith("Error executing tool 'search':")


@pytest.mark.parametrize(
    ("text", "score", "answered"),
    [
        ("<answer>Bado</answer>", 1.0, 1.0),
        ("<answer>Rupo</answer> no, <answer> the bado </answer>", 1.0, 1.0),
        ("<answer>Rupo</answer>", 0.0, 1.0),
        ("Doc 1 (Title: x) &lt;answer>Bado&lt;/answer>", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_the_last_answer_is_scored(text: str, score: float, answered: float) -> None:
    found = compute_score("searchenv", text, {"target": ["Bado"]}, {"searches": 2})
    assert found == {"score": score, "answered": answered, "searches": 2.0}


def test_another_scorer() -> None:
    truth = {"target": ["Bado Rupo"]}
    found = compute_score("", "<answer>Bado</answer>", truth, scorer="f1_squad")
    assert found["score"] == pytest.approx(2 / 3)


def test_questions_are_written_a_file_a_split(
    world: FactWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, out = tmp_path / "questions.jsonl", tmp_path / "data"
    chosen = [*world.split("train")[:3], *world.split("dev")[:2]]
    write_questions(questions, [*chosen, Question("q", "Who?", ("Bado",))])
    words = ["export", "verl", str(questions), "--out", str(out), "--agent", "tool_agent"]
    assert main([*words, "--protocol", "tool_calls_openai"]) == 0
    assert "4 questions in" in capsys.readouterr().out
    rows = pq.read_table(out / "train.parquet").to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == [0, 1, 2, 3]
    assert {row["agent_name"] for row in rows} == {"tool_agent"}
    assert [message["role"] for message in rows[3]["prompt"]] == ["system", "user"]
    assert rows[3]["reward_model"]["ground_truth"]["target"] == ["Bado"]
    assert len(pq.read_table(out / "dev.parquet")) == 2
    assert main([*words]) == 2
