"""`hubbub perf`: how much a running broker takes and gives, from this machine, in a few seconds.

Each publisher and consumer is a process. What is measured is the broker *and* these clients, in Python, on whatever
machine they share: a quick look, no benchmark.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of, vhost_option
from broker.commands.clients.place import Place
from broker.commands.clients.raw_amqp import Refused, Where, consume_for, publish_for

STARTING_S = 2.0
"""Until the processes have begun."""
DRAIN_S = 0.5
"""How much longer consumers stay than publishers."""


@click.command()
@click.option("--publishers", type=click.IntRange(0, 64), default=1, show_default=True)
@click.option("--consumers", type=click.IntRange(0, 64), default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@click.option("--size", type=click.IntRange(8, 1 << 24), default=100, show_default=True, help="Bytes of a body.")
@click.option("--persistent", is_flag=True, help="Durable queue, persistent messages: confirms follow the disk.")
@click.option("--window", type=click.IntRange(1), default=1000, show_default=True, help="Unconfirmed publications.")
@click.option("--prefetch", type=click.IntRange(1, 65535), default=1000, show_default=True)
@vhost_option
@json_option
@asks_broker
def perf(
    api: Api,
    publishers: int,
    consumers: int,
    seconds: float,
    size: int,
    persistent: bool,
    window: int,
    prefetch: int,
    vhost: str,
    as_json: bool,
) -> None:
    """Publish with confirms and consume with acknowledgements, over AMQP, through a queue of its own; say how fast."""
    place = Place(api, vhost)
    port, tls = place.listener("amqp")
    where = Where(place.host, port, tls, api.ca, api.certificate, api.key, api.user, api.password, vhost)
    queue = f"hubbub-perf-{os.getpid()}"
    path = path_of("queues", vhost, queue)
    api.put(path, {"durable": persistent, "auto_delete": False, "arguments": {}})
    try:
        sent, taken = loaded(where, queue, publishers, consumers, seconds, size, persistent, window, prefetch)
    finally:
        api.delete(path)
    figures = {
        "confirmed_per_s": round(sum(count / seconds for count, seconds in sent if seconds)),
        "consumed_per_s": round(sum(count / seconds for count, seconds, _ in taken if seconds)),
        "confirmed": sum(count for count, _ in sent),
        "consumed": sum(count for count, _, _ in taken),
        "latency_ms": percentiles([each for *_, found in taken for each in found]),
    }
    click.echo(json.dumps(figures) if as_json else as_text(figures))


def loaded(
    where: Where,
    queue: str,
    publishers: int,
    consumers: int,
    seconds: float,
    size: int,
    persistent: bool,
    window: int,
    prefetch: int,
) -> tuple[list[tuple[int, float]], list[tuple[int, float, list[int]]]]:
    """What every publisher, and every consumer, tells. Raises CommandFailed."""
    ends_at = time.monotonic() + STARTING_S + seconds
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, publishers + consumers), mp_context=spawn) as pool:
        taking: list[Future[Any]] = [
            pool.submit(consume_for, where, queue, prefetch, ends_at + DRAIN_S) for _ in range(consumers)
        ]
        sending: list[Future[Any]] = [
            pool.submit(publish_for, where, queue, size, persistent, window, ends_at - seconds, ends_at)
            for _ in range(publishers)
        ]
        try:
            return [each.result() for each in sending], [each.result() for each in taking]
        except (Refused, OSError) as error:
            raise CommandFailed(f"amqp://{where.host}:{where.port}: {error}") from None


def percentiles(latencies: list[int]) -> dict[str, float]:
    """Milliseconds from sending a block to reading it."""
    ordered = sorted(latencies)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6, 2)
        for name, share in shares.items()
    }


def as_text(figures: dict[str, Any]) -> str:
    """For people."""
    latency = ", ".join(f"{name} {value} ms" for name, value in figures["latency_ms"].items())
    return (
        f"confirmed: {figures['confirmed_per_s']:,}/s ({figures['confirmed']:,} in all)\n"
        f"consumed:  {figures['consumed_per_s']:,}/s ({figures['consumed']:,} in all)\n"
        f"latency:   {latency or 'nothing was consumed'}"
    )


COMMANDS = (perf,)
"""One command."""
