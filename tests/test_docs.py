"""The documentation is true: its blocks run and print what the pages say; its links lead on.

How a page is read: its ``python`` blocks run in order in one namespace, its ``bash`` lines through
the command line, all in one folder. A block below a line ``` `name`: ``` is the content of the file
``name``. A ``text`` block that follows such a block, with nothing between them, is what it prints:
white space may differ and ``...`` stands for anything. Where every ``print`` of a block has a
comment, the comments are what it prints. Other ``text`` blocks are not run.
"""

import contextlib
import doctest
import html
import io
import re
import runpy
import shlex
import subprocess
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import searchenv
from searchenv import cli
from searchenv.rendering import render_episode

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [README, *GUIDES, *sorted((ROOT / "docs" / "api").glob("*.md"))]
PICTURE = ROOT / "docs" / "images" / "episode.svg"

FENCE = re.compile(r"^```(?P<language>[^\s`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
ANNOUNCED = re.compile(r"`(?P<name>[\w.-]+)`:\n\n$")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PRINTED = re.compile(r"^print\(.*\)(?:  # (.*))?$", re.MULTILINE)
RUN = ("python", "bash")
DATA = ("text", "json", "toml", "yaml")

CORPUS = """\
{"id": "p1", "title": "Velmara Nights", "text": "A 1962 film directed by Orla Fenwick."}
{"id": "p2", "title": "Orla Fenwick", "text": "Orla Fenwick was born in Dunmarrow in 1921."}
{"id": "p3", "title": "Dunmarrow", "text": "Dunmarrow is a town on the river Issel."}
"""
QUESTIONS = """\
{"id": "q1", "question": "Who directed Velmara Nights?", "golden_answers": ["Orla Fenwick"]}
"""


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int
    file: str | None
    """The file that the block is the content of."""
    printed: str | None = None
    """What the page says that the block prints."""


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    end = 0
    for fence in FENCE.finditer(text):
        between, end = text[end : fence.start()], fence.end()
        announced = ANNOUNCED.search(between)
        block = Block(
            fence["language"],
            fence["code"],
            text.count("\n", 0, fence.start()) + 1,
            announced["name"] if announced else None,
            printed=comments_of(fence["code"]) if fence["language"] == "python" else None,
        )
        if block.language == "text" and not between.strip() and blocks[-1].language in RUN:
            block = replace(blocks.pop(), printed=block.code)
        blocks.append(block)
    return blocks


def comments_of(code: str) -> str | None:
    comments = PRINTED.findall(code)
    return "\n".join(comments) if comments and all(comments) else None


def matches(expected: str, printed: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected.strip(), printed.strip(), flags)


def run_shell(code: str) -> None:
    for line in code.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["PYTHONPATH=."]:
            words.pop(0)
        if words[:1] == ["searchenv"]:
            assert cli.main(words[1:]) == 0, line
        elif words[:1] == ["make"]:
            assert dry_run(words[1:]), line
        elif words[:2] == ["pip", "install"]:
            assert extras_of(words[-1]) <= known_extras(), line
        else:
            assert not words, f"no way to check: {line}"


def dry_run(words: list[str]) -> str:
    run = subprocess.run(
        ["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return run.stdout


def extras_of(requirement: str) -> set[str]:
    _, _, extras = requirement.rstrip("]").partition("[")
    return set(extras.split(",")) if extras else set()


def known_extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("page", [README, *GUIDES], ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("Velmara Nights\n= Orla Fenwick\n" * 4))
    Path("corpus.jsonl").write_text(CORPUS)
    Path("questions.jsonl").write_text(QUESTIONS)
    blocks = blocks_of(page)
    for block in blocks:
        if block.file is not None:
            Path(block.file).write_text(block.code, encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if block.language == "python":
                padded = "\n" * block.line + block.code  # tracebacks show the line of the page
                exec(compile(padded, str(page), "exec"), namespace)
            elif block.language == "bash":
                run_shell(block.code)
        if block.printed is not None:
            where = f"{page.name}, line {block.line}, prints:\n{out.getvalue()}"
            assert matches(block.printed, out.getvalue()), where


def test_every_block_is_of_a_known_kind() -> None:
    for page in [README, *GUIDES]:
        for block in blocks_of(page):
            known = block.language in (*RUN, *DATA) or block.language.startswith("{")
            assert known, f"{page.name}, line {block.line}: {block.language!r}"


def test_two_commands_of_the_readme() -> None:
    assert "searchenv demo" in dry_run(["demo"])
    assert "-m pytest" in dry_run(["test"])
    assert "sphinx-build -W" in dry_run(["docs"])


def test_links_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in LINKING
        for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_reference_lists_the_public_names() -> None:
    text = (ROOT / "docs" / "api" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:\{py:\w+\})?`(\w+)", text, re.MULTILINE)
    assert sorted(rows) == sorted(searchenv.__all__)


def test_layers_are_complete() -> None:
    package = ROOT / "searchenv"
    rooms = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    names = r"((?:`\w+`(?:, )?)+)"
    for page, row in (
        ("CONTRIBUTING.md", rf"^\d+\. {names}$"),
        ("docs/design.md", rf"^\| {names} \|"),
    ):
        rows = re.findall(row, (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        named = re.findall(r"\w+", " ".join(rows))
        assert sorted(named) == sorted(rooms - {"__init__"}), page


def test_picture_shows_the_demo() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"]+", svg)) == {"http://www.w3.org/2000/svg"}
    drawn = html.unescape(" ".join(re.findall(r">([^<>]+)</text>", svg)))
    episode = runpy.run_path(str(ROOT / "docs" / "picture.py"))["play"]()
    assert drawn.split() == ["searchenv", "demo", *render_episode(episode).split()]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "demo",
        "play",
        "index",
        "index build",
        "index verify",
        "index search",
        "index list",
        "serve",
        "view",
        "bench",
        "bench run",
        "bench table",
        "bench compare",
        "bench contrast",
        "rescore",
        "import",
        "export",
        "export trec",
        "export sft",
        "train",
        "train tiny",
        "train world",
        "train grpo",
        "train sft",
        "train rejection",
        "train arms",
    ],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main([*command.split(), "--help"])
    assert capsys.readouterr().out.startswith(f"usage: searchenv {command}".rstrip())
