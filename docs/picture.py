"""Draws ``docs/images/episode.svg``, the README's picture: ``python docs/picture.py``.

It plays the demo world over Lucene with the iterative policy, takes the first question that is
answered rightly after three searches, and draws what a terminal shows. The same demo world gives
the same bytes.
"""

import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from searchenv import Episode, SearchQAEnv
from searchenv.policies import IterativePolicy
from searchenv.rendering import render_episode

PICTURE = Path(__file__).parent / "images" / "episode.svg"
NUM_SEARCHES = 3
WIDTH = 100

# Colours that are readable on the dark ground, which stands out from light and dark pages alike.
THEME = TerminalTheme(
    background=(22, 27, 34),
    foreground=(230, 237, 243),
    normal=[
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (177, 186, 196),
    ],
)
# No web font: images on GitHub and an offline build of the docs cannot load one.
TEMPLATE = """\
<svg class="{unique_id}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Writes the picture."""
    PICTURE.write_text(draw(render_episode(play(), colour=True)), encoding="utf-8")


def play() -> Episode:
    """Returns the episode to show."""
    env = SearchQAEnv(split="dev")
    policy = IterativePolicy()
    for question in env.task.questions:
        env.reset(options={"question_id": question.id})
        reward = 0.0
        while not env.episode.over:
            reward = float(env.step(policy.act([env.episode.view])[0])[1])
        if reward == 1 and env.episode.num_calls == NUM_SEARCHES:
            return env.episode
    raise SystemExit(f"no question was answered rightly after {NUM_SEARCHES} searches")


def draw(ansi: str) -> str:
    """Returns a terminal window that shows ``ansi``, as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(ansi.rstrip("\n")))
    return console.export_svg(
        title="searchenv demo", theme=THEME, code_format=TEMPLATE, unique_id="episode"
    )


if __name__ == "__main__":
    main()
