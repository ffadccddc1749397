"""`hubbub perf`: how much a running broker takes and gives, from this machine, in a few seconds.

Each publisher and consumer is a process. What is measured is the broker *and* these clients, in Python, on whatever
machine they share: a quick look, no benchmark.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, NamedTuple

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of, vhost_option
from broker.commands.clients import raw_amqp, raw_mqtt
from broker.commands.clients.place import Place
from broker.commands.clients.raw_amqp import Refused, Where

Call = Callable[[float, float], tuple[Any, ...]]
"""Of when it begins and ends (monotonic): what is called, and with what."""
STARTING_S = 2.0
"""Until the processes have begun."""
DRAIN_S = 0.5
"""How much longer consumers stay than publishers."""


class Load(NamedTuple):
    """What is asked for."""

    publishers: int
    consumers: int
    seconds: float
    size: int
    persistent: bool
    window: int
    prefetch: int
    qos: int


@click.command()
@click.option("--protocol", type=click.Choice(("amqp", "mqtt")), default="amqp", show_default=True)
@click.option("--publishers", type=click.IntRange(0, 64), default=1, show_default=True)
@click.option("--consumers", type=click.IntRange(0, 64), default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=5.0, show_default=True)
@click.option("--size", type=click.IntRange(8, 1 << 24), default=100, show_default=True, help="Bytes of a body.")
@click.option("--persistent", is_flag=True, help="AMQP: durable queue, persistent messages; confirms follow the disk.")
@click.option("--window", type=click.IntRange(1), default=1000, show_default=True, help="Unconfirmed publications.")
@click.option("--prefetch", type=click.IntRange(1, 65535), default=1000, show_default=True, help="Of AMQP.")
@click.option("--qos", type=click.IntRange(0, 1), default=0, show_default=True, help="Of MQTT.")
@vhost_option
@json_option
@asks_broker
def perf(api: Api, protocol: str, vhost: str, as_json: bool, **asked: Any) -> None:
    """Publish and consume for some seconds; say how fast, and how long a message takes.

    AMQP: through a queue of its own, with confirms and acknowledgements. MQTT: on a topic of its own; each subscriber
    gets every message.
    """
    load, place = Load(**asked), Place(api, vhost)
    port, tls = place.listener(protocol)
    where = Where(place.host, port, tls, api.ca, api.certificate, api.key, api.user, api.password, vhost)
    name = f"hubbub-perf-{os.getpid()}"
    if protocol == "mqtt":
        sent, taken = loaded(*mqtt_calls(where, name, load), load)
    else:
        path = path_of("queues", vhost, name)
        api.put(path, {"durable": load.persistent, "auto_delete": False, "arguments": {}})
        try:
            sent, taken = loaded(*amqp_calls(where, name, load), load)
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


def amqp_calls(where: Where, queue: str, load: Load) -> tuple[Call, Call]:
    """What a publisher and a consumer do between two times."""
    return (
        lambda begins, ends: (
            raw_amqp.publish_for, where, queue, load.size, load.persistent, load.window, begins, ends,
        ),
        lambda _begins, ends: (raw_amqp.consume_for, where, queue, load.prefetch, ends + DRAIN_S),
    )  # fmt: skip


def mqtt_calls(where: Where, topic: str, load: Load) -> tuple[Call, Call]:
    """Likewise."""
    return (
        lambda begins, ends: (raw_mqtt.publish_for, where, topic, load.size, load.qos, load.window, begins, ends),
        lambda _begins, ends: (raw_mqtt.subscribe_for, where, topic, load.qos, ends + DRAIN_S),
    )


def loaded(
    publish: Call, consume: Call, load: Load
) -> tuple[list[tuple[int, float]], list[tuple[int, float, list[int]]]]:
    """What every publisher, and every consumer, tells. Raises CommandFailed."""
    ends_at = time.monotonic() + STARTING_S + load.seconds
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, load.publishers + load.consumers), mp_context=spawn) as pool:
        times = (ends_at - load.seconds, ends_at)
        taking: list[Future[Any]] = [pool.submit(*consume(*times)) for _ in range(load.consumers)]
        sending: list[Future[Any]] = [pool.submit(*publish(*times)) for _ in range(load.publishers)]
        try:
            return [each.result() for each in sending], [each.result() for each in taking]
        except (Refused, OSError) as error:
            raise CommandFailed(str(error)) from None


def percentiles(latencies: list[int]) -> dict[str, float]:
    """Milliseconds from sending a block to reading it."""
    ordered = sorted(latencies)
    if not ordered:
        return {}
    shares = {"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}
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
