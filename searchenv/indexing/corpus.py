"""From corpus files to passages: layouts, ids, cleaning, and a report of what is wrong."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from searchenv.errors import CorpusError
from searchenv.indexing.files import read_records
from searchenv.retrieval.stored import split_contents
from searchenv.types import Passage

__all__ = ["Corpus"]

_SHOWN_PROBLEMS = 5
_ID_FIELDS = ("id", "_id", "wikipedia_id")
_TITLE_FIELDS = ("title", "wikipedia_title")
_CONTROL = "".join(map(chr, range(33)))  # what Lucene takes for blank


class Corpus:
    """Passages ready to be indexed; iterate over it once.

    Layouts: ``{"id", "contents"}`` (the first of several lines of ``contents`` is the title),
    ``{"id" or "_id", "title", "text"}``, where ``text`` may be a list of paragraphs, and the same
    without any id: such a passage gets its place among all records as id, ``"00000000"`` for the
    first.

    Cleaning: a NUL in title or text becomes a space and a lone surrogate U+FFFD. Broken are: a
    record that cannot be read; an id that is empty, is neither string nor integer, holds a control
    character or a lone surrogate, or was there before; a passage with neither title nor text.

    Memory: the ids seen so far (16 bytes each and what a Python set adds, about 100 bytes
        together), nothing else.

    Args:
        source: files, or passages that are already made.
        skip_broken: leave out broken records and count them. By default the first five are looked
            for, then an error names them.
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path] | Iterable[Passage],
        *,
        skip_broken: bool = False,
    ) -> None:
        self._source: Iterable[str | Path | Passage] = (
            [source] if isinstance(source, str | Path) else source
        )
        self._skip_broken = skip_broken
        self.num_skipped = 0
        self.problems: list[str] = []
        """The first few broken records, with file and line."""
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Returns the digest of all passages that were yielded."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Passage]:
        seen: set[bytes] = set()
        for position, (place, fields, problem) in enumerate(self._records()):
            try:
                passage = _passage(fields, position, problem)
                _note_id(passage.id, seen)
            except CorpusError as error:
                self._note_problem(f"{place}: {error}")
                continue
            if self.num_skipped == 0 or self._skip_broken:
                add_to_hash(self._hash, passage)
                yield passage
        if self.num_skipped and not self._skip_broken:
            raise CorpusError(self._report())

    def _records(self) -> Iterator[tuple[str, Mapping[str, object], str]]:
        for number, item in enumerate(self._source, start=1):
            if isinstance(item, str | Path):
                for record in read_records(Path(item)):
                    yield f"{item}, line {record.line}", record.fields, record.problem
            else:
                yield f"passage {number}", Passage._asdict(item), ""

    def _note_problem(self, problem: str) -> None:
        self.num_skipped += 1
        if len(self.problems) < _SHOWN_PROBLEMS:
            self.problems.append(problem)
        if len(self.problems) == _SHOWN_PROBLEMS and not self._skip_broken:
            raise CorpusError(self._report())

    def _report(self) -> str:
        listed = "\n  ".join(self.problems)
        return (
            f"broken records in the corpus:\n  {listed}\n"
            "Mend them, or leave them out with skip_broken=True (--skip-broken)"
        )


def add_to_hash(digest: "hashlib._Hash", passage: Passage) -> None:
    """Adds one passage to a running digest of a corpus."""
    for value in passage:
        data = value.encode()
        digest.update(b"%d:" % len(data))
        digest.update(data)


def _passage(fields: Mapping[str, object], position: int, problem: str) -> Passage:
    if problem:
        raise CorpusError(problem)
    title_field = next((name for name in _TITLE_FIELDS if name in fields), "")
    title = _text(fields.get(title_field), "title")
    if "contents" in fields and "text" not in fields:
        contents = _text(fields["contents"], "contents")
        title, text = (title, contents) if title else split_contents(contents)
    elif "text" in fields:
        text = _text(fields["text"], "text")
    else:
        raise CorpusError(f"neither 'text' nor 'contents' among the fields {sorted(fields)}")
    if not (title.strip(_CONTROL) or text.strip(_CONTROL)):
        raise CorpusError("neither title nor text")
    return Passage(_docid(fields, position), title, text)


def _docid(fields: Mapping[str, object], position: int) -> str:
    name = next((name for name in _ID_FIELDS if name in fields), None)
    if name is None:
        return f"{position:08d}"
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CorpusError(f"the id must be a string or an integer, got {value!r}")
    docid = str(value)
    if not docid:
        raise CorpusError("the id is empty")
    if any(ch < " " or "\ud800" <= ch <= "\udfff" for ch in docid):
        raise CorpusError(f"the id {docid!r} holds a control character or a lone surrogate")
    return docid


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n".join(part.strip() for part in value)
    if not isinstance(value, str):
        raise CorpusError(f"{name!r} must be a string, got {type(value).__name__}")
    value = value.replace("\0", " ")
    if not value.isascii():
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _note_id(docid: str, seen: set[bytes]) -> None:
    digest = hashlib.blake2b(docid.encode(), digest_size=16).digest()
    if digest in seen:
        raise CorpusError(f"the id {docid!r} was there before")
    seen.add(digest)
