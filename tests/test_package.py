"""The package as a whole: light to import, a true table of contents, arrows that point down."""

import ast
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

import searchenv

ROOT = Path(searchenv.__file__).parent
LAYERS = (
    {"types", "errors", "loading", "json_stream"},
    {"metrics", "spaces", "protocols"},
    {"retrieval", "indexing", "questions", "worlds"},
    {"saved", "results", "tokens", "episode", "rewards"},
    {"driver", "rendering", "task", "env", "vector", "wrappers"},
    {"policies"},
    {"evaluation"},
    {"exports", "viewer", "imports"},
    {"training"},
    {"systems"},
    {"integrations", "serving"},
    {"cli"},
)
HEAVY = ("torch", "jnius", "faiss", "transformers", "pyserini", "numba", "bm25s", "pyarrow")


def test_import_is_light() -> None:
    code = f"import sys, searchenv; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_pinned_versions_install_on_the_first_python() -> None:
    for line in (ROOT.parent / "constraints.txt").read_text().splitlines()[1:]:
        name, version = line.split("==")
        with suppress(PackageNotFoundError):
            found = metadata(name)
            if found["Version"] == version:
                assert "3.11.0" in SpecifierSet(found["Requires-Python"] or ""), line


def test_every_public_name_exists() -> None:
    for name in searchenv.__all__:
        assert getattr(searchenv, name) is not None
    assert sorted(searchenv.__all__) == dir(searchenv)


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(searchenv, "no_such_name")


def layer_of(module: str) -> int:
    room = module.split(".")[1] if "." in module else "__init__"
    return next((i for i, rooms in enumerate(LAYERS) if room in rooms), -1)


def test_imports_point_down() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        own = ".".join(("searchenv", *path.relative_to(ROOT).with_suffix("").parts))
        if layer_of(own) == -1:
            assert own == "searchenv.__init__"
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            wrong += [
                f"{own} imports {name}"
                for name in names
                if name and name.startswith("searchenv") and layer_of(name) > layer_of(own)
            ]
    assert wrong == []
