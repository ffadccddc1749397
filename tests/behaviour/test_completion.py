"""Completion in a real shell, as `eval "$(hubbub completion bash)"` sets it up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import REPOSITORY

pytestmark = pytest.mark.hubbub_only

BASH = """
eval "$(hubbub completion bash)"
complete -p hubbub >&2
COMP_WORDS=({words}); COMP_CWORD=$(({count} - 1))
$(complete -p hubbub | sed 's/.*-F \\([^ ]*\\) .*/\\1/') hubbub
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A directory with `hubbub` in it."""
    file = tmp_path / "hubbub"
    file.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m broker "$@"\n')
    file.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hubbub che", ["check"]),
        ("hubbub check al", ["alarms"]),
        ("hubbub topic", ["topic-permission"]),
        ("hubbub declare queue q --ty", ["--type"]),
        ("hubbub declare queue q --type q", ["quorum"]),
    ],
)
def test_bash_completes_commands_options_and_values(command: Path, words: str, expected: list[str]) -> None:
    script = BASH.format(words=words, count=len(words.split()))
    environment = {**os.environ, "PATH": f"{command}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == expected, done.stderr
