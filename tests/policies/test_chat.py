"""Models behind a server: a whole question set against a failing process, and odd replies."""

import json
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import PolicyError
from searchenv.evaluation import Setup, run_header, run_questions
from searchenv.policies import get_policy
from searchenv.policies.chat import ChatGenerator
from searchenv.policies.chat_wire import Style
from searchenv.policies.generation import Finish, Sampling
from searchenv.policies.named import describe_policy
from searchenv.protocols import get_protocol
from searchenv.questions import read_questions
from searchenv.retrieval import Retriever, RetrieverTool
from searchenv.types import Limits, StopReason

SERVER = Path(__file__).with_name("model_server.py")


@pytest.fixture
def bamboogle(tmp_path: Path) -> Path:
    folder = os.environ.get("SEARCHENV_DATA")
    if folder and (Path(folder) / "bamboogle" / "questions.jsonl").exists():
        return Path(folder) / "bamboogle" / "questions.jsonl"
    path = tmp_path / "questions.jsonl"
    lines = [
        {"idx": i, "question": f"Who rules town {i}?", "answer": "Ann", "gen_text_store": ""}
        for i in range(63)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_question_is_accounted_for_by_a_server_that_fails(
    bamboogle: Path, tmp_path: Path, serve: Callable[..., Any], keyword_retriever: Retriever
) -> None:
    questions = read_questions(bamboogle)
    url = serve(SERVER, questions[5].text).url
    generator = ChatGenerator(
        url, sampling=Sampling(max_tokens=6), stream=True, timeout_s=10, deadline_s=120, retries=4
    )
    policy = get_policy("model", generator=generator)
    setup = Setup(
        tools={"search": RetrieverTool(keyword_retriever, 2)},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=2),
        scorers=("em",),
    )
    described = describe_policy("model", policy)
    header = run_header(
        questions, setup, name="bamboogle", policy=described, retriever={"name": "keyword"}
    )
    run = run_questions(policy, questions, setup, tmp_path / "run", header=header)
    assert [record.result.question.id for record in run.records] == [q.id for q in questions]
    failed = [record for record in run.records if record.outcome.failed]
    assert [record.result.question.id for record in failed] == [questions[5].id]
    assert failed[0].result.stop is StopReason.POLICY_ERROR
    assert "5 attempts failed; the last: HTTP 500" in str(failed[0].result.error)
    answered = [r for r in run.records if r.result.stop is StopReason.ANSWER]
    assert len(answered) == len(questions) - 1
    assert described["model"] == {
        "model": "tiny",
        "style": "chat",
        "max_tokens": 6,
        "temperature": 0.0,
        "top_p": 1.0,
    }
    with urllib.request.urlopen(f"{url}/counts") as reply:
        counts = json.loads(reply.read())
    assert counts["hopeless"] == 5
    assert min(counts[fault] for fault in ("429", "500", "truncated", "stalled")) >= 1
    faults = sum(counts[fault] for fault in ("hopeless", "429", "500", "truncated", "stalled"))
    usage = run.sessions[0]["usage"]
    assert usage["requests"] == len(questions)
    assert (usage["failed_attempts"], usage["failed_requests"]) == (faults, 1)
    assert usage["completion_tokens"] == 5 * counts["answered"]


Exchange = tuple[int, object]


class Scripted(HTTPServer):
    """Gives the replies it was told to give, one after the other, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Exchange] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(json.loads(body))
        self.server.keys.append(self.headers["authorization"])
        status, reply = self.server.replies.pop(0)
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    scripted.shutdown()
    thread.join()
    scripted.server_close()


def wrote(text: str, finish: str = "stop", **more: object) -> Exchange:
    choice = {"message": {"content": text}, "text": text, "finish_reason": finish, **more}
    return 200, {"choices": [choice]}


STOP = ("</search>", "</answer>")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (wrote("<search> a </search>"), "<search> a </search>"),
        (wrote("<search> a ", stop_reason="</search>"), "<search> a </search>"),
        (wrote("<search> a ", matched_stop="</search>"), "<search> a </search>"),
        (wrote("<search> a ", stop_reason=None), "<search> a "),
        (wrote("<search> a "), "<search> a </search>"),
        (wrote("I do not know"), "I do not know"),
        (wrote("<search> a ", "length"), "<search> a "),
    ],
)
def test_the_stop_string_that_a_server_strips_is_put_back(
    server: Scripted, reply: Exchange, text: str
) -> None:
    server.replies = [reply]
    ((completion,),) = ChatGenerator(server.url, "m").generate(["Who?"], stop=STOP, seeds=[3])
    assert completion.text == text
    assert (completion.finish is Finish.LENGTH) == (reply == wrote("<search> a ", "length"))
    assert server.bodies[0]["stop"] == ["</search>", "</answer>"]


def test_a_stop_string_is_left_out_when_asked(server: Scripted) -> None:
    server.replies = [wrote("Search[a]\nObservation")]
    ((completion,),) = ChatGenerator(server.url, "m").generate(
        ["Who?"], stop=("\nObservation",), include_stop=False
    )
    assert completion.text == "Search[a]"
    assert "include_stop_str_in_output" not in server.bodies[0]


def test_a_field_that_the_server_refuses_is_left_out(server: Scripted) -> None:
    refusal = {"error": "unknown field include_stop_str_in_output"}
    server.replies = [(400, refusal), wrote("b"), wrote("c")]
    generator = ChatGenerator(server.url, "m", style=Style.COMPLETION)
    assert [c.text for (c,) in generator.generate(["x"], stop=STOP)] == ["b"]
    assert [c.text for (c,) in generator.generate(["y"], stop=STOP)] == ["c"]
    fields = ["include_stop_str_in_output" in body for body in server.bodies]
    assert fields == [True, False, False]
    assert server.bodies[2]["prompt"] == "y"


def test_the_key_is_sent_and_never_shown(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret")
    server.replies = [(401, {"error": "wrong key sk-secret"})]
    generator = ChatGenerator(server.url, "m", api_key_env="TEST_KEY")
    with pytest.raises(PolicyError, match=r"HTTP 401: .*wrong key \*\*\*"):
        generator.generate(["x"])
    assert server.keys == ["Bearer sk-secret"]


def test_tool_calls_come_back_as_a_message(server: Scripted) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q'}}
    message = {"content": None, "tool_calls": [call]}
    server.replies = [
        (200, {"choices": [{"message": message, "finish_reason": "tool_calls"}]}),
    ]
    (completion,) = ChatGenerator(server.url, "m").generate_calls(["Who?"], tools=[{"a": 1}])
    assert json.loads(completion.text) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [call],
    }


def test_a_forbidden_word_is_an_error(server: Scripted) -> None:
    server.replies = [wrote("Wait, no")]
    with pytest.raises(PolicyError, match="the server ignores bad_words"):
        ChatGenerator(server.url, "m").generate(["x"], forbid=["Wait"])


def test_a_url_must_be_one() -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        ChatGenerator("localhost:8000")
