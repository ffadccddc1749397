"""`hubbub drain`, `hubbub reload`: what an operator tells the process itself."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

import click

from broker.commands.api import Api, CommandFailed, asks_broker

LOOK_AGAIN_S = 0.2
LEAVES_WITHIN_S = 30.0


@click.command()
@click.option(
    "--after", "after_s", type=click.FloatRange(min=0), help="Seconds during which it serves, but is not ready."
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the broker has gone.")
@asks_broker
def drain(api: Api, after_s: float | None, no_wait: bool) -> None:
    """Stop the broker gently: no longer ready at once, then everybody is told, what it has is committed, and it ends.

    Without --after it takes as long as `drain_after_s` of its settings says.
    """
    said = api.post("hubbub/drain", {} if after_s is None else {"after": after_s})
    click.echo(f"draining: it stops in {round(said['after'], 1):g} s; {said['connections']} connections")
    if no_wait:
        return
    deadline = time.monotonic() + said["after"] + LEAVES_WITHIN_S
    while drains(api):
        if time.monotonic() > deadline:
            raise CommandFailed(f"it still answers {LEAVES_WITHIN_S:g} s after its time")
        time.sleep(LOOK_AGAIN_S)
    click.echo("it has stopped")


@click.command("reload")
@asks_broker
def reload_settings(api: Api) -> None:
    """Have the broker read its settings and certificates anew, as on SIGHUP."""
    said = api.post("hubbub/reload", {})
    for key in said["changed"]:
        click.echo(f"{key}: changed")
    for key in said["needs_restart"]:
        click.echo(f"{key}: needs a restart")
    if not said["changed"] and not said["needs_restart"]:
        click.echo("nothing has changed")


def drains(api: Api) -> bool:
    """Whether the broker that was told is still there. Another may answer by then, which was started in its place."""
    try:
        with urllib.request.urlopen(f"{api.url}/health/ready", timeout=5):
            return False
    except urllib.error.HTTPError as error:
        return b'"draining"' in error.read()
    except OSError:
        return False


COMMANDS = (drain, reload_settings)
