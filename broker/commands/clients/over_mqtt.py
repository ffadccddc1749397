"""MQTT 5 by Paho, an extra: `hubbub[clients]`."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broker.commands.api import CommandFailed
from broker.commands.clients.place import Place, Received, Reception

try:
    from paho.mqtt import client as paho
    from paho.mqtt.enums import CallbackAPIVersion
except ImportError:  # pragma: no cover - the extra
    paho = None  # type: ignore[assignment]

TIMEOUT_S = 30.0


@contextmanager
def connected(place: Place, came: queue.Queue[Any]) -> Iterator[Any]:
    """A client whose network runs in a thread; what it hears goes into `came`, refusals as CommandFailed."""
    if paho is None:
        raise CommandFailed("paho-mqtt is not installed: pip install 'hubbub[clients]'")
    port, tls = place.listener("mqtt")
    where = f"mqtt://{place.host}:{port}"
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    user = place.api.user if place.vhost == "/" else f"{place.vhost}:{place.api.user}"
    client.username_pw_set(user, place.api.password)
    if tls:
        client.tls_set_context(place.api.tls)

    def refuses(reason: Any) -> bool:
        if reason.is_failure:
            came.put(CommandFailed(f"{where}: {reason}"))
        return bool(reason.is_failure)

    def hear(*reasons: Any) -> None:
        if not any(map(refuses, reasons)):
            came.put(None)

    client.on_connect = lambda client, data, flags, reason, properties: hear(reason)

    def lose(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        refuses(reason)

    client.on_disconnect = lose
    client.on_subscribe = lambda client, data, mid, reasons, properties: hear(*reasons)
    client.on_publish = lambda client, data, mid, reason, properties: hear(reason)
    client.on_message = lambda client, data, message: came.put(message)
    try:
        client.connect(place.host, port)
    except OSError as error:
        raise CommandFailed(f"{where}: {error}") from None
    client.loop_start()
    try:
        answered(came)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def answered(came: queue.Queue[Any], timeout_s: float | None = TIMEOUT_S) -> Any:
    """What comes next. Raises CommandFailed, queue.Empty."""
    next_one = came.get(timeout=timeout_s)
    if isinstance(next_one, CommandFailed):
        raise next_one
    return next_one


def publish(place: Place, topic: str, body: bytes, qos: int, retain: bool) -> None:
    """Returns when the broker has acknowledged it, with QoS 0 when it is sent."""
    came: queue.Queue[Any] = queue.Queue()
    with connected(place, came) as client:
        try:
            client.publish(topic, body, qos, retain)
        except ValueError as error:
            raise CommandFailed(f"TOPIC: {error}") from None
        try:
            answered(came)
        except queue.Empty:
            raise CommandFailed("the broker does not acknowledge it") from None


def receive(place: Place, topic_filter: str, reception: Reception, qos: int) -> None:
    """What is retained, then what comes."""
    came: queue.Queue[Any] = queue.Queue()
    with connected(place, came) as client:
        try:
            client.subscribe(topic_filter, qos)
        except ValueError as error:
            raise CommandFailed(f"FILTER: {error}") from None
        while not reception.is_over:
            try:
                message = answered(came, reception.rest_s)
            except queue.Empty:
                return
            if message is not None:
                properties = message.properties.json() if message.properties is not None else {}
                reception.take(
                    Received(message.topic, "amq.topic", message.payload, properties, message.dup, message.retain)
                )
