from pathlib import Path

import pytest

from searchenv.errors import CorpusError
from searchenv.indexing import IndexSpec, build_spec, list_indexes, load_spec
from searchenv.retrieval import open_index

SPECS = Path(__file__).parents[2] / "indexes"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_load_spec_resolves_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWNS", "/towns")
    path = write(
        tmp_path / "a.toml",
        'name = "towns"\nengine = "bm25s"\ncorpus = ["a.jsonl", "$TOWNS/b.tsv"]\nk1 = 1.2\n',
    )
    corpus = (tmp_path / "a.jsonl", Path("/towns/b.tsv"))
    assert load_spec(path) == IndexSpec("towns", "bm25s", corpus, k1=1.2, b=0.4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name =", "a.toml is no readable index spec"),
        ('nam = "a"', "unknown key 'nam'. Did you mean 'name'"),
        ('name = "a"\nengine = "bm25s"', "the key 'corpus' is missing"),
        (
            'name = "a"\nengine = "bm25s"\ncorpus = 3',
            "corpus must be a path or a list of paths, got 3",
        ),
        (
            'name = "a"\nengine = "bm25s"\ncorpus = "$NOT_SET/a"',
            "names an environment variable that is not set",
        ),
    ],
)
def test_load_spec_mistakes_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(CorpusError, match=expected):
        load_spec(write(tmp_path / "a.toml", text))


def test_build_spec_makes_a_named_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCHENV_HOME", str(tmp_path / "home"))
    write(tmp_path / "a.jsonl", '{"id": "1", "text": "a town"}\n')
    spec = load_spec(
        write(tmp_path / "a.toml", 'name = "towns"\nengine = "bm25s"\ncorpus = "a.jsonl"\n')
    )
    manifest = build_spec(spec)
    assert list_indexes() == [manifest]
    assert len(open_index("towns").search(["town"], 1)[0]) == 1
    assert list_indexes(tmp_path / "nothing") == []


@pytest.mark.data
@pytest.mark.parametrize("path", sorted(SPECS.glob("*.toml")), ids=lambda path: path.stem)
def test_specs_in_the_repository_name_files_that_exist(
    data_dir: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCHENV_DATA", str(data_dir))
    spec = load_spec(path)
    assert spec.name == path.stem
    assert all(file.is_file() for file in spec.corpus)
