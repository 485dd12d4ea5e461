"""``searchenv index``: build, verify, search and list indexes."""

import argparse
from pathlib import Path

from searchenv.cli.options import Commands, add_engine
from searchenv.indexing import (
    IndexReport,
    ShardsReport,
    adopt_faiss,
    build_index,
    build_shards,
    build_spec,
    list_indexes,
    load_spec,
    verify_index,
    verify_shards,
)
from searchenv.indexing.faiss_writer import FAISS_TYPES
from searchenv.retrieval import Manifest, TransformersEncoder, index_home, open_index
from searchenv.retrieval.sharded import SHARDS_FILE

__all__ = ["add_commands"]


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv index`` and its commands."""
    _add_index(commands.add_parser("index", help="build, verify, search and list indexes"))


def _index_build(arguments: argparse.Namespace) -> int:
    if (arguments.spec is None) == (arguments.corpus is None):
        raise ValueError("give either SPEC.toml or --corpus FILE with --engine and --out")
    if arguments.shards is not None and (arguments.spec is not None or arguments.replace):
        raise ValueError("--shards needs --corpus, and a folder --out that is not there yet")
    if arguments.spec is not None:
        manifest = build_spec(
            load_spec(arguments.spec), arguments.out, replace=arguments.replace, progress=True
        )
        folder = arguments.out or index_home() / manifest.name
    else:
        if arguments.engine is None or arguments.out is None:
            raise ValueError("--corpus needs --engine lucene|bm25s|faiss and --out DIR")
        if arguments.shards is not None:
            return _build_shards(arguments)
        manifest = build_index(
            arguments.corpus,
            arguments.out,
            engine=arguments.engine,
            encoder=arguments.encoder,
            faiss_type=arguments.faiss_type,
            skip_broken=arguments.skip_broken,
            replace=arguments.replace,
            progress=True,
        )
        folder = arguments.out
    print(f"{folder}: {_describe(manifest)}")
    return 0


def _build_shards(arguments: argparse.Namespace) -> int:
    manifests = build_shards(
        arguments.corpus,
        arguments.out,
        num_shards=arguments.shards,
        engine=arguments.engine,
        encoder=arguments.encoder,
        faiss_type=arguments.faiss_type,
        skip_broken=arguments.skip_broken,
        progress=True,
    )
    for manifest in manifests:
        print(f"{arguments.out / manifest.name}: {_describe(manifest)}")
    return 0


def _index_adopt(arguments: argparse.Namespace) -> int:
    given = arguments.passage_format
    passage_format = None if given is None else given.replace("\\n", "\n")  # shells pass it as is
    encoder = TransformersEncoder(arguments.encoder, passage_format=passage_format)
    manifest = adopt_faiss(
        arguments.faiss,
        arguments.corpus,
        arguments.out,
        encoder=encoder,
        replace=arguments.replace,
    )
    print(f"{arguments.out}: {_describe(manifest)}")
    return 0


def _index_verify(arguments: argparse.Namespace) -> int:
    report: IndexReport | ShardsReport
    if (arguments.index / SHARDS_FILE).is_file():
        report = verify_shards(arguments.index)
        for manifest in report.manifests:
            print(f"{arguments.index / manifest.name}: {_describe(manifest)}")
    else:
        report = verify_index(arguments.index)
        print(f"{arguments.index}: {_describe(report.manifest)}")
    for problem in report.problems:
        print(f"problem: {problem}")
    print("sound" if report.ok else f"{len(report.problems)} problems")
    return 0 if report.ok else 1


def _index_search(arguments: argparse.Namespace) -> int:
    retriever = open_index(arguments.index, engine=arguments.engine, download=arguments.download)
    (hits,) = retriever.search([arguments.query], arguments.k)
    for hit in hits:
        print(f"{hit.rank:>3}  {hit.score:8.4f}  {hit.passage.id}  {hit.passage.title}")
        print(f"     {' '.join(hit.passage.text.split())[:200]}")
    if not hits:
        print("nothing found")
    return 0


def _index_list(arguments: argparse.Namespace) -> int:
    manifests = list_indexes()
    for manifest in manifests:
        print(f"{manifest.name}: {_describe(manifest)}")
    if not manifests:
        print(f"no indexes under {index_home()}")
    return 0


def _describe(manifest: Manifest) -> str:
    dense = manifest.dense
    how = f"k1={manifest.k1} b={manifest.b}" if dense is None else f"{dense.kind}, {dense.encoder}"
    return (
        f"{manifest.engine}, {manifest.num_passages:,} passages, "
        f"{how}, fingerprint {manifest.fingerprint}"
    )


def _add_index(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build an index from a spec or a corpus")
    build.add_argument("spec", nargs="?", type=Path, metavar="SPEC.toml")
    build.add_argument("--corpus", nargs="+", type=Path, metavar="FILE")
    build.add_argument("--out", type=Path, metavar="DIR")
    build.add_argument("--replace", action="store_true", help="replace an index that is there")
    build.add_argument(
        "--skip-broken", action="store_true", help="leave out broken and repeated records"
    )
    add_engine(build, default=None)
    build.add_argument("--encoder", metavar="NAME|DIR", help="of engine faiss: minilm, or any")
    build.add_argument(
        "--faiss-type", choices=FAISS_TYPES, default="flat", help="(default: %(default)s)"
    )
    build.add_argument("--shards", type=int, metavar="N", help="cut the corpus into N indexes")
    build.set_defaults(run=_index_build)

    _add_adopt(commands)

    verify = commands.add_parser("verify", help="check an index, or a folder of shards")
    verify.add_argument("index", type=Path, metavar="DIR")
    verify.set_defaults(run=_index_verify)

    search = commands.add_parser("search", help="search an index once")
    search.add_argument("index", metavar="DIR|NAME")
    search.add_argument("query")
    search.add_argument("--k", type=int, default=5, help="hits to show (default: 5)")
    search.add_argument("--download", action="store_true", help="fetch a Pyserini prebuilt index")
    add_engine(search, default=None)
    search.set_defaults(run=_index_search)

    commands.add_parser("list", help="list the indexes that have a name").set_defaults(
        run=_index_list
    )


def _add_adopt(commands: Commands) -> None:
    adopt = commands.add_parser("adopt", help="make an index of a FAISS file that others built")
    adopt.add_argument("faiss", type=Path, metavar="FAISS", help="the file, or its folder")
    adopt.add_argument("--corpus", nargs="+", type=Path, metavar="FILE", required=True)
    adopt.add_argument("--encoder", metavar="NAME|DIR", required=True)
    adopt.add_argument("--out", type=Path, metavar="DIR", required=True)
    adopt.add_argument("--passage-format", metavar="TEXT", help="such as '\"{title}\" {text}'")
    adopt.add_argument("--replace", action="store_true", help="replace an index that is there")
    adopt.set_defaults(run=_index_adopt)
