"""Text protocols: how a policy writes its moves and reads what the tools return."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from searchenv.errors import ProtocolError, did_you_mean
from searchenv.loading import load_object
from searchenv.protocols.base import (
    CHATML,
    ChatTemplate,
    Message,
    Mode,
    Parsed,
    TextProtocol,
    neutralise,
)
from searchenv.protocols.react import ReAct
from searchenv.protocols.search_r1 import SearchR1
from searchenv.protocols.tool_calls import ToolCalls, ToolFormat

__all__ = [
    "CHATML",
    "PROTOCOLS",
    "ChatTemplate",
    "Message",
    "Mode",
    "Parsed",
    "ReAct",
    "SearchR1",
    "TextProtocol",
    "ToolCalls",
    "ToolFormat",
    "get_protocol",
    "neutralise",
]

PROTOCOLS: Mapping[str, Callable[[], TextProtocol]] = MappingProxyType(
    {
        "react": ReAct,
        "search_r1": SearchR1,
        "tool_calls": ToolCalls,
        "tool_calls_openai": partial(ToolCalls, ToolFormat.OPENAI),
    }
)
"""The general protocols by name; each is made with its defaults."""


def get_protocol(protocol: str | TextProtocol) -> TextProtocol:
    """Returns a protocol by its name, or as ``package.module:Name``; an object as it is.

    A published system brings its own, for example ``searchenv.systems.r1_searcher:R1Searcher``.

    Raises:
        ProtocolError: nothing usable has this name.

    >>> get_protocol("react").name
    'react'
    """
    if isinstance(protocol, TextProtocol):
        return protocol
    if not isinstance(protocol, str):
        raise ProtocolError(
            f"expected a protocol's name or an instance such as SearchR1(), got {protocol!r}"
        )
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol]()
    if ":" not in protocol:
        raise ProtocolError(
            f"no protocol is named {protocol!r}. {did_you_mean(protocol, PROTOCOLS)} "
            "Others are named package.module:Name."
        )
    return _imported(protocol)


def _imported(dotted: str) -> TextProtocol:
    try:
        found = load_object(dotted)
    except ValueError as error:
        raise ProtocolError(f"protocol: {error}") from error
    made = found() if callable(found) else found
    if not isinstance(made, TextProtocol):
        raise ProtocolError(
            f"protocol {dotted!r}: expected a TextProtocol, or a callable without arguments that "
            f"makes one, got {type(made).__name__}"
        )
    return made
