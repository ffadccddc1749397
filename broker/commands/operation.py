"""`hubbub drain`, `hubbub reload`: what an operator tells the process itself."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option

LOOK_AGAIN_S = 0.2
LOOK_TIMEOUT_S = 5.0
LEAVES_WITHIN_S = 30.0


@click.command()
@click.option(
    "--after", "after_s", type=click.FloatRange(min=0), help="Seconds during which it serves, but is not ready."
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the broker has gone.")
@json_option
@asks_broker
def drain(api: Api, after_s: float | None, no_wait: bool, as_json: bool) -> None:
    """Stop the broker gently: no longer ready at once, then everybody is told, what it has is committed, and it ends.

    Without --after it takes as long as `drain_after_s` of its settings says.
    """
    said = api.post("hubbub/drain", {} if after_s is None else {"after": after_s})
    if not as_json:
        click.echo(f"draining: it stops in {round(said['after'], 1):g} s; {said['connections']} connections")
    if no_wait:
        if as_json:
            click.echo(json.dumps({**said, "stopped": False}))
        return
    deadline = time.monotonic() + said["after"] + LEAVES_WITHIN_S
    while drains(api):
        if time.monotonic() > deadline:
            raise CommandFailed(f"it still answers {LEAVES_WITHIN_S:g} s after its time")
        time.sleep(LOOK_AGAIN_S)
    click.echo(json.dumps({**said, "stopped": True}) if as_json else "it has stopped")


@click.command("reload")
@json_option
@asks_broker
def reload_settings(api: Api, as_json: bool) -> None:
    """Have the broker read its settings and certificates anew, as on SIGHUP."""
    said = api.post("hubbub/reload", {})
    if as_json:
        click.echo(json.dumps(said))
        return
    for key in said["changed"]:
        click.echo(f"{key}: changed")
    for key in said["needs_restart"]:
        click.echo(f"{key}: needs a restart")
    if not said["changed"] and not said["needs_restart"]:
        click.echo("nothing has changed")


def drains(api: Api) -> bool:
    """Whether the broker that was told is still there. Another may answer by then, which was started in its place."""
    try:
        api.open(urllib.request.Request(f"{api.url}/health/ready"), LOOK_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        return b'"draining"' in error.read()
    except CommandFailed:
        return False
    return False


COMMANDS = (drain, reload_settings)
