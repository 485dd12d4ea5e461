"""Options that say which language model plays, for every command that may use one."""

import argparse
import json

from searchenv.policies.chat import ChatGenerator
from searchenv.policies.chat_wire import Style
from searchenv.policies.generation import Generator, Sampling

__all__ = ["add_model_options", "make_generator"]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--model`` and what belongs to it, in a group of their own."""
    group = parser.add_argument_group("language model")
    add = group.add_argument
    add("--model", metavar="URL|DIR", help="an OpenAI-compatible server, or a transformers folder")
    add("--model-name", metavar="NAME", help="its name at the server (default: the only one)")
    style = group.add_mutually_exclusive_group()
    for name in Style:
        style.add_argument(
            f"--{name}",
            dest="style",
            action="store_const",
            const=name,
            help=f"prompt it in {name} mode (default: {'a server' if name == 'chat' else 'DIR'})",
        )
    add("--temperature", type=float, default=0.0, help="(default: 0, the most probable token)")
    add("--top-p", type=float, default=1.0, help="(default: 1)")
    add("--max-tokens", type=int, default=512, help="tokens a turn may have (default: 512)")
    add("--concurrency", type=int, default=16, help="requests at once (default: 16)")
    add("--timeout", type=float, default=120.0, help="seconds an attempt may take (default: 120)")
    add("--deadline", type=float, default=600.0, help="seconds with all retries (default: 600)")
    add("--retries", type=int, default=8, help="attempts after the first (default: 8)")
    add("--stream", action="store_true", help="receive texts piece by piece")
    add("--extra", type=json.loads, metavar="JSON", help="further fields of each request")
    add(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the server's key (default: OPENAI_API_KEY)",
    )
    add("--batch-size", type=int, default=16, help="texts at once, of a folder (default: 16)")
    add("--device", default="auto", help="of a folder: auto, cpu, cuda (default: auto)")


def make_generator(arguments: argparse.Namespace) -> Generator | None:
    """Returns the model that the options name; None without ``--model``.

    Raises:
        ValueError: an option is out of range.
    """
    if arguments.model is None:
        return None
    sampling = Sampling(arguments.max_tokens, arguments.temperature, arguments.top_p)
    if not arguments.model.startswith(("http://", "https://")):
        return _local(arguments, sampling)
    return ChatGenerator(
        arguments.model,
        arguments.model_name,
        sampling=sampling,
        style=arguments.style or Style.CHAT,
        stream=arguments.stream,
        concurrency=arguments.concurrency,
        timeout_s=arguments.timeout,
        deadline_s=arguments.deadline,
        retries=arguments.retries,
        extra=arguments.extra,
        api_key_env=arguments.api_key_env,
    )


def _local(arguments: argparse.Namespace, sampling: Sampling) -> Generator:
    from searchenv.policies.local import TransformersGenerator

    return TransformersGenerator(
        arguments.model,
        name=arguments.model_name,
        sampling=sampling,
        style=arguments.style or Style.COMPLETION,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
