"""What a figure is quoted with."""

import subprocess
import sys
from pathlib import Path

import pytest

TELL = "from searchenv.evaluation import circumstances; print(circumstances()['command'])"


def told(words: list[str], folder: Path) -> str:
    ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["tell.py", "--seed", "1"], "python tell.py --seed 1"),
        (["-m", "tell", "x"], "python -m tell x"),
        (["{folder}/tell.py", "x"], "tell.py x"),  # as an installed command is called
    ],
)
def test_command_without_folders_of_the_machine(
    tmp_path: Path, words: list[str], command: str
) -> None:
    (tmp_path / "tell.py").write_text(TELL)
    given = [word.format(folder=tmp_path) for word in words]
    assert told([sys.executable, *given], tmp_path) == command
