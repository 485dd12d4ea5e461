"""An OpenAI-compatible server that fails on purpose; run by the tests, by path.

A random transformers model of two layers writes the texts. Asked for the first time, some questions
get 429, some 500, some a stream that breaks off, some nothing at all, and an answer when they are
asked again; one question always gets 500. ``GET /counts`` says how often it did each.
"""

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import LlamaConfig, LlamaForCausalLM

FAULTS = {1: "429", 3: "500", 5: "truncated"}
LETTERS = "abcdefghijklmnopqrstuvwxyz ?.<>/"
HOPELESS = sys.argv[-1]

torch.manual_seed(0)
torch.set_num_threads(1)
config = LlamaConfig(
    vocab_size=len(LETTERS),
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=4096,
)
MODEL = LlamaForCausalLM(config).eval()  # type: ignore[no-untyped-call]
lock = threading.Lock()
asked: set[str] = set()
counts: Counter[str] = Counter()


def fault_of(text: str) -> str:
    """Returns what a question gets: a fault now and then, and never twice."""
    if text in asked:
        return "answered"
    asked.add(text)
    return "stalled" if len(asked) == 12 else FAULTS.get(len(asked) % 16, "answered")


def write(text: str, max_tokens: int) -> str:
    """Returns what the model writes after the last letters of ``text``."""
    ids = [LETTERS.index(c) for c in text.lower() if c in LETTERS][-200:]
    with lock, torch.inference_mode():
        for _ in range(max_tokens):
            logits = MODEL(torch.tensor([ids])).logits[0, -1]
            ids.append(int(logits.argmax()))
    return "<answer>" + "".join(LETTERS[i] for i in ids[-max_tokens:] if LETTERS[i] not in "<>/")


class Handler(BaseHTTPRequestHandler):
    """Answers one request, well or badly."""

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Answers ``/v1/models`` and ``/counts``."""
        self.reply(200, dict(counts) if self.path == "/counts" else {"data": [{"id": "tiny"}]})

    def do_POST(self) -> None:
        """Answers a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = " ".join(message["content"] for message in body["messages"])
        with lock:
            fault = "hopeless" if HOPELESS in text else fault_of(text)
            counts[fault] += 1
        if fault == "429":
            self.reply(429, {"error": "busy"}, {"retry-after": "0"})
        elif fault in ("500", "hopeless"):
            self.reply(500, {"error": "out of memory"})
        elif fault == "stalled":
            time.sleep(60)
        else:
            self.stream(write(text, body["max_tokens"]), broken=fault == "truncated")

    def reply(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """Sends JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, text: str, *, broken: bool) -> None:
        """Sends the text in pieces and, unless ``broken``, the end."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for piece in (text[:9], text[9:]):
            self.event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
            if broken:
                return
        self.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, body: object) -> None:
        """Sends one event."""
        self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"tiny at http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    server.serve_forever()
