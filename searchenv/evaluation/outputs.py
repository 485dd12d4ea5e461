"""Output files of other projects as one kind of row.

- R1-Searcher: ``question``, ``answer``, ``pred_ans``, ``stop_reason_final``, ``gen_text_store``.
- FlashRAG's ``intermediate_data.json`` (RUC-NLPIR/FlashRAG, ``flashrag/dataset/dataset.py``):
  ``golden_answers`` and ``output`` with ``pred`` and what the pipeline left. Pipelines that search
  step by step keep ``retrieval_results`` (query and passages of each step) or the transcript, under
  ``final_response`` or ``prompt``. Others keep the passages of the last search in
  ``retrieval_result``, which does not say how many there were; Iter-RetGen those of each round.
- verl's dumps of generations, one line an answer, which runs of Search-R1's recipe write: ``gts``
  (the gold answers as the rows of the data set have them) and ``output``, the transcript.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from searchenv.errors import RunError
from searchenv.questions.files import read_records

__all__ = [
    "FLASHRAG_ROUND",
    "Output",
    "count_r1_searches",
    "read_flashrag",
    "read_r1_searcher",
    "read_search_r1",
]

# The prompt and passages may name the tags; only a query that was answered has them side by side.
_R1_SEARCH = re.compile(r"<\|end_of_query\|>\s*<\|begin_of_documents\|>\n")
_SEARCH = re.compile(r"</search>\s*<information>|" + _R1_SEARCH.pattern)
_INFORMATION = re.compile(r"<information>.*?(?:</information>|\Z)", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)

FLASHRAG_ROUND = "retrieval_result_iter_"
"""What the names of the fields begin with that hold what each round of Iter-RetGen found."""

_Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Output:
    """One answer of another project's agent."""

    prediction: str | None
    """None where the agent gave none."""
    answers: Sequence[str]
    """The gold answers."""
    stop: str
    """Why it ended, in the words of its project."""
    searches: int | None
    """None where the file does not say."""
    verdict: str | None = None
    """What a judge said, in lower case."""
    transcript: str | None = None
    """All that the agent read and wrote, where the file has it; it may begin with the prompt."""
    where: str = ""
    """File and line, for messages."""
    record: Mapping[str, object] = field(default_factory=dict)
    """The row as it stands in the file."""


def count_r1_searches(transcript: str) -> int:
    """Returns how many queries were answered with documents in a text with R1-Searcher's tags."""
    return len(_R1_SEARCH.findall(transcript))


def read_r1_searcher(source: str, verdict: str) -> list[Output]:
    """Returns the rows of R1-Searcher's outputs; ``verdict`` is the field of a judge."""

    def parse(record: _Record, where: str) -> Output:
        _text(record, "question", where)
        said, store = record.get(verdict), None
        if record.get("gen_text_store") is not None:
            store = _text(record, "gen_text_store", where)
        return Output(
            prediction=_text(record, "pred_ans", where),
            answers=_answers(record, "answer", where),
            stop=_text(record, "stop_reason_final", where),
            searches=None if store is None else count_r1_searches(store),
            verdict=None if said is None else str(said).strip().rstrip(".").lower(),
            transcript=store,
        )

    return list(_rows(source, parse))


def read_flashrag(source: str) -> list[Output]:
    """Returns the rows of FlashRAG's outputs."""

    def parse(record: _Record, where: str) -> Output:
        output = record.get("output")
        if not isinstance(output, Mapping):
            raise RunError(f"{where}: expected an object in 'output', got {output!r:.60}")
        stop = output.get("finish_reason") or output.get("stop_reason")
        return Output(
            prediction=_text(output, "pred", f"{where}, output"),
            answers=_answers(record, "golden_answers", where),
            stop=stop if isinstance(stop, str) else "not told",
            searches=_flashrag_searches(output),
            transcript=_flashrag_transcript(output),
        )

    return list(_rows(source, parse))


def _flashrag_searches(output: _Record) -> int | None:
    found = output.get("retrieval_results")
    if isinstance(found, Mapping):
        return len(found)
    if rounds := sum(name.startswith(FLASHRAG_ROUND) for name in output):
        return rounds
    text = _flashrag_transcript(output)
    return None if text is None else len(_SEARCH.findall(text))


def _flashrag_transcript(output: _Record) -> str | None:
    # Pipelines that retrieve before they prompt leave a prompt that is no transcript.
    prompt = None if "retrieval_result" in output else output.get("prompt")
    text = output.get("final_response", prompt)
    return text if isinstance(text, str) else None


def read_search_r1(source: str) -> list[Output]:
    """Returns the rows of verl's dumps of transcripts with Search-R1's tags.

    The answer is the last one outside of retrieved passages. Search-R1's script
    (``verl/utils/reward_score/qa_em.py``) looks inside of them too.
    """

    def parse(record: _Record, where: str) -> Output:
        text = _text(record, "output", where)
        truth = record.get("gts")
        gold = truth if isinstance(truth, Mapping) else {"target": truth}
        answers = _ANSWER.findall(_INFORMATION.sub("", text))
        return Output(
            prediction=answers[-1].strip() if answers else None,
            answers=_answers(gold, "target", f"{where}, gts"),
            stop="answer" if answers else "no answer",
            searches=len(_SEARCH.findall(text)),
            transcript=text,
        )

    return list(_rows(source, parse))


def _rows(source: str, parse: Callable[[_Record, str], Output]) -> Iterator[Output]:
    where = ""
    for where, record in read_records(source):
        place = f"{source}, {where}"
        yield replace(parse(record, place), where=place, record=record)
    if not where:
        raise RunError(f"{source} has no rows: expected one output a line, or a list of them")


def _text(record: _Record, field: str, where: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        got = f"{value!r:.60}" if field in record else f"only {', '.join(record) or 'no fields'}"
        raise RunError(f"{where}: expected a text in {field!r}, got {got}")
    return value


def _answers(record: _Record, field: str, where: str) -> Sequence[str]:
    value = record.get(field)
    if not isinstance(value, list):
        return (_text(record, field, where),)
    if not value or not all(isinstance(each, str) for each in value):
        raise RunError(f"{where}: expected gold answers as texts in {field!r}, got {value!r:.60}")
    return value
