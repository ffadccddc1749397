"""The only composition root: it alone knows every part, makes each one once, and hands it what it needs.

    store → core (restore) → edge → listeners → management          start
    listeners → connections → management → core → store             stop: the same, backwards

Owns the order of starting and stopping, signals, and what the process asks of the operating system. Refuses to know
what any part does.

Invariants: nothing listens before everything is restored; after `stop` everything that was accepted is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from broker.amqp.connection import AmqpConnection
from broker.amqp.endpoint import Endpoint
from broker.audit_log import AuditLog
from broker.authentication.build import chain_of
from broker.authentication.password_checks import PasswordChecks
from broker.authentication.questions import Questions
from broker.boot_definitions import take_definitions
from broker.config import Settings, shown
from broker.core.broker import Broker, Restored
from broker.core.clock import Clock
from broker.core.errors import NotAccepted
from broker.core.event_exchange import EventExchange, remove_event_exchange
from broker.core.exchange import Exchange
from broker.core.message import Message
from broker.draining import Draining
from broker.garbage import Garbage
from broker.management.app import Management
from broker.management.attempts import LoginAttempts
from broker.management.views import NODE
from broker.memory_alarm import MemoryAlarm
from broker.mqtt.connection import MqttConnection
from broker.mqtt.endpoint import Endpoint as MqttEndpoint
from broker.mqtt.observed import Observed as ObservedMqtt
from broker.net.listener import Listener, join_address
from broker.net.loop_clock import LoopClock
from broker.net.poller import Poller
from broker.net.proxy_protocol import Proxies
from broker.net.stalls import Stalls
from broker.net.stream import StreamEdge
from broker.net.supervisor import Supervisor
from broker.net.tls import Certificates
from broker.net.turn import Turn
from broker.ports import Ports, raise_descriptor_limit
from broker.reloading import Reloaded, SettingsRefusedError, certificate_files, reload
from broker.telemetry import Spans
from broker.turn import BrokerTurn
from broker.version import VERSION
from broker.websocket.connection import WebSocketConnection
from broker.websocket.native import NativeEndpoint
from broker.websocket.sniffing import sniffing
from broker.websockets import websocket_endpoint
from broker.wire.buffers import BufferPool
from broker.wire.connection import Connection
from storage.layout import Database, definition_prefix
from storage.lmdb_store import LmdbStore

log = logging.getLogger("hubbub.server")

SWITCH_INTERVAL_S = 0.0005
"""How long the loop may keep another Python thread (a password being hashed, a backup) waiting."""
CERTIFICATES_MS = 1_000


class Server:
    """One broker process: `start`, then `stop`."""

    def __init__(self, settings: Settings, load: Callable[[], Settings] | None = None) -> None:
        """`load()` reads the settings anew, as they were read for the first time. None: they never change."""
        self.settings = settings
        self.load = load or (lambda: settings)
        self.started_at = time.time()
        self.restored = Restored(0, 0, 0.0)
        self.stopped = False
        self.looked_ms = 0
        self.draining = Draining(lambda: self.settings.drain_after_s)
        self._closing = AsyncExitStack()

    # ── start ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Open the store, restore, listen. Whatever fails, what was opened before it is closed again.

        Raises StoreError, ListenError, TlsError, SetupError, OSError: each with a text for the operator.
        """
        try:
            self._open_core()
            self._open_edge()
            await self._listen()
        except BaseException:
            await self._closing.aclose()
            raise
        self._settle_process()
        self.stalls.start()
        self._log_summary()

    def _open_core(self) -> None:
        settings, limits = self.settings, self.settings.limits
        loop = asyncio.get_running_loop()
        directory = Path(settings.data_dir)
        directory.mkdir(parents=True, exist_ok=True)
        self.store = LmdbStore(
            str(directory),
            durability=settings.durability.mode,
            interval_ms=settings.durability.interval_ms,
            linger_ms=settings.limits.batch_linger_ms,
            journal_bytes=settings.durability.journal_bytes,
            disk_free_min_bytes=settings.disk_free_min_bytes,
        )
        self._closing.callback(self.store.close)
        self.clock = Clock()
        hooks = BrokerTurn(self.clock, self.store)
        self.turn = Turn(loop, hooks, limits.flush_rounds_max)
        self.loop_clock = LoopClock(loop, self.clock.advance, self.turn.wake)
        self._closing.callback(self.loop_clock.stop)
        hooks.attach(self.loop_clock)
        self.stalls = Stalls(loop, self.turn, settings.log.stall_ms)
        self._closing.callback(self.stalls.stop)
        self.clock.now_ms = self.loop_clock.time_ms()
        self.clock.earlier = self.loop_clock.earlier
        self.broker = Broker(self.store, self.clock, limits)
        self.broker.fan_out.time_ms = self.loop_clock.time_ms
        self.broker.access.failures.use(settings.login_failures)
        self.attempts = LoginAttempts()
        self.broker.events.login_watcher = self.attempts.watch
        self.store.on_status = self._on_store_status
        if self.store.status != "ok":  # the disk was full before we came
            self._on_store_status(self.store.status, self.store.status_text)
        self.restored = self.broker.restore()
        self._closing.callback(self.broker.close)
        self._seed()
        if settings.events.exchange:
            EventExchange(self.broker.add_vhost(settings.events.vhost), NODE)
        else:
            remove_event_exchange(self.broker)
        self.store.sync()
        self._audit()
        self._send_spans()
        self._ask_others()
        self.memory_alarm = MemoryAlarm(
            self.broker, self.clock, settings.memory.messages_bytes_max, settings.limits.begun_stalled_ms
        )

    def _send_spans(self) -> None:
        """SetupError where the library is not there."""
        telemetry = self.settings.telemetry
        self.spans = Spans(self.broker, telemetry) if telemetry.endpoint is not None else None
        if self.spans is not None:
            self._closing.push_async_callback(self.spans.stop)

    def _audit(self) -> None:
        """OSError where the file cannot be opened."""
        audit = self.settings.audit
        self.audit = AuditLog(audit.file, self.clock, objects=audit.objects) if audit.file is not None else None
        if self.audit is not None:
            self.broker.events.listen(self.audit.on_event)
            self._closing.callback(self.audit.close)

    def _ask_others(self) -> None:
        """Whoever else knows users. SetupError."""
        waiting_max = self.settings.limits.logins_waiting_max
        access = self.broker.access
        access.certificate_name = self.settings.authentication.certificate.name
        self.checks = PasswordChecks(access, self.clock, Questions(waiting_max, self.turn.enter))
        access.checks = self.checks
        self._closing.push_async_callback(self.checks.close)
        self.authentication = chain_of(
            self.settings.authentication,
            access,
            self.checks,
            self.clock,
            waiting_max=waiting_max,
            enter=self.turn.enter,
        )
        if self.authentication is not None:
            access.others = self.authentication
            self._closing.push_async_callback(self.authentication.close)

    def _seed(self) -> None:
        """Vhosts that the configuration names and the store lacks; and in a new store, the configuration's users.

        Later the store's users count alone: one that an administrator deleted must not come back with the next start.
        """
        for name in self.settings.vhosts:
            self.broker.add_vhost(name)
        start, end = definition_prefix("user")
        if self.store.scan(Database.DEFINITIONS, start, end, 1):
            return
        access = self.broker.access
        for name in list(access.users):
            access.delete_user(name)
        for user in self.settings.users:
            access.add_user(user.name, user.password.encode(), tags=tuple(user.tags), loopback_only=user.loopback_only)
            for each in user.permissions:
                access.set_permission(each.vhost, user.name, each.configure, each.write, each.read)

    def _open_edge(self) -> None:
        limits = self.settings.limits
        loop = asyncio.get_running_loop()
        raise_descriptor_limit(limits.connections_max)
        pool = BufferPool(limits.pooled_bytes_max)
        shared: dict[str, Any] = {
            "read_bytes_max": limits.read_bytes_max,
            "high_bytes": limits.output_high_bytes,
            "bytes_max": limits.output_bytes_max,
            "connections_max": limits.connections_max,
            "linger_s": limits.linger_ms / 1000,
        }
        self.poller = Poller(loop, self.turn, pool, accepts_max=limits.accepts_per_turn_max, **shared)
        self._closing.callback(self.poller.close)
        self.poller.watch(self.store.notify_fd)
        self.streams = StreamEdge(loop, self.turn, pool, **shared)
        self._closing.callback(self.streams.close)
        self.memory_alarm.counts |= {"unread": lambda: self.turn.kept_bytes, "output": lambda: pool.taken_bytes}
        self.memory_alarm.connections = self._edge_connections

        self.ports = Ports(self.settings, self.poller, self.streams, self._closing)
        self.certificates = self._read_certificates()

    def _read_certificates(self) -> Certificates | None:
        """The certificates of all TLS listeners; None where there is no such listener. TlsError."""
        tls = self.settings.tls
        if tls.certificate is None or tls.key is None:
            return None
        self.clock.call_at(self.clock.now_ms + CERTIFICATES_MS, self._look_at_certificates)
        return Certificates(certificate_files(tls), tls.ca, tls.verify, tls.minimum_version)

    def _look_at_certificates(self) -> None:
        """Every second it is looked whether it is time to look at the files."""
        interval_ms = self.settings.tls.reload_interval_s * 1000
        if self.certificates is not None and interval_ms and self.clock.now_ms - self.looked_ms >= interval_ms:
            self.looked_ms = self.clock.now_ms
            self.certificates.look()
        self.clock.call_at(self.clock.now_ms + CERTIFICATES_MS, self._look_at_certificates)

    async def _listen(self) -> None:
        settings = self.settings
        make_amqp, make_mqtt = self._amqp_factory(), self._mqtt_factory()
        anonymous = settings.anonymous
        self.native = NativeEndpoint(
            self.broker, settings.limits, anonymous_user=anonymous.user if anonymous.enabled else ""
        )
        self.websockets = websocket_endpoint(self.broker, settings, self.native, amqp=make_amqp, mqtt=make_mqtt)
        websockets = self.websockets.connections
        self.memory_alarm.counts["gathered"] = lambda: sum(each.gathered_bytes for each in websockets)
        if settings.definitions_file is not None:
            await take_definitions(self, settings.definitions_file)
        context = self.certificates.context if self.certificates is not None else None
        on_both = settings.websocket.on_plain_ports
        ports, sniff = self.ports, lambda make: sniffing(self.websockets, make) if on_both else make
        await ports.serve("amqp", settings.amqp, make_amqp, ("amqps", context), sniff)
        await ports.serve("mqtt", settings.mqtt, make_mqtt, ("mqtts", context), sniff)
        await ports.serve("websocket", settings.websocket, self._make_websocket, ("websocket-tls", context))
        management = Management(self)
        for name, section, make in (
            ("management", settings.management, management.api),
            ("metrics", settings.metrics, management.metrics),
        ):
            await ports.serve_http(name, section, partial(management.serve, make), (f"{name}-tls", context))

    def _make_websocket(self, listener: Any) -> Connection:
        return WebSocketConnection(self.websockets)

    @property
    def websocket_paths(self) -> tuple[str, ...]:
        """What is served over WebSocket on the HTTP port, too."""
        return tuple(self.websockets.paths) if self.settings.websocket.on_management_port else ()

    def adopt_websocket(self, transport: Any, peer: tuple[str, int], head: bytes) -> Awaitable[None]:
        """Take a connection over from the HTTP server, with its request; returns when it is lost."""
        name = transport.get_extra_info("sockname") or ("", 0)
        listener = join_address(*name[:2])
        return self.streams.adopt(transport, listener, self._make_websocket, bytearray(head), join_address(*peer))

    def _amqp_factory(self) -> Callable[[Listener], Connection]:
        """Makes connections of the AMQP dialect."""
        amqp, anonymous = self.settings.amqp, self.settings.anonymous
        self.amqp = Endpoint(
            self.clock,
            self.settings.limits,
            frame_max=amqp.frame_max,
            channel_max=amqp.channel_max,
            heartbeat_s=amqp.heartbeat_s,
            consumer_timeout_ms=amqp.consumer_timeout_ms,
            anonymous_user=anonymous.user if anonymous.enabled else "",
        )
        return lambda listener: AmqpConnection(self.broker, self.amqp)

    def _mqtt_factory(self) -> Callable[[Listener], Connection]:
        """Makes connections of the MQTT dialect, whose sessions are restored by now."""
        certificate_is_login = self.settings.authentication.certificate.mqtt
        self.mqtt = MqttEndpoint(
            self.broker, self.settings.limits, self.settings.mqtt, certificate_is_login=certificate_is_login
        )
        self.mqtt.restore()
        self.observed_mqtt = ObservedMqtt(self.mqtt)
        self.memory_alarm.counts["sessions"] = self.mqtt.sessions.memory_bytes
        self.store.sync()
        return lambda listener: MqttConnection(self.broker, self.mqtt)

    def _settle_process(self) -> None:
        """The interpreter, as a process wants it that has a loop and a thread that writes."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        garbage = Garbage(self.clock)
        garbage.start()
        self._closing.callback(garbage.stop)

    def _log_summary(self) -> None:
        log.info(
            "hubbub %s is ready",
            VERSION,
            extra={
                "pid": os.getpid(),
                "data_dir": str(Path(self.settings.data_dir).resolve()),
                "durability": self.durability,
                "restored": f"{self.restored.queues} queues with {self.restored.messages} messages "
                f"in {self.restored.seconds:.3f} s",
                **{listener.name: str(listener) for listener in self.listeners},
            },
        )

    # ── while it runs ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def durability(self) -> str:
        """`fsync`, or `interval (N ms)`: what the overview and the summary show."""
        durability = self.settings.durability
        return durability.mode if durability.mode == "fsync" else f"{durability.mode} ({durability.interval_ms} ms)"

    @property
    def listeners(self) -> list[Listener]:
        """What is listened on."""
        return self.ports.listeners

    def connections(self) -> list[Connection]:
        """Every open connection of a dialect, whatever carries it."""
        return [getattr(each, "carried", None) or each for each in self._edge_connections()]

    def _edge_connections(self) -> list[Connection]:
        return [*self.poller.connections(), *self.streams.connections()]

    @property
    def dialects(self) -> dict[str, Endpoint]:
        """Who counts connections and channels, by RabbitMQ's name of the protocol."""
        return {"amqp091": self.amqp}

    @property
    def connections_max(self) -> int:
        """One more is refused."""
        return self.settings.limits.connections_max

    @property
    def scraped_objects_max(self) -> int:
        """So many objects of a kind are shown one by one on a page of metrics."""
        return self.settings.metrics.objects_max

    @property
    def memory_limit_bytes(self) -> int:
        """Messages in memory above which publishers are blocked."""
        return self.memory_alarm.bytes_max

    @property
    def disk_free_limit_bytes(self) -> int:
        """Free space below which publishers are blocked."""
        return self.settings.disk_free_min_bytes

    def reload(self) -> Reloaded:
        """Read anew: settings, certificates, password file; the audit log is opened anew. SettingsRefusedError."""
        self.turn.enter()
        if self.audit is not None:
            self.audit.reopen()
        if self.certificates is not None:
            self.certificates.reload()
        if self.authentication is not None:
            self.authentication.reload()
        return reload(self, self.load)  # the last: files are renewed though the settings be refused

    def shown_settings(self) -> dict[str, Any]:
        """The settings in force, by sections; secrets are hidden."""
        return shown(self.settings)

    def _on_hangup(self) -> None:
        with suppress(SettingsRefusedError):  # which the log tells of
            self.reload()

    async def publish(self, exchange: Exchange, message: Message) -> bool:
        """Route a message that comes over HTTP, and wait until it is accepted (law 1); whether anybody wanted it."""
        self.turn.enter()
        routed = exchange.publish_message(message) != 0
        await self.stored()
        return routed

    async def stored(self) -> None:
        """Wait until everything that was done so far is on disk. Raises NotAccepted where it never will be."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_stored() -> None:
            if not committed.done():
                committed.set_result(None)

        def on_refused() -> None:
            if not committed.done():
                committed.set_exception(NotAccepted(self.store.status_text or "the store has failed"))

        self.broker.when_stored(on_stored, on_refused)
        self.turn.wake()
        await committed

    @property
    def proxies(self) -> Proxies:
        """Whose PROXY headers count, and what was refused."""
        return self.ports.proxies

    @property
    def accepting(self) -> bool:
        """False while no connection is accepted because the process has no descriptors left."""
        return self.poller.accepting

    @property
    def edge_counts(self) -> dict[str, int]:
        """What the edge counts: `accepted`, `refused` (too many), `accept_pauses` (out of descriptors)."""
        return {
            "accepted": self.poller.accepted_count + self.streams.accepted_count,
            "refused": self.ports.refused_count,
            "accept_pauses": self.poller.accept_pause_count,
        }

    def _on_store_status(self, status: str, text: str) -> None:
        """The disk is full, has room again, or has failed: publishers wait, or go on."""
        if status == "ok":
            log.warning("the store accepts again")
            self.broker.clear_alarm("disk")
        else:
            log.error("the store does not accept: %s", text, extra={"status": status})
            self.broker.raise_alarm("disk", text)

    # ── stop ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> None:
        """Accept no more, say farewell to every connection, commit, close. Raises StoreError if the commit fails."""
        started = time.monotonic()
        self.ports.stop_listening()
        self.turn.enter()
        for connection in self._edge_connections():
            connection.shut_down("broker forced connection closure with reason 'shutdown'")
        drain_until = started + self.settings.limits.drain_timeout_ms / 1000
        while self.connections() and time.monotonic() < drain_until:
            await asyncio.sleep(0.01)
        cut = len(self.connections())
        self.stopped = True
        await self._closing.aclose()
        log.info("hubbub has stopped", extra={"cut": cut, "seconds": round(time.monotonic() - started, 3)})


async def serve(
    settings: Settings,
    ready: Callable[[Server], Awaitable[None]] | None = None,
    load: Callable[[], Settings] | None = None,
) -> None:
    """Run a broker until it is to go: SIGTERM, SIGINT, `hubbub drain`. `ready` is awaited once everything listens."""
    server = Server(settings, load)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # before anybody can connect: who is accepted gets a farewell
        loop.add_signal_handler(number, server.draining.on_signal)
    await server.start()
    loop.add_signal_handler(signal.SIGHUP, server._on_hangup)
    supervisor = Supervisor(os.environ)
    supervisor.say_ready("serving")
    if ready is not None:
        await ready(server)
    await server.draining.over.wait()
    log.info("stopping")
    supervisor.say_stopping()
    await server.stop()


def run(settings: Settings, load: Callable[[], Settings] | None = None) -> None:
    """`serve` on the fastest event loop that there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(settings, load=load))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, load=load))
