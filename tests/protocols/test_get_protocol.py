from typing import cast

import pytest

from searchenv.errors import ProtocolError
from searchenv.protocols import PROTOCOLS, ReAct, SearchR1, get_protocol


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_get_protocol_name_gives_the_protocol_of_that_name(name: str) -> None:
    assert get_protocol(name).name == name


def test_get_protocol_instance_is_returned_unchanged() -> None:
    protocol = ReAct()
    assert get_protocol(protocol) is protocol


def test_get_protocol_dotted_name_of_a_published_system() -> None:
    assert get_protocol("searchenv.systems.r1_searcher:R1Searcher").name == "r1_searcher"


def test_get_protocol_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ProtocolError, match=r"named 'serch_r1'\. Did you mean 'search_r1'\?"):
        get_protocol("serch_r1")


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        ("no_such_module_here:X", "that can be imported: No module named"),
        ("searchenv.protocols:Nothing", "that can be imported: .*has no attribute 'Nothing'"),
        (":ReAct", "that can be imported: Empty module name"),
        ("searchenv.protocols:CHATML", "expected a TextProtocol, .* got ChatTemplate"),
    ],
)
def test_get_protocol_dotted_name_that_is_no_protocol(dotted: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        get_protocol(dotted)


def test_get_protocol_class_error_asks_for_an_instance() -> None:
    with pytest.raises(ProtocolError, match=r"an instance such as SearchR1\(\), got <class"):
        get_protocol(cast(str, SearchR1))
