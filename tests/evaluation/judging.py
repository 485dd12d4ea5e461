"""A judge behind HTTP that says what was written down, and runs whose answers one can choose."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from searchenv.evaluation import Run, Setup, run_header, run_questions
from searchenv.policies import ScriptedPolicy
from searchenv.protocols import get_protocol
from searchenv.types import Answer, Limits, Question


class JudgeServer(ThreadingHTTPServer):
    """Replies to a question with the exchange that names it, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, exchanges: Mapping[str, str | int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.exchanges = dict(exchanges)
        """By question: the reply, or the HTTP status of a failure."""
        self.bodies: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def asked(self) -> list[str]:
        """The questions that came, in the order of their names."""
        return sorted(self.question(body) for body in self.bodies)

    def question(self, body: Mapping[str, Any]) -> str:
        (message,) = body["messages"]
        lines = str(message["content"]).splitlines()
        (line,) = [line for line in lines if line.startswith("Question: ")]
        return line.removeprefix("Question: ")


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        said = self.server.exchanges[self.server.question(body)]
        choice = {"message": {"content": said}, "finish_reason": "stop"}
        data = json.dumps({"choices": [choice]} if isinstance(said, str) else {}).encode()
        self.send_response(200 if isinstance(said, str) else said)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def judge_server(exchanges: Mapping[str, str | int]) -> Iterator[JudgeServer]:
    """Serves until the block ends."""
    server = JudgeServer(exchanges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def play_answers(
    folder: Path, answers: Mapping[str, tuple[Sequence[str], str | None]], *, seed: int = 0
) -> Run:
    """Plays questions given as gold answers and the agent's answer, None for no answer."""
    questions = [Question(id_, f"{id_}?", tuple(gold)) for id_, (gold, _) in answers.items()]
    moves = {
        id_: ["I do not know."] if answer is None else [Answer(answer)]
        for id_, (_, answer) in answers.items()
    }
    setup = Setup(
        tools={},
        protocol=get_protocol("search_r1"),
        limits=Limits(max_turns=1),
        scorers=("em",),
        seed=seed,
    )
    header = run_header(
        questions, setup, name="towns", policy={"name": "scripted"}, retriever={"k": 2}
    )
    return run_questions(ScriptedPolicy(moves), questions, setup, folder, header=header)
