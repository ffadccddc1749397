"""AMQP over TLS: real clients on a listener with certificates, SASL EXTERNAL, and peers that do not speak TLS."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pika
import pika.exceptions
import pytest
from pamqp.commands import Basic
from pika.adapters.blocking_connection import BlockingConnection
from pika.credentials import ExternalCredentials

from tests.support.amqp_raw import PeerClosedError, RawConnection
from tests.support.certificates import Authority
from tests.support.pika_client import Inbox, bodies, close_quietly, closes_channel, depth, get_soon
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer

pytestmark = pytest.mark.hubbub_only
PERSISTENT = pika.BasicProperties(delivery_mode=2)
HANDSHAKE_TIMEOUT_MS = 1500


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    for name in ("server", "limited", "actor", "nobody"):
        made.issue(name)
    made.issue("nameless", "/O=nobody in particular")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs in its own name what the server must not believe."""
    made = Authority(tmp_path_factory.mktemp("stranger"), "Stranger")
    made.issue("limited")
    return made


def make_server(directory: Path, authority: Authority, verify: str) -> HubbubServer:
    """A server whose only listener is the one for TLS; its `port` is that listener's."""
    server = HubbubServer(directory)
    server.settings = {
        "amqp.port": "null",
        "amqp.tls_port": server.port,
        "tls.certificate": authority.directory / "server.pem",
        "tls.key": authority.directory / "server.key",
        "tls.ca": authority.certificate,
        "tls.verify": verify,
        "limits.handshake_timeout_ms": HANDSHAKE_TIMEOUT_MS,
    }
    return server


Serve = Callable[[str], HubbubServer]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Serve]:
    """A running server for each verify mode that is asked for; at the end each exits 0 with a clean log."""
    servers: dict[str, HubbubServer] = {}

    def serve_one(verify: str) -> HubbubServer:
        if verify not in servers:
            servers[verify] = make_server(tmp_path_factory.mktemp(verify), authority, verify)
            servers[verify].start()
        return servers[verify]

    yield serve_one
    for server in servers.values():
        try:
            assert server.stop() == 0, server.log[-4000:]
            server.assert_clean()
        finally:
            server.kill()


def client_context(authority: Authority, name: str | None = None, signer: Authority | None = None) -> ssl.SSLContext:
    """Trusts `authority`; shows the certificate `name`, signed by `signer` if not by the authority itself."""
    directory = (signer or authority).directory
    return authority.client_context(None if name is None else (directory / f"{name}.pem", directory / f"{name}.key"))


def connect(server: HubbubServer, context: ssl.SSLContext, **parameters: Any) -> BlockingConnection:
    chosen = pika.ConnectionParameters(
        HOST, server.port, ssl_options=pika.SSLOptions(context, HOST), heartbeat=0, blocked_connection_timeout=20,
        socket_timeout=10, stack_timeout=20, **parameters,
    )  # fmt: skip
    return BlockingConnection(chosen)


@pytest.fixture
def connected(serve: Serve, authority: Authority) -> Iterator[Callable[..., BlockingConnection]]:
    """pika connections by verify mode, certificate and parameters."""
    opened: list[BlockingConnection] = []

    def connect_one(verify: str = "none", name: str | None = None, **parameters: Any) -> BlockingConnection:
        opened.append(connect(serve(verify), client_context(authority, name), **parameters))
        return opened[-1]

    yield connect_one
    for each in opened:
        close_quietly(each)


@contextlib.contextmanager
def raw_tls(server: HubbubServer, context: ssl.SSLContext) -> Iterator[RawConnection]:
    raw = RawConnection(server.address)
    raw.socket = context.wrap_socket(raw.socket, server_hostname=HOST)
    try:
        yield raw
    finally:
        raw.close()


Connected = Callable[..., BlockingConnection]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_pika_publishes_and_consumes_over_tls(serve: Serve, authority: Authority, version: ssl.TLSVersion) -> None:
    """The client verifies the server's certificate; everything else is as without TLS."""
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    connection = connect(serve("none"), context)
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    inbox = Inbox(channel, queue)
    for number in range(100):
        channel.basic_publish("", queue, b"%d" % number, PERSISTENT)
    inbox.wait(100)

    assert inbox.bodies == [b"%d" % number for number in range(100)]
    channel.basic_ack(inbox.deliveries[-1].method.delivery_tag, multiple=True)
    connection.close()


def test_large_messages_arrive_whole_both_ways(connected: Connected) -> None:
    """1 MiB spans many TLS records, frames and reads."""
    connection = connected()
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("tls.large", durable=True)
    sent = [bytes([number]) * 7 + hashlib.sha256(b"%d" % number).digest() * 32768 for number in range(24)]
    for body in sent:
        channel.basic_publish("", "tls.large", body, PERSISTENT)
    received: list[bytes] = []
    for method, _, body in channel.consume("tls.large", inactivity_timeout=20):
        assert method is not None, f"only {len(received)} came"
        received.append(hashlib.sha256(body).digest())
        channel.basic_ack(method.delivery_tag)
        if len(received) == len(sent):
            break
    channel.cancel()

    assert received == [hashlib.sha256(body).digest() for body in sent]
    assert channel.queue_delete("tls.large").method.message_count == 0


async def test_many_small_messages_are_confirmed_and_come_in_order(serve: Serve, authority: Authority) -> None:
    """aio-pika, 10,000 persistent messages, publishing and consuming at the same time on two connections."""
    count = 10_000
    url = f"amqps://guest:guest@{HOST}:{serve('none').port}/"
    context = client_context(authority)
    async with (
        await aio_pika.connect(url, ssl_context=context, timeout=20) as publisher,
        await aio_pika.connect(url, ssl_context=context, timeout=20) as consumer,
    ):
        channel, consuming = await publisher.channel(), await consumer.channel()
        queue = await consuming.declare_queue("tls.small", durable=True, exclusive=False)
        received: list[bytes] = []
        complete = asyncio.Event()

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            received.append(message.body)
            if len(received) == count:
                await message.ack(multiple=True)
                complete.set()

        await queue.consume(on_message)
        for start in range(0, count, 1000):
            confirms = await asyncio.gather(
                *(
                    channel.default_exchange.publish(
                        aio_pika.Message(b"%d" % number, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), "tls.small"
                    )
                    for number in range(start, start + 1000)
                )
            )
            assert all(isinstance(each, Basic.Ack) for each in confirms)
        await asyncio.wait_for(complete.wait(), 30)

        assert received == [b"%d" % number for number in range(count)]
        await queue.delete(if_unused=False)


def test_a_consumer_that_does_not_read_costs_bounded_memory(
    serve: Serve, authority: Authority, connected: Connected
) -> None:
    """What a slow reader leaves waits in its queue, not in the broker's buffers for its socket."""
    channel = connected().channel()
    channel.confirm_delivery()
    channel.queue_declare("tls.slow", durable=True)
    with raw_tls(serve("none"), client_context(authority)) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        raw.open().open_channel()
        raw.rpc("basic.consume", queue="tls.slow", no_ack=True, consumer_tag="slow")
        for _ in range(48):
            channel.basic_publish("", "tls.slow", bytes(1 << 20), PERSISTENT)
        waiting = depth(channel, "tls.slow")
        # At most 1 MiB of output, what the kernel and the TLS transport hold, and the message that filled it up.
        assert waiting >= 36, f"only {waiting} of 48 wait in the queue"
        for _ in range(48):
            assert len(raw.expect("basic.deliver").body) == 1 << 20
    assert channel.queue_delete("tls.slow").method.message_count == 0


# ── certificates of clients ──


@pytest.mark.parametrize("verify", ["optional", "required"])
def test_external_logs_in_as_the_common_name_of_the_certificate(connected: Connected, verify: str) -> None:
    """RFC 4422 appendix A: no password; the user's own permissions and name count."""
    channel = connected(verify, "limited", credentials=ExternalCredentials()).channel()
    channel.exchange_declare("limited-tls", "fanout", auto_delete=True)
    channel.queue_declare("limited-tls", auto_delete=True)
    channel.queue_bind("limited-tls", "limited-tls")
    channel.basic_publish("limited-tls", "", b"m", pika.BasicProperties(user_id="limited"))
    assert get_soon(channel, "limited-tls").properties.user_id == "limited"
    channel.queue_delete("limited-tls")
    with closes_channel(channel, 403):
        channel.queue_declare("anything-else")


def test_external_is_offered_only_to_those_who_showed_a_certificate(serve: Serve, authority: Authority) -> None:
    """RabbitMQ's ssl plugin does the same."""
    for verify, name, offered in (
        ("none", None, False),
        ("none", "limited", False),  # it was not asked for, and nobody has verified it
        ("optional", None, False),
        ("optional", "limited", True),
        ("required", "limited", True),
    ):
        with raw_tls(serve(verify), client_context(authority, name)) as raw:
            assert (b"EXTERNAL" in raw.start().fields["mechanisms"].split()) == offered, (verify, name)


@pytest.mark.parametrize(("verify", "name"), [("none", None), ("none", "limited"), ("optional", None)])
def test_external_without_a_certificate_is_refused(
    serve: Serve, authority: Authority, verify: str, name: str | None
) -> None:
    with raw_tls(serve(verify), client_context(authority, name)) as raw:
        raw.start()
        raw.start_ok(mechanism="EXTERNAL", response=b"limited")
        assert raw.expect("connection.close").fields["reply_code"] == 503


@pytest.mark.parametrize("name", ["nobody", "nameless"])
def test_external_with_a_certificate_that_names_no_user_is_refused(connected: Connected, name: str) -> None:
    with pytest.raises(pika.exceptions.ProbableAuthenticationError, match="EXTERNAL"):
        connected("optional", name, credentials=ExternalCredentials())


def test_a_certificate_does_not_stand_in_for_a_password(connected: Connected) -> None:
    """PLAIN asks for the password, whoever the certificate says it is."""
    with pytest.raises(pika.exceptions.ProbableAuthenticationError, match="PLAIN"):
        connected("required", "limited", credentials=pika.PlainCredentials("limited", "wrong"))
    assert connected("required", "limited", credentials=pika.PlainCredentials("actor", "actor")).is_open


@pytest.mark.parametrize("verify", ["optional", "required"])
def test_a_certificate_of_a_stranger_is_refused_in_the_tls_handshake(
    serve: Serve, authority: Authority, stranger: Authority, verify: str
) -> None:
    assert_no_greeting(serve(verify), client_context(authority, "limited", stranger))


def test_required_refuses_clients_without_a_certificate(serve: Serve, authority: Authority) -> None:
    assert_no_greeting(serve("required"), client_context(authority))


def test_optional_takes_clients_without_a_certificate(connected: Connected) -> None:
    assert connected("optional").is_open


def assert_no_greeting(server: HubbubServer, context: ssl.SSLContext) -> None:
    """With TLS 1.3 a client may believe in its handshake until it reads: no connection.start must come."""
    with pytest.raises((ssl.SSLError, ConnectionError, PeerClosedError)), raw_tls(server, context) as raw:
        raw.start()


# ── peers that do not do what they should ──


def test_a_plain_client_on_the_tls_port_does_no_harm(serve: Serve, connected: Connected) -> None:
    """It is cut off; whoever speaks TLS goes on."""
    before = connected()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        BlockingConnection(pika.ConnectionParameters(HOST, serve("none").port, socket_timeout=5, stack_timeout=5))
    raw = RawConnection(serve("none").address)
    raw.send_bytes(b"GET / HTTP/1.1\r\n\r\n" * 10_000)
    raw.wait_closed()
    raw.close()
    assert before.is_open
    before.channel().basic_qos()
    connected().channel().basic_qos()


def test_a_tls_client_on_a_plain_port_is_told_the_protocol(server: HubbubServer, authority: Authority) -> None:
    """Its ClientHello is not a protocol header: the answer is ours, which ends its handshake."""
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(server.address, 5) as plain,
        client_context(authority).wrap_socket(plain, server_hostname=HOST),
    ):
        pass


@pytest.mark.parametrize("handshaked", [False, True])
def test_a_silent_client_is_cut_after_the_time_for_the_handshake(
    serve: Serve, authority: Authority, handshaked: bool
) -> None:
    """Neither half a TLS handshake nor a TLS connection without a login lasts."""
    started = time.monotonic()
    if handshaked:
        with raw_tls(serve("none"), client_context(authority)) as raw:
            raw.wait_closed()
    else:
        raw = RawConnection(serve("none").address)
        raw.send_bytes(b"\x16\x03\x01")  # the beginning of a ClientHello
        raw.wait_closed()
        raw.close()
    assert HANDSHAKE_TIMEOUT_MS / 1000 * 0.8 < time.monotonic() - started < 8


def test_a_client_that_vanishes_gives_back_what_it_had(
    serve: Serve, authority: Authority, connected: Connected
) -> None:
    """A reset in the middle of TLS is a lost connection like any other: its deliveries return."""
    channel = connected().channel()
    queue = channel.queue_declare("tls.vanished", auto_delete=False).method.queue
    channel.basic_publish("", queue, b"m")
    with raw_tls(serve("none"), client_context(authority)) as raw:
        raw.open().open_channel()
        raw.rpc("basic.consume", queue=queue)
        assert raw.expect("basic.deliver").body == b"m"
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    assert get_soon(channel, queue).method.redelivered
    assert bodies(channel, queue) == []
    channel.queue_delete(queue)


def test_sighup_takes_a_renewed_certificate_into_use(tmp_path: Path, authority: Authority) -> None:
    """Who is connected stays; files that are broken change nothing."""
    files = {suffix: tmp_path / f"server.{suffix}" for suffix in ("pem", "key")}

    def put(name: str) -> None:
        for suffix, path in files.items():
            shutil.copy(authority.directory / f"{name}.{suffix}", path)

    def shown() -> str:
        with (
            socket.create_connection(server.address, 5) as plain,
            client_context(authority).wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            subject: Any = (secured.getpeercert() or {})["subject"]
        return str(subject[0][0][1])

    def hang_up(told: str) -> None:
        assert server.process is not None
        before = server.log.count(told)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: server.log.count(told) > before, what=told)

    put("server")
    server = make_server(tmp_path, authority, "none")
    server.settings |= {"tls.certificate": files["pem"], "tls.key": files["key"], "tls.reload_interval_s": 0}
    server.start()
    try:
        connection = connect(server, client_context(authority))
        assert shown() == "server"
        put("actor")
        hang_up("certificates are read anew")
        assert shown() == "actor"
        files["key"].write_text("no key")
        hang_up("the certificates stay as they were")
        assert shown() == "actor"
        connection.channel().basic_qos()
        connection.close()
        assert server.stop() == 0, server.log[-4000:]
    finally:
        server.kill()


def test_stopping_says_farewell_over_tls_and_lets_nobody_in(tmp_path: Path, authority: Authority) -> None:
    """SIGTERM: connection.close 320 for those who are connected, no new connections meanwhile, exit code 0."""
    server = make_server(tmp_path, authority, "none")
    server.start()
    try:
        connection = connect(server, client_context(authority))
        with raw_tls(server, client_context(authority)) as slow:
            slow.open()
            assert server.process is not None
            server.process.terminate()
            assert slow.expect("connection.close").fields["reply_code"] == 320
            with pytest.raises(ConnectionRefusedError):  # although the slow one has not answered
                RawConnection(server.address)
            with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
                connection.process_data_events(10)
            assert closed.value.reply_code == 320
            slow.send("connection.close-ok")
            slow.wait_closed()
        assert server.wait() == 0
        server.assert_clean()
    finally:
        server.kill()
