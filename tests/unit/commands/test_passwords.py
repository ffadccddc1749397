"""`hubbub hash-password`: its line is one of a password file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.authentication.password_file import read
from broker.cli import main


def hash_password(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["hash-password", *arguments, "--new-password", "s3cret"])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "tags"), [((), ()), (("--tag", "monitoring", "--tag", "management"), ("monitoring", "management"))]
)
def test_the_line_is_read_as_the_user(tmp_path: Path, arguments: tuple[str, ...], tags: tuple[str, ...]) -> None:
    code, line = hash_password("ann", *arguments)
    path = tmp_path / "passwords"
    path.write_text(line)

    entry = read(str(path))["ann"]

    assert code == 0
    assert "s3cret" not in line
    assert entry.tags == tags
    assert entry.verify(b"s3cret")
    assert not entry.verify(b"another")


@pytest.mark.parametrize("arguments", [("a:b",), ("#a",), ("",), ("a", "--tag", "x,y"), ("a", "--tag", "x:y")])
def test_what_would_break_the_line_is_refused(arguments: tuple[str, ...]) -> None:
    code, said = hash_password(*arguments)

    assert code == 2
    assert "argon2id" not in said
