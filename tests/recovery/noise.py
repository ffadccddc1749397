"""Clients of every kind that come and go while operators turn everything over: what they get is not judged.

Owns their visits: each is short, uses the libraries that people use, and may fail in any way that a client can fail.
How many were worth something is counted, so that a test can tell that there was noise.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import aio_pika
import aiomqtt
import paho.mqtt.client as paho
import pika
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.recovery.everything import NAMED, OTHER_HOST, Everything
from tests.support import mqtt_codec
from tests.support.amqp_raw import RawConnection
from tests.support.mqtt_raw import MqttRaw
from tests.support.native_raw import NativeRaw
from tests.support.server import HOST

QUEUES = 5
VISIT_S = 3
NOISY = ("noisy", "noisy")


class FaultError(Exception):
    """What must not happen, whatever goes on."""


Visit = Callable[[Everything, random.Random], None]


def login(broker: Everything, chance: random.Random) -> tuple[str, str]:
    """Somebody of some backend, or somebody whom nobody knows."""
    token = broker.issuer.token(
        {
            "sub": "ann",
            "aud": "hub",
            "exp": int(time.time()) + 60,
            "scope": "hub.configure:*/* hub.write:*/* hub.read:*/*",
        }
    )
    return chance.choice(
        [NOISY, NOISY, ("guest", "guest"), ("filed", "filed"), ("remote", "remote"), ("ann", token), ("eve", "wrong")]
    )


def by_pika(broker: Everything, chance: random.Random) -> None:
    """Over TLS: a queue, messages with confirms, some of them taken."""
    context = broker.authority.client_context()
    parameters = pika.ConnectionParameters(
        HOST,
        broker.ports["amqp.tls_port"],
        credentials=pika.PlainCredentials(*login(broker, chance)),
        ssl_options=pika.SSLOptions(context, HOST),
        blocked_connection_timeout=VISIT_S,
        socket_timeout=VISIT_S,
        stack_timeout=VISIT_S,
    )
    connection = pika.BlockingConnection(parameters)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = f"noise.{chance.randrange(QUEUES)}"
        channel.queue_declare(queue, durable=True)
        for number in range(20):
            channel.basic_publish("", queue, b"%d" % number, pika.BasicProperties(delivery_mode=2))
        for _ in range(10):
            method, _, _ = channel.basic_get(queue)
            if method is not None and chance.random() < 0.8:
                channel.basic_ack(method.delivery_tag)
    finally:
        connection.close()


def by_aio_pika(broker: Everything, chance: random.Random) -> None:
    """A consumer with a prefetch, through an exchange."""

    async def visit() -> None:
        user, password = NOISY
        connection = await aio_pika.connect(f"amqp://{user}:{password}@{HOST}:{broker.port}/")
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(5)
            exchange = await channel.declare_exchange(f"noise.x{chance.randrange(QUEUES)}", "topic", durable=True)
            queue = await channel.declare_queue(f"noise.{chance.randrange(QUEUES)}", durable=True)
            await queue.bind(exchange, f"noise.{chance.randrange(50)}.#")
            taken = 0

            async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                nonlocal taken
                taken += 1
                await (message.ack() if taken % 3 else message.reject(requeue=taken % 2 == 0))

            await queue.consume(take)
            for number in range(20):
                await exchange.publish(aio_pika.Message(b"%d" % number), f"noise.{chance.randrange(50)}.x")

    asyncio.run(asyncio.wait_for(visit(), VISIT_S))


def by_aiomqtt(broker: Everything, chance: random.Random) -> None:
    """A session that stays, wills, retained messages, what is allowed and what is not."""

    async def visit() -> None:
        name = f"c{chance.randrange(10)}"
        async with aiomqtt.Client(
            HOST, broker.ports["mqtt.port"], identifier=name, username="noisy", password="noisy",
            protocol=aiomqtt.ProtocolVersion.V5, will=aiomqtt.Will(f"noise/{name}/will", b"gone", qos=1),
            properties=session_that_stays(), timeout=VISIT_S,
        ) as client:  # fmt: skip
            await client.subscribe("noise/#", qos=1)
            await client.subscribe(f"$share/g/noise/{name}/#", qos=2)
            for number in range(20):
                topic = chance.choice((f"noise/{name}/{number}", "secret/x", "noise/kept"))
                await client.publish(topic, b"%d" % number, qos=number % 3, retain=topic == "noise/kept")

    asyncio.run(asyncio.wait_for(visit(), VISIT_S))


def session_that_stays() -> Properties:
    """For a minute."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 60
    return properties


def by_paho(broker: Everything, chance: random.Random) -> None:
    """Over TLS, and gone without a word."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"p{chance.randrange(10)}")
    client.tls_set_context(broker.authority.client_context())
    client.username_pw_set(*NOISY)
    connected, published = threading.Event(), threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: published.set()
    client.connect(HOST, broker.ports["mqtt.tls_port"])
    client.loop_start()
    try:
        if not connected.wait(VISIT_S):
            raise TimeoutError
        client.subscribe("noise/+/#", 1)
        client.publish("noise/paho", b"x" * chance.randrange(5000), qos=1)
        if not published.wait(VISIT_S):
            raise TimeoutError
    finally:
        if chance.random() < 0.5:
            client.disconnect()
        client.loop_stop()


def by_native(broker: Everything, chance: random.Random) -> None:
    """WebSocket: JSON or MessagePack."""
    client = NativeRaw(
        (HOST, broker.ports["websocket.port"]), chance.choice(("hubbub.json", "hubbub.msgpack")), VISIT_S
    )
    try:
        client.say(type="subscribe", id="s", topic="noise/#")
        client.expect("subscribed")
        for number in range(10):
            client.say(type="publish", id=number, topic="noise/native", body="hello")
            client.expect("accepted")
    finally:
        client.close()


def by_a_balancer(broker: Everything, chance: random.Random) -> None:
    """AMQP with a PROXY header; sometimes it is no header."""
    header = chance.choice((b"PROXY TCP4 10.9.8.7 127.0.0.1 4711 5672\r\n", b"PROXY NONSENSE\r\n", b"AMQP\0\0\x09\x01"))
    raw = RawConnection.__new__(RawConnection)
    raw.address, raw.timeout_s, raw.frame_max = broker.address, VISIT_S, 131072
    raw.socket = socket.create_connection(broker.address, VISIT_S, source_address=(OTHER_HOST, 0))
    raw._buffer = bytearray()
    try:
        raw.send_bytes(header)
        raw.start()
        raw.start_ok(*NOISY)
        raw.tune_ok()
        raw.rpc("connection.open", virtual_host="/")
        raw.open_channel().rpc("queue.declare", queue="", exclusive=True)
    finally:
        raw.close()


def by_handshakes(broker: Everything, chance: random.Random) -> None:
    """TLS by name, whose certificate must be the one of that name; and handshakes that end in their midst."""
    context = broker.authority.client_context()
    context.check_hostname = True
    port = broker.ports[chance.choice(("amqp.tls_port", "mqtt.tls_port", "websocket.tls_port"))]
    with socket.create_connection((HOST, port), VISIT_S) as plain:
        if chance.random() < 0.3:
            plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00" + chance.randbytes(100))
            return
        with context.wrap_socket(plain, server_hostname=NAMED) as wrapped:
            names = dict(wrapped.getpeercert() or {}).get("subjectAltName", ())
            if ("DNS", NAMED) not in names:
                raise FaultError(names)


def by_a_watcher(broker: Everything, chance: random.Random) -> None:
    """The web UI's and Prometheus's questions."""
    paths = (
        "/api/overview", "/api/queues?sort=messages&page=1", "/api/connections", "/api/channels", "/api/nodes",
        "/api/consumers", "/api/hubbub/mqtt/sessions", "/api/bindings", "/api/vhosts", "/api/definitions",
        "/api/hubbub/traces", "/health/ready", "/api/queues?use_regex=true&name=^(a|aa)%2B$", "/metrics/per-object",
    )  # fmt: skip
    for path in chance.sample(paths, 4):
        status, answer = broker.api("GET", path, login=chance.choice(("guest:guest", "filed:filed", "eve:wrong")))
        if status >= 500 and path != "/health/ready":
            raise FaultError(path, status, answer)
    broker.metric("hubbub_loop_stall_longest_seconds")


def by_a_sleeper(broker: Everything, chance: random.Random) -> None:
    """Subscribes to everything, reads nothing."""
    client = MqttRaw((HOST, broker.ports["mqtt.port"]), mqtt_codec.V5, VISIT_S)
    try:
        client.connect(f"sleeper{chance.randrange(5)}", user="noisy", password=b"noisy")
        client.subscribe("#", qos=1)
        time.sleep(0.3)
    finally:
        client.reset() if chance.random() < 0.5 else client.close()


VISITS: tuple[Visit, ...] = (
    by_pika, by_aio_pika, by_aiomqtt, by_paho, by_native, by_a_balancer, by_handshakes, by_a_watcher, by_a_sleeper,
)  # fmt: skip


class Noise(threading.Thread):
    """One kind of visit, again and again, until `stopping`. `worth`: visits that came to their end, by kind."""

    def __init__(self, broker: Everything, visit: Visit, seed: int, worth: Counter[str]) -> None:
        super().__init__(daemon=True)
        self.broker, self.visit, self.worth = broker, visit, worth
        self.chance = random.Random(seed)
        self.stopping = threading.Event()
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            self.once()

    def once(self) -> None:
        """One visit."""
        try:
            self.visit(self.broker, self.chance)
            self.worth[self.visit.__name__] += 1
        except FaultError as error:
            self.faults.append(f"{self.visit.__name__}: {error}")
        except (Exception, asyncio.CancelledError):  # whatever a client makes of a broker that turns it out
            self.stopping.wait(0.05)
