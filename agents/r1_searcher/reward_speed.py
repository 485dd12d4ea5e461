"""How long the reward of a trace takes, beside a plain transcription of the released server.

    python agents/r1_searcher/reward_speed.py

The transcription is the second reading of the tests. Both score the same traces in turn; the least
of seven rounds counts.
"""

import runpy
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from searchenv.systems.r1_searcher import StageTwo, Version, score_trace

TESTS = Path(__file__).parents[2] / "tests" / "systems" / "r1_searcher"
WORDS = " ".join(["Some words of a passage that is as long as they are"] * 8)  # 96 of them
TRACES = 1024  # as many as a published step rolls out


def main() -> None:
    """Prints microseconds a trace."""
    written = runpy.run_path(str(TESTS / "traces.py"))
    transcription = runpy.run_path(str(TESTS / "reading.py"))["score"]
    reward = StageTwo(Version.CODE_QWEN, reads_transcript=True)
    for searches, hits in ((2, 3), (8, 3), (8, 5)):
        trace = written["search"]("length of the Nile", *[WORDS] * hits) * searches
        texts = [trace + written["NILE"]] * TRACES
        ours = least(lambda text: score_trace(reward, text, ["Nile"]), texts)
        plain = least(lambda text: transcription("qwen", text, "Nile"), texts)
        print(
            f"{searches} searches, {hits} passages, {len(texts[0]):,} characters: "
            f"{ours:.0f} microseconds a trace, the transcription {plain:.0f}"
        )


def least(score: Callable[[str], object], texts: Sequence[str]) -> float:
    """Returns microseconds a text in the quickest of seven rounds."""
    rounds = []
    for _ in range(7):
        started = time.perf_counter()
        for text in texts:
            score(text)
        rounds.append(time.perf_counter() - started)
    return min(rounds) / len(texts) * 1e6


if __name__ == "__main__":
    main()
