"""A judge on the answers of a run: over HTTP, interrupted, failing, recorded, and printed."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from searchenv.cli import main
from searchenv.errors import PolicyError, RunError
from searchenv.evaluation import read_run
from searchenv.evaluation.judge import judge_run
from searchenv.evaluation.judge_agreement import Agreement, agreement
from searchenv.evaluation.judge_files import (
    Ruling,
    judgement_names,
    read_judgement,
    with_verdicts,
)
from searchenv.evaluation.judge_prompts import get_judge_prompt
from searchenv.evaluation.judge_replies import RecordedReplies
from searchenv.policies.chat import ChatGenerator
from searchenv.policies.generation import Completion, Finish, Prompt
from tests.evaluation.judging import JudgeServer, judge_server, play_answers

PROMPT = get_judge_prompt("r1_searcher")
# By cover-EM q1, q2 and q5 are right.
ANSWERS: dict[str, tuple[Sequence[str], str | None]] = {
    "q1": (["Orla Fenwick"], "Orla Fenwick"),
    "q2": (["Issel"], "It is not the Issel"),
    "q3": (["United States", "America"], "the U.S."),
    "q4": (["1962"], None),
    "q5": (["yes"], "yes"),
    "q6": (["Dunmarrow"], "Elmfirth"),
}
EXCHANGES: dict[str, str | int] = {
    "q1?": "True",
    "q2?": "False, it is called another river.",
    "q3?": "**True**",
    "q5?": "I cannot tell.",
    "q6?": 500,
}
RULINGS = ["right", "wrong", "right", "unanswered", "unparsable", "failed"]


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with judge_server(EXCHANGES) as serving:
        yield serving


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    play_answers(folder, ANSWERS)
    return folder


def judge(server: JudgeServer, model: str = "tiny") -> ChatGenerator:
    return ChatGenerator(server.url, model, retries=0)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_answer_has_one_line_and_none_is_silently_wrong(
    server: JudgeServer, run: Path
) -> None:
    judgement = judge_run(run, PROMPT, judge(server))
    assert [verdict.ruling for verdict in judgement.verdicts] == RULINGS
    assert [verdict.value for verdict in judgement.verdicts] == [1.0, 0.0, 1.0, 0.0, None, None]
    assert server.asked == ["q1?", "q2?", "q3?", "q5?", "q6?"]
    header, *verdicts = lines(run / "judge.r1_searcher.jsonl")
    assert header["model"]["model"] == "tiny"
    assert header["prompt"] == PROMPT.to_dict()
    assert [verdict["id"] for verdict in verdicts] == list(ANSWERS)
    assert [verdict["reply"] for verdict in verdicts[3:5]] == [None, "I cannot tell."]
    assert "1 attempts failed; the last: HTTP 500" in verdicts[5]["error"]
    assert read_judgement(run, "r1_searcher") == judgement
    assert judgement_names(run) == ["r1_searcher"]
    (session,) = json.loads((run / "judge.r1_searcher.sessions.json").read_text())
    assert (session["asked"], session["usage"]["failed_requests"]) == (6, 1)


def test_the_judge_reads_question_answers_and_prediction(server: JudgeServer, run: Path) -> None:
    judge_run(run, PROMPT, judge(server))
    (body,) = [body for body in server.bodies if server.question(body) == "q3?"]
    (message,) = body["messages"]
    assert message["role"] == "user"
    assert "Reference answers: United States; America\nAnswer to check: the U.S.\n" in str(
        message["content"]
    )
    assert body["temperature"] == 0


def test_nothing_is_asked_twice_unless_it_failed(server: JudgeServer, run: Path) -> None:
    first = judge_run(run, PROMPT, judge(server))
    server.bodies.clear()
    assert judge_run(run, PROMPT, judge(server)) == first
    assert server.asked == []
    server.exchanges["q6?"] = "False"
    again = judge_run(run, PROMPT, judge(server), retry_failed=True)
    assert server.asked == ["q6?"]
    assert [verdict.ruling for verdict in again.verdicts] == [*RULINGS[:5], "wrong"]


def test_interrupted_work_goes_on_and_leaves_the_same_file(server: JudgeServer, run: Path) -> None:
    judge_run(run, PROMPT, judge(server))
    whole = run / "judge.r1_searcher.jsonl"
    content = whole.read_bytes()
    kept = content.splitlines(keepends=True)
    whole.unlink()
    # killed while it wrote the verdict on q3
    part = run / "judge.r1_searcher.part.jsonl"
    part.write_bytes(b"".join(kept[:3]) + kept[3][:20])
    assert judgement_names(run) == []
    server.bodies.clear()
    judge_run(run, PROMPT, judge(server))
    assert server.asked == ["q3?", "q5?", "q6?"]
    assert whole.read_bytes() == content
    assert not part.exists()


@pytest.mark.parametrize("unfinished", [False, True])
def test_verdicts_of_another_judge_are_not_mixed_in(
    server: JudgeServer, run: Path, unfinished: bool
) -> None:
    judge_run(run, PROMPT, judge(server), name="both")
    whole = run / "judge.both.jsonl"
    if unfinished:
        whole = whole.rename(run / "judge.both.part.jsonl")
    content = whole.read_bytes()
    with pytest.raises(RunError, match=r"another judge \(model: .*'tiny'.* there, .*'large'.* now"):
        judge_run(run, PROMPT, judge(server, "large"), name="both")
    with pytest.raises(RunError, match=r"another judge \(prompt: .*r1_searcher.*deepmmsearch_r1"):
        judge_run(run, get_judge_prompt("deepmmsearch_r1"), judge(server), name="both")
    assert whole.read_bytes() == content


def test_a_verdict_does_not_outlive_its_answer(
    server: JudgeServer, run: Path, tmp_path: Path
) -> None:
    judgement = judge_run(run, PROMPT, judge(server))
    changed = play_answers(tmp_path / "changed", {**ANSWERS, "q1": (["Orla Fenwick"], "Orla F.")})
    with pytest.raises(RunError, match="no verdict on the answer to 'q1' as it is now"):
        with_verdicts(changed.records, judgement)
    (run / "results.jsonl").write_bytes((tmp_path / "changed" / "results.jsonl").read_bytes())
    server.bodies.clear()
    judge_run(run, PROMPT, judge(server))
    assert server.asked == ["q1?"]


def test_recorded_replies_judge_without_a_server(
    server: JudgeServer, run: Path, tmp_path: Path
) -> None:
    judged = judge_run(run, PROMPT, judge(server))
    recorded = run / "judge.r1_searcher.jsonl"
    play_answers(tmp_path / "other", {"q2": ANSWERS["q2"], "q6": ANSWERS["q6"]})
    server.bodies.clear()
    replayed = judge_run(tmp_path / "other", PROMPT, RecordedReplies(recorded))
    assert server.bodies == []
    assert replayed.header == judged.header
    assert [verdict.ruling for verdict in replayed.verdicts] == ["wrong", "failed"]
    assert replayed.verdicts[1].error == f"{recorded} holds no reply to this question and answer"


def test_replies_that_are_kept_are_read_again(server: JudgeServer, run: Path) -> None:
    judge_run(run, PROMPT, judge(server))
    path = run / "judge.r1_searcher.jsonl"
    path.write_text(path.read_text().replace('"ruling": "right"', '"ruling": "wrong"'))
    judgement = judge_run(run, PROMPT, RecordedReplies(path))
    assert [verdict.ruling for verdict in judgement.verdicts] == RULINGS


class Batches:
    """A judge that is asked for many answers at once and cannot read the longest."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        stop: Sequence[str] = (),
        include_stop: bool = True,
        forbid: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        n: int = 1,
    ) -> list[list[Completion]]:
        self.sizes.append(len(prompts))
        if any("It is not the Issel" in str(prompt) for prompt in prompts):
            raise PolicyError("the prompt is too long")
        return [[Completion("They agree: True", Finish.LENGTH)] for _ in prompts]


def test_a_judge_without_concurrency_gets_batches_and_fails_for_one_answer_only(run: Path) -> None:
    batches = Batches()
    judgement = judge_run(run, PROMPT, batches)
    assert batches.sizes == [5, 1, 1, 1, 1, 1]
    assert judgement.header["model"] == "Batches"
    cut = Ruling.UNPARSABLE
    assert [v.ruling for v in judgement.verdicts] == [cut, "failed", cut, "unanswered", cut, cut]
    assert [v.cut for v in judgement.verdicts] == [True, False, True, False, True, True]


def test_agreement_counts_answers_that_both_have_judged(server: JudgeServer, run: Path) -> None:
    judgement = judge_run(run, PROMPT, judge(server))
    judged = with_verdicts(read_run(run).records, judgement)
    assert agreement(judged, judgement.measure) == Agreement(
        both=1, judge_only=1, scorer_only=1, neither=0
    )


def test_kappa_is_agreement_beyond_chance() -> None:
    # 7 of 10 agree; by chance 0.6 * 0.5 + 0.4 * 0.5 = 0.5 would
    found = Agreement(both=4, judge_only=2, scorer_only=1, neither=3)
    assert (found.share, found.kappa) == (0.7, 0.4)
    opposite = Agreement(both=0, judge_only=5, scorer_only=5, neither=0)
    assert (opposite.share, opposite.kappa) == (0.0, -1.0)
    assert Agreement(both=3, judge_only=0, scorer_only=0, neither=0).kappa is None
    nothing = Agreement(both=0, judge_only=0, scorer_only=0, neither=0)
    assert (nothing.share, nothing.kappa) == (None, None)


# Of four verdicts two are right. q1 both right, q2 by cover-EM only, q3 by the judge only: by
# chance 2/3 * 2/3 + 1/3 * 1/3 = 5/9, and (1/3 - 5/9) / (4/9) = -0.5.
PRINTED = """\
judge_r1_searcher  0.500  [0.000, 1.000]  n=4
6 episodes: 2 right, 1 wrong, 1 unanswered, 1 unparsable, 1 failed
  unparsable: q5: 'I cannot tell.'
  failed: q6: '{url}/v1: 1 attempts failed; the last: HTTP 500: {{}}'
  these count neither as right nor as wrong: the mean is over the others
agrees with cover_em_r1 on 1 of 3 answers (33.3 %), Cohen's kappa -0.500
              scorer right  scorer wrong
judge right              1             1
judge wrong              1             0
verdicts: {run}/judge.r1_searcher.jsonl
"""


def test_the_command_prints_what_the_verdicts_come_to(
    server: JudgeServer, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", server.url, "--model-name", "tiny", "--retries", "0"]
    assert main(["judge", str(run), *words]) == 0
    assert capsys.readouterr().out == PRINTED.format(url=server.url, run=run)
    recorded = str((run / "judge.r1_searcher.jsonl").rename(run.with_name("judge.old.jsonl")))
    assert main(["judge", str(run), "--replay", recorded]) == 0
    assert capsys.readouterr().out.startswith("judge_old  0.500  [0.000, 1.000]  n=4\n")
    assert main(["judge", str(run), "--replay", recorded, "--name", "new"]) == 0
    assert judgement_names(run) == ["new", "old"]


def test_the_wording_and_the_words_come_from_a_file(
    server: JudgeServer, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.txt").write_text("Question: {question}\n{answers} or {prediction}?")
    server.exchanges = dict.fromkeys(server.exchanges, "Incorrect")
    words = ["--model", server.url, "--model-name", "tiny"]
    own = ["--prompt-file", str(tmp_path / "own.txt"), "--words", "Correct", "Incorrect"]
    assert main(["judge", str(run), *words, *own]) == 0
    assert "6 episodes: 0 right, 5 wrong, 1 unanswered" in capsys.readouterr().out
    assert judgement_names(run) == ["own"]


def test_a_judge_that_never_answers_is_a_failure(
    server: JudgeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play_answers(tmp_path / "run", {"q6": ANSWERS["q6"]})
    words = ["--model", server.url, "--model-name", "tiny", "--retries", "0"]
    assert main(["judge", str(tmp_path / "run"), *words]) == 1
    assert "no answer has a verdict to compare with cover_em_r1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say who judges: either --model URL|DIR, or --replay FILE"),
        (("--replay", "f", "--model", "http://h/v1"), "say who judges"),
        (("--model", "http://h/v1", "--words", "a", "b"), "--words belongs to --prompt-file"),
        (("--model", "http://h/v1", "--prompt", "r1"), "unknown judge prompt 'r1'"),
        (("--model", "http://h/v1", "--model-name", "m", "--name", "a.b"), "of letters, digits"),
    ],
)
def test_mistakes_are_named(
    words: tuple[str, ...], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", str(run), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_none_of_verdicts_is_named(run: Path, tmp_path: Path) -> None:
    for content in ("", "{}\n", '{"format": 2}\n', "[1]\n"):
        (tmp_path / "judge.x.jsonl").write_text(content)
        with pytest.raises(RunError, match="expected a header and verdicts of searchenv judge"):
            RecordedReplies(tmp_path / "judge.x.jsonl")
    with pytest.raises(RunError, match=r"no verdicts 'x' in .*, found: none. searchenv judge"):
        read_judgement(run, "x")


def test_a_run_that_is_not_whole_is_refused(server: JudgeServer, run: Path) -> None:
    (run / "results.jsonl").rename(run / "results.part.jsonl")
    with pytest.raises(RunError, match="is not whole: play it to its end first"):
        judge_run(run, PROMPT, judge(server))


def test_tables_show_the_judge_and_say_over_how_many(
    server: JudgeServer, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge_run(run, PROMPT, judge(server))
    assert main(["bench", "table", str(run), "--judge", "r1_searcher"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["judge_r1_searcher"] == "0.500 [0.000, 1.000] (n=4)"
    assert main(["bench", "table", str(run), "--judge", "other"]) == 2
    assert "no verdicts 'other' in" in capsys.readouterr().err


def test_runs_with_unlike_judges_are_not_compared(
    server: JudgeServer, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    play_answers(other, ANSWERS)
    judge_run(run, PROMPT, judge(server), name="a")
    server.exchanges["q2?"] = "True"
    judge_run(other, PROMPT, judge(server), name="a")
    words = ["bench", "compare", str(run), str(other), "--judge", "a"]
    assert main(words) == 0
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("judge_a")]
    assert line.split()[1:4] == ["0.500", "0.750", "+0.250"]
    (other / "judge.a.jsonl").unlink()
    judge_run(other, PROMPT, judge(server, "large"), name="a")
    assert main(words) == 2
    assert "they differ in judge.model.model" in capsys.readouterr().err
