from pathlib import Path

import pytest

from searchenv.errors import ProtocolError
from searchenv.protocols import CHATML, ReAct, SearchR1, TextProtocol, ToolCalls
from searchenv.types import Question

QUESTION = Question("q", "What does {question} mean?", ("a field",))


def opening(protocol: TextProtocol) -> str:
    return "".join(segment.text for segment in protocol.opening(QUESTION))


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.txt"
    path.write_text("Söka svar.\n", encoding="utf-8")
    return path


@pytest.fixture
def prompt_with_question(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.txt"
    path.write_text("Ask: {question}\nAgain: {question}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("protocol", [SearchR1, ReAct])
def test_system_prompt_without_question_is_followed_by_it(
    protocol: type[SearchR1 | ReAct], prompt: Path
) -> None:
    assert opening(protocol(system_prompt=prompt)) == "Söka svar.\n\nWhat does {question} mean?\n"
    assert opening(protocol(system_prompt=prompt, template=CHATML)) == (
        "<|im_start|>system\nSöka svar.<|im_end|>\n"
        "<|im_start|>user\nWhat does {question} mean?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_system_prompt_with_question_holds_it_in_every_place(prompt_with_question: Path) -> None:
    filled = "Ask: What does {question} mean?\nAgain: What does {question} mean?"
    assert opening(SearchR1(system_prompt=prompt_with_question)) == f"{filled}\n"
    assert opening(ToolCalls(system_prompt=prompt_with_question)) == (
        f"<|im_start|>user\n{filled}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_system_prompt_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"\xef\xbb\xbfSearch.\r\n")
    assert SearchR1(system_prompt=path).system_prompt == "Search."


def test_system_prompt_missing_file_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"none\.txt: expected a UTF-8 text file"):
        SearchR1(system_prompt=tmp_path / "none.txt")


def test_system_prompt_not_utf8_error_names_it(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("Söka".encode("latin-1"))
    with pytest.raises(ProtocolError, match=r"latin\.txt: expected a UTF-8 text file"):
        ToolCalls(system_prompt=path)


def test_system_prompt_empty_file_error_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(" \n", encoding="utf-8")
    with pytest.raises(ProtocolError, match=r"empty\.txt: the file is empty; write"):
        ReAct(system_prompt=path)
