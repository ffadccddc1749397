"""The rows of MQTT, over TCP and WebSocket, and from MQTT into AMQP."""

from __future__ import annotations

from .process import MQTT, WEBSOCKET
from .row import (
    HUBBUB,
    MOSQUITTO,
    NATS,
    OPEN_LOOP_RATE,
    RABBITMQ,
    RATE,
    WINDOW,
    Floor,
    Kind,
    Line,
    Medians,
    Row,
    Unit,
    at_most,
    at_most_relay_and_syncs,
    times,
    times_rabbitmq,
)

PUBLISHERS = 50
WINDOW_OF_50 = 20 * PUBLISHERS
WINDOW_FANOUT = 512  # each is outstanding a hundred times


def times_mosquitto(factor: float, row: str, figure: str = RATE) -> Floor:
    """At least `factor` times Mosquitto's figure in the same row."""
    return times(factor, row, MOSQUITTO, figure, f"{factor:g} × Mosquitto")


def times_nats(row: str) -> Floor:
    """At least NATS's rate in the same row."""
    return times(1, row, NATS, RATE, "NATS")


def at_most_mosquitto(factor: float, row: str, figure: str) -> Floor:
    """At most `factor` times Mosquitto's figure in the same row."""

    def bound(medians: Medians) -> float | None:
        value = medians.get(row, MOSQUITTO, figure)
        return None if value is None else factor * value

    return Floor(f"at most {factor:g} × Mosquitto", bound, at_least=False)


def _throughput(
    name: str,
    label: str,
    arguments: str,
    *floors: Floor,
    peers: tuple[str, ...] = (MOSQUITTO,),
    dialect: str = MQTT,
    relay: str | None = None,
) -> Row:
    return Row(
        name,
        Kind.WINDOW,
        tuple(arguments.split()),
        (Line(label, RATE, Unit.MESSAGES_PER_SECOND, floors),),
        None if relay is None else ("--mode", "mqtt-relay", *relay.split()),
        dialect,
        peers,
    )


_ONE_TO_ONE = f"--body 16 --window {WINDOW}"
_OPEN_LOOP = f"--body 256 --rate {OPEN_LOOP_RATE}"

_CLOSED_LOOP_ROWS = (
    _throughput(
        "mqtt-qos0-16",
        "MQTT 3.1.1, QoS 0, 1 → 1, 16 B",
        f"--mode mqtt --qos 0 {_ONE_TO_ONE}",
        times_mosquitto(30, "mqtt-qos0-16"),
        times_nats("mqtt-qos0-16"),
        peers=(MOSQUITTO, NATS),
        relay=_ONE_TO_ONE,
    ),
    _throughput(
        "mqtt-qos1-16",
        "QoS 1, 1 → 1, 16 B, clean session",
        f"--mode mqtt --qos 1 {_ONE_TO_ONE}",
        times_mosquitto(14, "mqtt-qos1-16"),
        peers=(MOSQUITTO, NATS),
    ),
    _throughput(
        "mqtt-qos1-persistent",
        "the same into a persistent session",
        f"--mode mqtt --qos 1 --persistent {_ONE_TO_ONE}",
        times_mosquitto(10, "mqtt-qos1-persistent"),
    ),
    _throughput(
        "mqtt-qos1-50x1",
        "QoS 1, 50 publishers, window 20 each → 1 persistent session",
        f"--mode mqtt-fanin --publishers {PUBLISHERS} --qos 1 --persistent --body 16 --window {WINDOW_OF_50}",
        times_mosquitto(6, "mqtt-qos1-50x1"),
    ),
    _throughput(
        "mqtt-qos2-16",
        "QoS 2, 1 → 1, 16 B, clean session",
        f"--mode mqtt --qos 2 {_ONE_TO_ONE}",
        times_mosquitto(12, "mqtt-qos2-16"),
    ),
    _throughput(
        "mqtt-fanout-100",
        "fan-out 1 → 100, QoS 0, 16 B, deliveries",
        f"--mode mqtt-fanout --subscribers 100 --body 16 --window {WINDOW_FANOUT}",
        times_mosquitto(25, "mqtt-fanout-100"),
        times_nats("mqtt-fanout-100"),
        peers=(MOSQUITTO, NATS),
    ),
    _throughput(
        "mqtt-fanin-50",
        "fan-in 50 → 1, QoS 0, 16 B",
        f"--mode mqtt-fanin --publishers {PUBLISHERS} {_ONE_TO_ONE}",
        times_mosquitto(12, "mqtt-fanin-50"),
        peers=(MOSQUITTO, NATS),
    ),
    _throughput(
        "mqtt-filters-1000",
        "1000 subscribers, distinct filters (exact, +, #), each message matches one",
        f"--mode mqtt-filters --subscribers 1000 {_ONE_TO_ONE}",
        times_mosquitto(15, "mqtt-filters-1000"),
    ),
    _throughput(
        "mqtt-websocket",
        "over WebSocket, QoS 0, 16 B",
        f"--mode mqtt --qos 0 --websocket {_ONE_TO_ONE}",
        times_mosquitto(4, "mqtt-websocket"),
        dialect=WEBSOCKET,
    ),
    _throughput(
        "mqtt-amqp",
        "MQTT QoS 1 → durable AMQP queue → consumer with manual ack, 16 B",
        f"--mode mqtt-amqp --qos 1 --prefetch 1000 {_ONE_TO_ONE}",
        times_rabbitmq(15, "mqtt-amqp"),
        peers=(RABBITMQ,),
    ),
    _throughput(
        "mqtt5-qos0-16",
        "MQTT 5, QoS 0, 1 → 1, 16 B",
        f"--mode mqtt --mqtt-version 5 --qos 0 {_ONE_TO_ONE}",
        times(0.9, "mqtt-qos0-16", HUBBUB, RATE, "0.9 × 3.1.1"),
    ),
    _throughput(
        "mqtt5-qos1-16",
        "MQTT 5, QoS 1, 1 → 1, 16 B, clean session",
        f"--mode mqtt --mqtt-version 5 --qos 1 {_ONE_TO_ONE}",
        times(0.9, "mqtt-qos1-16", HUBBUB, RATE, "0.9 × 3.1.1"),
    ),
)

MQTT_ROWS: tuple[Row, ...] = (
    *_CLOSED_LOOP_ROWS,
    Row(
        "mqtt-latency-qos0",
        Kind.WINDOW,
        ("--mode", "mqtt", *_OPEN_LOOP.split()),
        (
            Line(
                "open loop 5,000 msg/s, 256 B, QoS 0: delivery p50",
                "delivery_us.p50",
                Unit.MICROSECONDS,
                (at_most_mosquitto(1, "mqtt-latency-qos0", "delivery_us.p50"),),
            ),
            Line("the same: p99", "delivery_us.p99", Unit.MICROSECONDS),
        ),
        ("--mode", "mqtt-relay", *_OPEN_LOOP.split()),
        MQTT,
        (MOSQUITTO,),
    ),
    Row(
        "mqtt-latency-qos1",
        Kind.WINDOW,
        ("--mode", "mqtt", "--qos", "1", "--persistent", *_OPEN_LOOP.split()),
        (
            Line(
                "open loop 5,000 msg/s, 256 B, QoS 1 into a persistent session: PUBACK p50",
                "confirm_us.p50",
                Unit.MICROSECONDS,
                (at_most_relay_and_syncs("mqtt-latency-qos1"),),
            ),
            Line("the same: p99", "confirm_us.p99", Unit.MICROSECONDS),
            Line("the same: delivery p50", "delivery_us.p50", Unit.MICROSECONDS),
        ),
        ("--mode", "mqtt-relay", *_OPEN_LOOP.split()),
        MQTT,
        (MOSQUITTO,),
    ),
    Row(
        "mqtt-idle",
        Kind.IDLE,
        ("--mode", "mqtt-idle"),
        (
            Line(
                "idle connections with one subscription each: RSS for each",
                "rss_bytes_per_connection",
                Unit.BYTES,
                (at_most_mosquitto(2, "mqtt-idle", "rss_bytes_per_connection"),),
            ),
            Line("connects (CONNECT and SUBSCRIBE)", "connects_per_second", Unit.PER_SECOND),
            Line("CPU with them idle", "idle_cpu_percent", Unit.PERCENT, (at_most(1, "under 1 %"),)),
        ),
        dialect=MQTT,
        peers=(MOSQUITTO,),
    ),
    Row(
        "mqtt-storm",
        Kind.IDLE,
        ("--mode", "mqtt-storm"),
        (
            Line(
                "connect, CONNACK, DISCONNECT, 64 at a time",
                "connects_per_second",
                Unit.PER_SECOND,
                (times_mosquitto(1, "mqtt-storm", "connects_per_second"),),
            ),
        ),
        dialect=MQTT,
        peers=(MOSQUITTO,),
    ),
)
