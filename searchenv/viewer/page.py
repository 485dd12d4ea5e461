"""A run as one HTML file that needs no server and no network.

The records stand in the page as JSON; ``page.js`` builds what is seen from them with text nodes
only, so that nothing in a passage can become markup. The content security policy of the page
allows its own script, by hash, and no request to anywhere.
"""

import base64
import hashlib
import html
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from searchenv.evaluation.judge_files import (
    Judgement,
    judgement_names,
    read_judgement,
    scored,
)
from searchenv.evaluation.records import Record
from searchenv.evaluation.run import Run, read_run
from searchenv.evaluation.statistics import summarize

__all__ = ["render_page", "write_page"]

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'sha256-{hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
<body>
<noscript>This page needs JavaScript to show the run.</noscript>
<script type="application/json" id="run">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def write_page(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> Run:
    """Writes the page of the run in ``folder`` to the file ``out`` and returns the run.

    A run that is not whole is shown as far as it has come, and the page says so. The verdicts of
    all judges in the folder are shown, save those on answers that have changed since.

    Raises:
        RunError: there is no run, or a line of it or of a judge is broken.
    """
    run, out = read_run(folder), Path(out)
    judgements = [read_judgement(folder, name) for name in judgement_names(folder)]
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.write_text(render_page(run, judgements), encoding="utf-8", newline="\n")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return run


def render_page(run: Run, judgements: Sequence[Judgement] = ()) -> str:
    """Returns the page of a run as HTML; equal runs and verdicts give equal pages."""
    room = files("searchenv.viewer")
    script = room.joinpath("page.js").read_text(encoding="utf-8")
    name, policy = run.header.get("name", "run"), run.header.get("policy", {}).get("name", "")
    return _PAGE.format(
        hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=html.escape(f"{policy} on {name}" if policy else str(name)),
        style=room.joinpath("page.css").read_text(encoding="utf-8"),
        # Without "<" in it no text can end the script element that holds the JSON.
        data=json.dumps(_data(run, judgements)).replace("<", "\\u003c"),
        script=script,
    )


def _data(run: Run, judgements: Sequence[Judgement]) -> dict[str, object]:
    records = run.records
    for judgement in judgements:
        records = tuple(scored(record, judgement) for record in records)
    means = summarize(records).means if records else {}
    planned = run.header.get("questions", {}).get("n", 0) * run.header.get("samples", 1)
    judges = {each.name: each.header for each in judgements}
    return {
        "header": {**run.header, "judges": judges} if judges else run.header,
        "complete": run.complete,
        "planned": planned,
        "means": [[name, m.mean, m.low, m.high, m.n] for name, m in means.items()],
        "judges": list(judges),
        "records": [_record(record, judgements) for record in records],
    }


def _record(record: Record, judgements: Sequence[Judgement]) -> dict[str, object]:
    segments = [[s.source.value, s.text, s.trained] for s in record.result.segments]
    judges = {
        each.name: [verdict.ruling.value, verdict.reply or verdict.error]
        for each in judgements
        if (verdict := each.of(record)) is not None
    }
    return {
        **record.to_dict(),
        "segments": segments,
        "failed": record.outcome.failed,
        "judges": judges,
    }
