"""Passages out of question files, each once, with the questions whose gold passages they are."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from searchenv.errors import QuestionError
from searchenv.questions.link import link_gold
from searchenv.questions.reader import Entry, read_entries, write_questions
from searchenv.types import Gold, Passage, Question

__all__ = ["QuestionCorpus", "question_corpus"]


@dataclass(frozen=True)
class QuestionCorpus:
    """A corpus and the questions over it; made by :func:`question_corpus`."""

    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]
    """With ``Gold.ids`` filled in wherever the corpus has the passage."""

    @property
    def unlinked(self) -> tuple[str, ...]:
        """The ids of questions of which a gold passage is not in the corpus."""
        return tuple(
            question.id
            for question in self.questions
            if not all(gold.ids for gold in question.gold)
        )

    def write(self, out: str | os.PathLike[str], *, replace: bool = False) -> None:
        """Writes the folder ``out`` with ``corpus.jsonl`` and ``questions.jsonl``, or nothing.

        Passages are cleaned as :class:`searchenv.indexing.Corpus` does it for an index.

        Raises:
            FileExistsError: something is at ``out`` and ``replace`` is False.
            QuestionError: there is no passage, or a question cannot be written as JSON in UTF-8.
            CorpusError: a passage has neither title nor text.
        """
        from searchenv.indexing import Corpus  # loads pyarrow
        from searchenv.indexing.publish import new_folder, sole_builder

        if not self.passages:
            raise QuestionError(
                "no passages stand beside these questions: take files with contexts, or give "
                "passages as the base (--base FILE)"
            )
        with sole_builder(Path(out)), new_folder(Path(out), replace=replace) as folder:
            with (folder / "corpus.jsonl").open("w", encoding="utf-8") as lines:
                lines.writelines(
                    json.dumps(passage._asdict(), ensure_ascii=False) + "\n"
                    for passage in Corpus(self.passages)
                )
            write_questions(folder / "questions.jsonl", self.questions)


def question_corpus(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    base: Iterable[Passage] = (),
    format: str | None = None,
    answerable_only: bool = False,
) -> QuestionCorpus:
    """Returns the passages that stand beside the questions of ``files``, and these questions.

    Two passages are one when title and text agree, white space apart. The passages of ``base`` come
    first and keep their ids (a suite's corpus, or more distractors); all others follow in the order
    of the files, and the id of each is made from its content: it is the same in every corpus.

    Gold passages are linked exactly: to the passage that stands beside the very question, under the
    gold title or marked as supporting (MuSiQue). A title that is not there (files without passages,
    HotpotQA's fullwiki setting) is looked up in the whole corpus with
    :func:`searchenv.questions.link_gold`.

    A question that was in an earlier file, with the same id and text, is left out. So are the
    unanswerable twins of MuSiQue-Full and their passages with ``answerable_only``; without, the
    passages of the other twin, in the same corpus, answer them.

    Raises:
        QuestionError: a file is broken, or two different questions have one id.
    """
    pool = _Pool(base)
    questions: dict[str, Question] = {}
    for file in [files] if isinstance(files, str | os.PathLike) else files:
        for entry in read_entries(file, format=format, answerable_only=answerable_only):
            question = replace(entry.question, gold=tuple(pool.gold_of(entry)))
            known = questions.setdefault(question.id, question)
            if known.text != question.text:
                raise QuestionError(
                    f"{file}: the id {question.id!r} is already that of another question, "
                    f"{known.text!r}; make one corpus of files whose ids agree"
                )
    return QuestionCorpus(tuple(pool.passages), link_gold(questions.values(), pool))


class _Pool:
    """Passages by content; ids of the passages with a title, for ``link_gold``."""

    def __init__(self, base: Iterable[Passage]) -> None:
        self.passages: list[Passage] = []
        self._ids: dict[bytes, str] = {}
        for passage in base:
            self._ids.setdefault(_digest(passage.title, passage.text), passage.id)
            self.passages.append(passage)
        self._taken = {passage.id for passage in self.passages}

    def id_of(self, title: str, text: str) -> str:
        """Returns the id of this passage, which becomes one of the pool if it is new."""
        digest = _digest(title, text)
        if digest not in self._ids:
            id_ = digest.hex()
            if id_ in self._taken:
                raise QuestionError(f"the id {id_} of the passage {title!r} is taken in the base")
            self._ids[digest] = id_
            self.passages.append(Passage(id_, title, text))
        return self._ids[digest]

    def gold_of(self, entry: Entry) -> Iterator[Gold]:
        """Yields the gold of a question with the ids of its own passages; takes all of them in."""
        ids = [(each, self.id_of(each.title, each.text)) for each in entry.paragraphs]
        marked = [Gold(each.title, (id_,)) for each, id_ in ids if each.supporting]
        if marked:
            yield from dict.fromkeys(marked)
            return
        for gold in entry.question.gold:
            own = tuple(dict.fromkeys(id_ for each, id_ in ids if each.title == gold.title))
            yield replace(gold, ids=gold.ids or own)

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Returns the ids of the passages that have exactly these titles."""
        found: dict[str, list[str]] = {title: [] for title in titles}
        for passage in self.passages:
            if passage.title in found:
                found[passage.title].append(passage.id)
        return {title: tuple(ids) for title, ids in found.items()}


def _digest(title: str, text: str) -> bytes:
    content = "".join(title.split()) + "\0" + "".join(text.split())
    return hashlib.blake2b(content.encode(errors="surrogatepass"), digest_size=8).digest()
