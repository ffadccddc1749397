"""The rows of AMQP 0-9-1."""

from __future__ import annotations

from .row import (
    HUBBUB,
    OPEN_LOOP_RATE,
    RATE,
    RELAY,
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

WINDOW_16_KIB = 512  # 8 MiB
WINDOW_FANOUT = 512  # each is outstanding ten times


def _transient_latency(medians: Medians) -> float | None:
    relay = medians.get("latency-transient", RELAY, "delivery_us.p50")
    return None if relay is None else 1.4 * relay


def _throughput(name: str, label: str, arguments: str, *floors: Floor, relay: str | None = None) -> Row:
    return Row(
        name,
        Kind.WINDOW,
        tuple(arguments.split()),
        (Line(label, RATE, Unit.MESSAGES_PER_SECOND, floors),),
        None if relay is None else ("--mode", "relay", *relay.split()),
    )


_OPEN_LOOP = f"--body 256 --rate {OPEN_LOOP_RATE}"

AMQP_ROWS: tuple[Row, ...] = (
    _throughput(
        "transient-16",
        "transient, auto-ack, 16 B",
        f"--mode transient --body 16 --window {WINDOW}",
        times_rabbitmq(25, "transient-16"),
        relay=f"--body 16 --window {WINDOW}",
    ),
    _throughput(
        "transient-256",
        "transient, auto-ack, 256 B",
        f"--mode transient --body 256 --window {WINDOW}",
        times_rabbitmq(25, "transient-256"),
        relay=f"--body 256 --window {WINDOW}",
    ),
    _throughput(
        "transient-16k",
        "transient, auto-ack, 16 KiB",
        f"--mode transient --body 16384 --window {WINDOW_16_KIB}",
        times(0.6, "transient-16k", RELAY, RATE, "0.6 × relay"),
        relay=f"--body 16384 --window {WINDOW_16_KIB}",
    ),
    _throughput(
        "durable-256",
        "durable, persistent, confirmed, manual ack, 256 B",
        f"--mode durable --body 256 --window {WINDOW} --prefetch 1000",
        times_rabbitmq(25, "durable-256"),
    ),
    _throughput(
        "durable-8x8",
        "8 durable queues on 8 + 8 connections, 256 B",
        f"--mode durable --pairs 8 --body 256 --window {WINDOW} --prefetch 1000",
        times_rabbitmq(20, "durable-8x8"),
    ),
    _throughput(
        "topic-1000",
        "topic exchange, 1000 bindings of which 1 matches, 16 B",
        f"--mode topic --body 16 --window {WINDOW}",
        times(0.5, "transient-16", HUBBUB, RATE, "0.5 × transient 16 B"),
        times_rabbitmq(40, "topic-1000"),
    ),
    _throughput(
        "fanout-10",
        "fan-out to 10 queues by wildcard, 256 B, deliveries",
        f"--mode fanout --body 256 --window {WINDOW_FANOUT}",
        times_rabbitmq(25, "fanout-10"),
    ),
    Row(
        "latency-transient",
        Kind.WINDOW,
        ("--mode", "transient", *_OPEN_LOOP.split()),
        (
            Line(
                "open loop 5,000 msg/s, 256 B, transient: delivery p50",
                "delivery_us.p50",
                Unit.MICROSECONDS,
                (Floor("at most 1.4 × relay", _transient_latency, at_least=False),),
            ),
            Line("the same: p99", "delivery_us.p99", Unit.MICROSECONDS),
        ),
        ("--mode", "relay", *_OPEN_LOOP.split()),
    ),
    Row(
        "latency-durable",
        Kind.WINDOW,
        ("--mode", "durable", *_OPEN_LOOP.split()),
        (
            Line(
                "open loop 5,000 msg/s, 256 B, durable: confirm p50",
                "confirm_us.p50",
                Unit.MICROSECONDS,
                (at_most_relay_and_syncs("latency-durable"),),
            ),
            Line("the same: p99", "confirm_us.p99", Unit.MICROSECONDS),
            Line("the same: delivery p50", "delivery_us.p50", Unit.MICROSECONDS),
        ),
        ("--mode", "relay", *_OPEN_LOOP.split()),
    ),
    Row(
        "backlog",
        Kind.BACKLOG,
        ("--body", "256", "--window", str(WINDOW), "--prefetch", "1000"),
        (
            Line("backlog of persistent 256 B: fill", "fill.messages_per_second", Unit.MESSAGES_PER_SECOND),
            Line(
                "anonymous RSS, highest while filling",
                "fill.rss_anonymous_peak_bytes",
                Unit.BYTES,
                (at_most(200e6, "at most 200 MB"),),
            ),
            Line(
                "anonymous RSS, highest while draining",
                "drain.rss_anonymous_peak_bytes",
                Unit.BYTES,
                (at_most(200e6, "at most 200 MB"),),
            ),
            Line("start-up with the backlog", "start_seconds", Unit.SECONDS, (at_most(2, "at most 2 s"),)),
            Line(
                "drain, manual ack",
                "drain.messages_per_second",
                Unit.MESSAGES_PER_SECOND,
                (times(0.5, "durable-256", HUBBUB, RATE, "0.5 × the durable rate"),),
            ),
        ),
    ),
    Row(
        "idle",
        Kind.IDLE,
        ("--mode", "idle"),
        (
            Line(
                "idle connections with one channel each: RSS for each",
                "rss_bytes_per_connection",
                Unit.BYTES,
                (at_most(4096, "at most 4 KB"),),
            ),
            Line(
                "connects (handshake and channel)",
                "connects_per_second",
                Unit.PER_SECOND,
                (Floor("10,000/s", lambda _medians: 10_000, fixed=True),),
            ),
            Line("CPU with them idle", "idle_cpu_percent", Unit.PERCENT, (at_most(1, "under 1 %"),)),
        ),
    ),
)
