"""From a page of the web to the stretch of plain text that a query asks for."""

import re
from typing import TYPE_CHECKING

from searchenv.errors import MissingDependencyError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

__all__ = ["html_parser", "page_text", "shorten"]

_LEFT_OUT = "script,style,noscript,template,svg,iframe,nav,header,footer,aside,form,button,select"
_BLOCKS = (
    "p,div,br,li,h1,h2,h3,h4,h5,h6,tr,table,section,article,blockquote,pre,dd,dt,figcaption,title"
)
_MAX_DEPTH = 2_000
_TAG = re.compile(r"<(/?)([a-zA-Z]+)")
# elements that have no end tag, or whose end tag many pages leave out
# fmt: off
_NOT_NESTED = frozenset([
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
    "meta", "option", "p", "source", "td", "th", "tr", "wbr",
])
# fmt: on


def page_text(html: str) -> str:
    r"""Returns the text that a reader sees, one block a line, without menus and forms.

    >>> page_text("<nav>Home</nav><h1>Issel</h1><p>A <b>river</b>.<br>It is long.")
    'Issel\nA river.\nIt is long.'

    Raises:
        MissingDependencyError: selectolax is not installed.
        ValueError: the elements are nested thousands deep.
    """
    _check_depth(html)
    tree = html_parser()(html)
    for node in tree.css(_LEFT_OUT):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_before("\n")
        node.insert_after("\n")
    for node in tree.css("td,th"):
        node.insert_after(" ")
    text = tree.body.text() if tree.body is not None else ""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def html_parser() -> "type[LexborHTMLParser]":
    """Returns the class that parses pages; MissingDependencyError where it is not installed."""
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise MissingDependencyError(
            f'reading pages needs selectolax: pip install "searchenv[web]" ({error})'
        ) from error
    return LexborHTMLParser


def shorten(text: str, query: str, max_chars: int) -> str:
    """Returns the stretch of at most ``max_chars`` that holds the most words of the query.

    It begins and ends with whole sentences or lines where these are not longer than ``max_chars``;
    of equal stretches the first is taken.

    >>> shorten("It rained. Orla Fenwick was born in Dunmarrow. It snowed.", "Orla born", 40)
    'Orla Fenwick was born in Dunmarrow.'
    """
    if len(text) <= max_chars:
        return text
    wanted = _words(query)
    sentences = re.split(r"(?<=[.!?])\s+|\n+", text)
    pieces = [s[i : i + max_chars] for s in sentences for i in range(0, len(s), max_chars)]
    words = [wanted & _words(piece) for piece in pieces]
    best, best_count = (0, 0), -1
    end, length = 0, -1  # of the stretch that begins at ``start``
    for start, piece in enumerate(pieces):
        while end < len(pieces) and length + 1 + len(pieces[end]) <= max_chars:
            length += 1 + len(pieces[end])
            end += 1
        count = len(set().union(*words[start:end]))
        if count > best_count:
            best, best_count = (start, end), count
        length -= 1 + len(piece)
    return " ".join(pieces[best[0] : best[1]])


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _check_depth(html: str) -> None:
    """Refuses a page that a parser would need minutes for: its time grows with depth squared."""
    depth = 0
    for closing, name in _TAG.findall(html):
        if name.lower() not in _NOT_NESTED:
            depth += -1 if closing else 1
            if depth > _MAX_DEPTH:
                raise ValueError(f"elements are nested more than {_MAX_DEPTH} deep")
            depth = max(depth, 0)
