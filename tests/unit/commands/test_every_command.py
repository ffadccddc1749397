"""What all commands have in common: an example that they take, JSON, and words for what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from broker.cli import main
from broker.commands.examples import lines

NO_JSON = {"serve", "completion"}
"""What they write is not an answer."""


def commands(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, each in sorted(group.commands.items()):
        if isinstance(each, click.Group):
            yield from commands(each, f"{path}{name} ")
        else:
            yield path + name, each


def taken(words: list[str]) -> click.Command:
    """The command that takes these words, options and arguments parsed. Raises click.UsageError."""
    command: click.Command = main
    context = click.Context(main, info_name="hubbub")
    while isinstance(command, click.Group):
        context = command.make_context(words[0] if words else "", list(words), parent=context)
        _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command = found
    command.make_context("command", words, parent=context)
    return command


@pytest.mark.parametrize("name", [each[0] for each in commands()])
def test_each_command_shows_an_example_in_its_help(name: str) -> None:
    done = CliRunner().invoke(main, [*name.split(), "--help"])

    assert done.exit_code == 0
    assert "Example: hubbub " in done.output


@pytest.mark.parametrize("words", list(lines()), ids=" ".join)
def test_each_example_is_taken(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = "--new-password" if words[0] in ("user", "hash-password") and words[1] in ("add", "password", "ann") else ""

    assert taken([*words, given, "secret"] if given else words)


@pytest.mark.parametrize(("name", "command"), [each for each in commands() if each[0] not in NO_JSON])
def test_each_command_has_json_for_scripts(name: str, command: click.Command) -> None:
    assert any("--json" in each.opts for each in command.params)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["declare", "queue"], "Missing argument 'NAME'"),
        (["declare", "queue", "q", "--type", "x"], "'x' is not one of 'classic', 'quorum'"),
        (["list", "quues"], "No such command 'quues'"),
        (["top", "--sort", "x"], "is not one of 'messages'"),
        (["get", "q", "--count", "0"], "0 is not in the range 1<=x<=50000"),
        (["status", "--jsn"], "--jsn"),
        (["perf", "--seconds", "x"], "'x' is not a valid float range"),
    ],
)
def test_a_wrong_command_line_is_2_and_says_what_was_expected(words: list[str], said: str) -> None:
    done = CliRunner().invoke(main, words)

    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
