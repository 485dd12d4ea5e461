import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv import cli
from searchenv.errors import IndexNotFoundError
from searchenv.indexing import build_index, build_shards, verify_index, verify_shards
from searchenv.types import Passage

TOWNS = [Passage(f"a{i}", f"Title {i}", f"number{i} town") for i in range(12)]
SEAS = [Passage(f"b{i}", f"Title {i}", f"number{i} sea") for i in range(12)]


def folder_of(tmp_path: Path, *parts: Sequence[Passage], engine: str, k1: float = 0.9) -> Path:
    """Returns shards that were built one by one; ``k1`` is of the last one."""
    folder = tmp_path / "shards"
    for number, passages in enumerate(parts):
        last = number == len(parts) - 1
        build_index(passages, folder / str(number), engine=engine, k1=k1 if last else 0.9)
    names = [str(number) for number in range(len(parts))]
    (folder / "shards.json").write_text(json.dumps({"format": 1, "shards": names}))
    return folder


@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_verify_shards_sound(tmp_path: Path, engine: str) -> None:
    manifests = build_shards(TOWNS, tmp_path / "s", num_shards=3, engine=engine)
    report = verify_shards(tmp_path / "s")
    assert (report.ok, report.problems, report.manifests) == (True, (), tuple(manifests))


def test_verify_shards_names_the_shard_that_is_damaged(tmp_path: Path) -> None:
    build_shards(TOWNS, tmp_path / "s", num_shards=3, engine="bm25s")
    (tmp_path / "s" / "shard-1" / "manifest.json").unlink()
    (tmp_path / "s" / "shard-2" / "bm25s" / "docid_ranks.npy").unlink()
    report = verify_shards(tmp_path / "s")
    assert [manifest.name for manifest in report.manifests] == ["shard-0", "shard-2"]
    assert report.problems[0].startswith("shard-1: no manifest.json in")
    assert report.problems[1].startswith("shard-2: ")
    assert "docid_ranks.npy" in report.problems[1]


def test_verify_shards_finds_that_they_were_built_otherwise(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, TOWNS, SEAS, engine="lucene", k1=1.2)
    assert verify_index(folder / "1").ok
    (problem,) = verify_shards(folder).problems
    assert problem.startswith("the scores of shard 1 do not compare with those of shard 0")
    assert "k1 1.2" in problem


def test_verify_shards_finds_passages_in_two_of_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, TOWNS, [*SEAS, *TOWNS[4:6]], engine="lucene")
    (problem,) = verify_shards(folder).problems
    assert problem == "2 passages are in more than one shard, first: 'a4'"


def test_verify_shards_finds_statistics_of_a_part(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, TOWNS, SEAS, engine="bm25s")
    (problem,) = verify_shards(folder).problems
    assert problem.startswith("the scores do not rest on the statistics of these passages")


def test_verify_shards_finds_that_a_shard_was_left_out(tmp_path: Path) -> None:
    build_shards([*TOWNS, *SEAS], tmp_path / "s", num_shards=3, engine="bm25s")
    (tmp_path / "s" / "shards.json").write_text('{"format": 1, "shards": ["shard-0", "shard-2"]}')
    (problem,) = verify_shards(tmp_path / "s").problems
    assert problem.startswith("the scores do not rest on the statistics of these passages")


def test_verify_shards_of_a_plain_index_is_an_error(tmp_path: Path) -> None:
    build_index(TOWNS, tmp_path / "i", engine="bm25s")
    with pytest.raises(IndexNotFoundError, match=r"no shards\.json in"):
        verify_shards(tmp_path / "i")


def test_commands_build_and_verify_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = tmp_path / "towns.jsonl", str(tmp_path / "s")
    records = [json.dumps(passage._asdict()) for passage in TOWNS]
    corpus.write_text("\n".join([*records, "broken"]))
    build = ["index", "build", "--corpus", str(corpus), "--engine", "bm25s", "--out", out]
    assert cli.main([*build, "--shards", "2"]) == 2
    assert not Path(out).exists()
    assert cli.main([*build, "--shards", "2", "--skip-broken"]) == 0
    shown = capsys.readouterr().out
    assert f"{out}/shard-0: bm25s, 6 passages, k1=0.9 b=0.4, fingerprint" in shown
    assert cli.main(["index", "verify", out]) == 0
    assert capsys.readouterr().out == f"{shown}sound\n"
    (tmp_path / "s" / "shard-1" / "manifest.json").unlink()
    assert cli.main(["index", "verify", out]) == 1
    assert "problem: shard-1: no manifest.json" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--replace"], ["spec.toml"]])
def test_command_refuses_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    given = ["--corpus", "c", "--engine", "lucene"] if wrong == ["--replace"] else []
    command = ["index", "build", *wrong, *given, "--out", str(tmp_path / "s"), "--shards", "2"]
    assert cli.main(command) == 2
    assert (
        "--shards needs --corpus, and a folder --out that is not there" in capsys.readouterr().err
    )
