"""Records as one file: json lines, or a parquet table."""

import json
import os
from collections.abc import Sequence

from searchenv.evaluation import Record
from searchenv.exports.whole import whole_file

__all__ = ["export_jsonl", "export_parquet"]


def export_jsonl(records: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Writes one record a line; ``Record.of_dict`` of a line is a record equal to the first."""
    with whole_file(path) as part, part.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(json.dumps(record.to_dict()) + "\n" for record in records)


def export_parquet(records: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Writes one record a row.

    The columns are ``id``, ``sample``, ``question``, ``answers``, ``protocol``, ``stop``,
    ``answer``, ``error``, ``gold_recall``, ``turns`` (their number), ``transcript``, ``scores``
    and ``terms`` (maps from a name to a number), and ``record``, the line of
    :func:`export_jsonl`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = pa.map_(pa.string(), pa.float64())
    types = {
        **dict.fromkeys(("id", "question", "protocol", "stop"), pa.string()),
        **dict.fromkeys(("answer", "error", "transcript", "record"), pa.string()),
        **dict.fromkeys(("sample", "turns"), pa.int64()),
        **dict.fromkeys(("scores", "terms"), numbers),
        "answers": pa.list_(pa.string()),
        "gold_recall": pa.float64(),
    }
    table = pa.Table.from_pylist([_row(record) for record in records], pa.schema(types))
    with whole_file(path) as part:
        pq.write_table(table, part)


def _row(record: Record) -> dict[str, object]:
    result, outcome = record.result, record.outcome
    return {
        "id": result.question.id,
        "sample": record.sample,
        "question": result.question.text,
        "answers": list(result.question.answers),
        "protocol": result.protocol,
        "stop": result.stop.value,
        "answer": result.answer,
        "error": result.error,
        "gold_recall": outcome.gold_recall,
        "turns": len(result.turns),
        "transcript": "".join(segment.text for segment in result.segments),
        "scores": list(outcome.scores.items()),
        "terms": list(outcome.terms.items()),
        "record": json.dumps(record.to_dict()),
    }
