"""`hubbub move`: what waits in one queue to another, a slice at a time, so that long work shows how far it is."""

from __future__ import annotations

import json

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of, vhost_option
from broker.commands.progress import progress

SLICE = 5000
"""Messages that one request moves."""


@click.command()
@click.argument("queue")
@click.argument("destination")
@click.option("--count", type=click.IntRange(0), help="At most so many; by default all that are ready now.")
@vhost_option
@json_option
@asks_broker
def move(api: Api, queue: str, destination: str, count: int | None, vhost: str, as_json: bool) -> None:
    """Move messages from the front of QUEUE to the end of DESTINATION, in order.

    What DESTINATION refuses stays where it is. A message is in one of the two at every moment, also after a crash.
    """
    ready = api.get(path_of("queues", vhost, queue))["messages_ready"]
    wanted = ready if count is None else min(count, ready)
    moved, left = 0, ready
    with progress(f"{queue} → {destination}", wanted) as advance:
        while moved < wanted:
            asked = min(SLICE, wanted - moved)
            path = "hubbub/" + path_of("queues", vhost, queue, "move")
            done = api.post(path, {"destination": destination, "count": asked})
            moved, left = moved + done["moved"], done["left"]
            advance(done["moved"])
            if done["moved"] < asked:
                break
    click.echo(json.dumps({"moved": moved, "left": left}) if as_json else f"{moved} messages moved, {left} left")
    if moved < wanted and left:
        raise CommandFailed(f"'{destination}' takes no more: {wanted - moved} were to follow")


COMMANDS = (move,)
"""One command."""
