"""`hubbub completion`: what a shell needs to complete the commands and their options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write what completes `hubbub` in SHELL: bash: eval "$(hubbub completion bash)"."""
    found = get_completion_class(shell)
    assert found is not None, f"click knows {SHELLS}"
    click.echo(found(context.find_root().command, {}, "hubbub", "_HUBBUB_COMPLETE").source())


COMMANDS = (completion,)
"""One command."""
