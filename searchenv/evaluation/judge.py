"""Asks a language model about the answers of a run, and keeps its verdicts.

Until every answer has been asked about, the verdicts stand in ``judge.NAME.part.jsonl``; from there
work that was interrupted goes on.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from searchenv.errors import PolicyError, RunError
from searchenv.evaluation.folder import locked, session, whole_lines, write_lines
from searchenv.evaluation.judge_files import (
    FORMAT,
    Judgement,
    Ruling,
    Verdict,
    asked_about,
    digest,
    judgement_path,
    read_verdicts,
    verdict_lines,
)
from searchenv.evaluation.judge_prompts import JudgePrompt
from searchenv.evaluation.run import read_run
from searchenv.policies.generation import Completion, Finish, Generator, sample_seed

__all__ = ["judge_run"]

_BATCH = 64

Key = tuple[str, int]


def judge_run(
    folder: str | os.PathLike[str],
    prompt: JudgePrompt,
    generator: Generator,
    *,
    name: str | None = None,
    retry_failed: bool = False,
    progress: bool = False,
) -> Judgement:
    """Asks about every answer of a whole run that has no verdict yet; returns all verdicts.

    Replies that are there are read again, so that no verdict depends on how they once were read.

    Args:
        folder: of the run.
        prompt: what is asked.
        generator: the judge; with ``concurrency`` it is asked in so many threads.
        name: of the judgement: letters, digits, ``_`` and ``-``; None: the prompt's.
        retry_failed: asks again where the call failed.
        progress: shows a bar with the time left on stderr.

    Raises:
        RunError: the run is not whole, another process is at it, or the folder holds verdicts of
            another prompt or model under this name.
        ValueError: the name has other characters.
    """
    folder, name = Path(folder), name or prompt.name
    final, part = judgement_path(folder, name), judgement_path(folder, name, part=True)
    run = read_run(folder)
    if not run.complete:
        raise RunError(f"the run in {folder} is not whole: play it to its end first")
    header = _header(prompt, generator)
    asked = {record.key: asked_about(prompt, record) for record in run.records}
    with locked(folder):
        verdicts = {
            verdict.key: verdict
            for verdict in _recover(part if whole_lines(part) else final, header, prompt)
            if verdict.key in asked and verdict.asked == digest(asked[verdict.key])
            if not (retry_failed and verdict.ruling is Ruling.FAILED)
        }
        todo = {key: text for key, text in asked.items() if key not in verdicts}
        if todo:
            write_lines(part, verdict_lines(header, verdicts.values()))
            with (
                session(folder / f"judge.{name}.sessions.json", generator, asked=len(todo)),
                part.open("ab") as stream,
                tqdm(total=len(todo), unit="answer", disable=not progress) as bar,
            ):
                for verdict in _verdicts(prompt, generator, todo):
                    verdicts[verdict.key] = verdict
                    stream.write(verdict.line())
                    stream.flush()
                    bar.update()
        ordered = tuple(verdicts[key] for key in asked)
        write_lines(final, verdict_lines(header, ordered))
        part.unlink(missing_ok=True)
    return Judgement(name, header, ordered)


def _header(prompt: JudgePrompt, generator: Generator) -> dict[str, Any]:
    describe = getattr(generator, "describe", None)
    model = describe() if describe else type(generator).__name__
    header = {"format": FORMAT, "prompt": prompt.to_dict(), "model": model}
    as_read: dict[str, Any] = json.loads(json.dumps(header))
    return as_read


def _recover(path: Path, header: Mapping[str, Any], prompt: JudgePrompt) -> list[Verdict]:
    """Returns the verdicts that are there, as their replies are read now."""
    if not whole_lines(path):
        return []
    found, verdicts = read_verdicts(path)
    if different := [key for key in header if found.get(key) != header[key]]:
        shown = "; ".join(
            f"{key}: {found.get(key)!r:.300} there, {header[key]!r:.300} now" for key in different
        )
        raise RunError(f"{path} holds verdicts of another judge ({shown}): choose another name")
    return [
        verdict
        if verdict.reply is None
        else replace(verdict, ruling=_ruling(prompt, verdict.reply, verdict.cut))
        for verdict in verdicts
    ]


def _ruling(prompt: JudgePrompt, reply: str, cut: bool) -> Ruling:
    right = prompt.read(reply, cut=cut)
    if right is None:
        return Ruling.UNPARSABLE
    return Ruling.RIGHT if right else Ruling.WRONG


def _verdicts(
    prompt: JudgePrompt, generator: Generator, todo: Mapping[Key, str | None]
) -> Iterator[Verdict]:
    texts = {key: text for key, text in todo.items() if text is not None}
    for key in todo:
        if key not in texts:
            yield Verdict(*key, Ruling.UNANSWERED)
    for key, said in _replies(generator, texts):
        asked = digest(texts[key])
        if isinstance(said, PolicyError):
            yield Verdict(*key, Ruling.FAILED, asked, error=str(said))
        else:
            cut = said.finish is Finish.LENGTH
            yield Verdict(*key, _ruling(prompt, said.text, cut), asked, said.text, cut)


def _replies(
    generator: Generator, texts: Mapping[Key, str]
) -> Iterator[tuple[Key, Completion | PolicyError]]:
    """Yields what the judge says to each text, as it comes."""
    threads: int = getattr(generator, "concurrency", 0)
    if not threads:
        yield from _replies_in_batches(generator, texts)
        return
    pool = ThreadPoolExecutor(threads, "judge")
    try:
        asked = {pool.submit(_reply, generator, text): key for key, text in texts.items()}
        for future in as_completed(asked):
            yield asked[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _replies_in_batches(
    generator: Generator, texts: Mapping[Key, str]
) -> Iterator[tuple[Key, Completion | PolicyError]]:
    keys = list(texts)
    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        said: Sequence[Completion | PolicyError]
        try:
            said = _generate(generator, [texts[key] for key in batch])
        except PolicyError:
            said = [_reply(generator, texts[key]) for key in batch]
        yield from zip(batch, said, strict=True)


def _reply(generator: Generator, text: str) -> Completion | PolicyError:
    try:
        return _generate(generator, [text])[0]
    except PolicyError as error:
        return error


def _generate(generator: Generator, texts: Sequence[str]) -> list[Completion]:
    seeds = [sample_seed(0, text) for text in texts]
    return [completion for (completion,) in generator.generate(texts, seeds=seeds)]
