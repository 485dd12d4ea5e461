"""``searchenv serve``: indexes over HTTP."""

import argparse
import os
from pathlib import Path

from searchenv.cli.options import Commands
from searchenv.errors import MissingDependencyError
from searchenv.retrieval import Retriever, open_index

__all__ = ["add_commands"]

TOKEN = "SEARCHENV_TOKEN"


def add_commands(commands: Commands) -> None:
    """Adds ``searchenv serve``."""
    parser = commands.add_parser("serve", help="answer searches over HTTP")
    add = parser.add_argument
    add(
        "indexes",
        nargs="+",
        metavar="INDEX",
        help="folder or name of an index, or NAME=FOLDER; the first answers requests without name",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add("--port", type=int, default=8000, help="0 takes any free port (default: 8000)")
    add("--workers", type=int, default=1, help="processes (default: 1)")
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"ask clients for the bearer token in FILE (default: that of ${TOKEN}, if any)",
    )
    add("--max-batch", type=int, default=64, help="queries a search pools (default: 64)")
    add("--max-wait-ms", type=float, default=0.0, help="wait for more of them (default: 0)")
    add("--max-queue", type=int, default=4096, help="unanswered queries at a time (default: 4096)")
    add("--deadline", type=float, default=30.0, help="seconds a request may take (default: 30)")
    add("--remember", type=int, default=16_384, help="answers kept in memory (default: 16384)")
    add("--max-body", type=int, default=4 * 1024 * 1024, help="bytes of a request (default: 4 MiB)")
    add("--max-queries", type=int, default=1024, help="queries of a request (default: 1024)")
    add("--max-k", type=int, default=1000, help="hits a query (default: 1000)")
    add("--grace", type=float, default=30.0, help="seconds to finish when stopped (default: 30)")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from searchenv.serving import BatchOptions, Service, ServiceOptions, serve
    except ImportError as error:
        raise MissingDependencyError(
            f'the service needs more packages: pip install "searchenv[serve]" ({error})'
        ) from error
    options = ServiceOptions(
        batching=BatchOptions(
            max_batch=arguments.max_batch,
            max_wait_ms=arguments.max_wait_ms,
            max_queue=arguments.max_queue,
            deadline_s=arguments.deadline,
            remember=arguments.remember,
        ),
        max_body_bytes=arguments.max_body,
        max_queries=arguments.max_queries,
        max_k=arguments.max_k,
        grace_s=arguments.grace,
    )
    retrievers = _open(arguments.indexes)
    serve(
        Service(retrievers, options, _token(arguments.token_file)),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        announce=lambda address: print(f"serving {', '.join(retrievers)} at {address}", flush=True),
    )
    return 0


def _open(indexes: list[str]) -> dict[str, Retriever]:
    retrievers: dict[str, Retriever] = {}
    for given in indexes:
        name, equals, folder = given.partition("=")
        if not equals:
            name, folder = Path(given).name, given
        if name in retrievers:
            raise ValueError(f"two indexes are named {name!r}: call one of them NAME=FOLDER")
        retrievers[name] = open_index(folder)
    return retrievers


def _token(file: Path | None) -> str | None:
    return os.environ.get(TOKEN) if file is None else file.read_text(encoding="utf-8")
