"""Outputs of other projects as runs."""

from searchenv.imports.rows import FORMATS
from searchenv.imports.runs import import_run
from searchenv.imports.transcripts import Transcript, read_transcript

__all__ = ["FORMATS", "Transcript", "import_run", "read_transcript"]
