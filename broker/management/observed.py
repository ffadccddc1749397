"""What management is allowed to see of the broker.

Owns the list of names that management reads; the composition root provides them. What it changes it changes by the
core's own verbs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol


class ObservedBroker(Protocol):
    """The core. What is changed, is changed by its own verbs."""

    @property
    def vhosts(self) -> Mapping[str, Any]:
        """core.vhost.VirtualHost by name."""

    @property
    def access(self) -> Any:
        """core.access.Access."""

    @property
    def publish_rates(self) -> Any:
        """core.publish_rates.PublishRates."""

    @property
    def parameters(self) -> Any:
        """core.parameters.Parameters."""

    @property
    def is_full_of_lasting(self) -> bool:
        """Retained messages and sessions have what they may have of the memory."""

    @property
    def alarms(self) -> Mapping[str, str]:
        """Why publishers wait, by name; empty where they need not."""

    @property
    def events(self) -> Any:
        """core.events.Events."""

    @property
    def traces(self) -> Any:
        """core.traces.Traces."""

    @property
    def firehoses(self) -> Mapping[str, Any]:
        """core.firehose.Firehose by the vhost that it traces."""

    @property
    def intake(self) -> Any:
        """core.intake.Intake: what publishers have begun."""

    @property
    def fan_out(self) -> Any:
        """core.fan_out.FanOut: to how many messages were handed in this turn."""

    @property
    def queues_declared(self) -> int:
        """Since the start."""

    @property
    def queues_deleted(self) -> int:
        """Since the start."""

    @property
    def deleted_counts(self) -> Mapping[str, int]:
        """The ledgers of deleted queues, in one sum."""

    @property
    def deleted_session_counts(self) -> Mapping[str, int]:
        """… of those, the queues of MQTT sessions and shared subscriptions."""

    @property
    def dead_lettered(self) -> Mapping[str, int]:
        """Messages that were published again to a dead-letter exchange, by reason."""

    def exchange_counts(self) -> Mapping[str, int]:
        """What was published, routed, unroutable and returned."""

    def message_sizes(self) -> list[int]:
        """core.exchange.Exchange.size_counts of all exchanges."""

    def retained_counts(self) -> Mapping[str, int]:
        """What is retained, and what happened to it."""

    def queue_totals(self) -> Any:
        """core.totals.QueueTotals of all queues."""

    def trace_on(self, vhost: Any, node: str) -> None:
        """Publish what is published and delivered once more, to the trace exchange."""

    def trace_off(self, vhost: Any) -> None:
        """No more."""

    def vhost(self, name: str) -> Any:
        """The vhost of that name. Raises InvalidPath."""

    def add_vhost(self, name: str) -> Any:
        """Create a vhost, or find it."""

    def describe_vhost(self, vhost: Any, description: str, tags: Iterable[str]) -> None:
        """Say what a vhost is for."""

    def deleting_vhost(self, vhost: Any) -> Iterator[None]:
        """Remove a vhost and all that is in it, in steps."""


class ObservedMqtt(Protocol):
    """MQTT in its own words: facts by name, which become JSON as they are. `mqtt.observed.Observed`."""

    def counts(self) -> dict[str, int]:
        """What has happened since the start, by name."""

    def refusals(self) -> Iterator[tuple[str, str, int]]:
        """What clients were refused: packet, reason, how often."""

    def sessions(self) -> Iterator[dict[str, Any]]:
        """Every session."""

    def traffic(self) -> Iterable[Any]:
        """mqtt.traffic.Traffic of each version."""

    def ends(self) -> Mapping[str, tuple[int, int]]:
        """Publishers and consumers by protocol: `mqtt310`, `mqtt311`, `mqtt50`."""

    def figures(self) -> Mapping[str, int]:
        """What there is now: `connections`, `sessions`."""

    def session(self, vhost_name: str, client_id: str) -> dict[str, Any] | None:
        """One session with its subscriptions, or None."""

    def end_session(self, vhost_name: str, client_id: str) -> bool:
        """Tell its client, and forget it with all that waits. False where there is none."""

    def subscriptions(self) -> Iterator[dict[str, Any]]:
        """Every subscription."""

    def explained_message(self, topic: str, qos: int) -> Any:
        """A core.message.Message as a client would publish it. Raises ValueError."""

    def explained_subscriber(self, qos: int | None) -> Callable[..., dict[str, Any]]:
        """What a session makes of a message: core.explain.Subscribers. `qos` None: it comes over AMQP."""

    def explained_rule(self, rule: Any) -> dict[str, Any]:
        """An access rule in words."""

    def acls(self, vhost_name: str) -> Iterator[dict[str, Any]]:
        """Access rules in order; `number` is None for those of the configuration."""

    def set_acls(self, vhost_name: str, rows: list[dict[str, Any]]) -> None:
        """Replace those that have a number. Raises ValueError."""

    def retained(self, vhost: Any, topic_filter: str) -> list[Any]:
        """What a filter matches. Raises ValueError."""

    def binding_key(self, topic_filter: str) -> bytes:
        """A topic filter as a binding key of `amq.topic`. Raises ValueError."""

    def retained_facts(self, retained: Any) -> dict[str, Any]:
        """One of these, without its payload."""

    def retained_message(self, vhost: Any, topic: str) -> tuple[dict[str, Any], Any] | None:
        """One topic's facts and its core.message.Message, or None."""

    def remove_retained(self, vhost: Any, topic: str) -> bool:
        """Forget what a topic retains. False where that is nothing."""


class ObservedServer(Protocol):
    """Everything: what `broker.server.Server` provides."""

    @property
    def broker(self) -> ObservedBroker:
        """The core."""

    @property
    def store(self) -> Any:
        """storage.interface.Store."""

    @property
    def turn(self) -> Any:
        """net.turn.Turn."""

    @property
    def started_at(self) -> float:
        """Seconds since 1970."""

    @property
    def durability(self) -> str:
        """`fsync`, or `interval (N ms)`."""

    @property
    def listeners(self) -> Sequence[Any]:
        """What is listened on: name, address, port."""

    @property
    def certificates(self) -> Any:
        """net.tls.Certificates of the TLS listeners; None where there are none."""

    @property
    def audit(self) -> Any:
        """audit_log.AuditLog; None where none is written."""

    @property
    def attempts(self) -> Any:
        """attempts.LoginAttempts."""

    @property
    def accepting(self) -> bool:
        """False while no connection is accepted because the process has no descriptors left."""

    @property
    def edge_counts(self) -> Mapping[str, int]:
        """Counters of the edge by name: accepted, refused, accept_pauses."""

    @property
    def proxies(self) -> Any:
        """net.proxy_protocol.Proxies: its counts."""

    @property
    def connections_max(self) -> int:
        """One more is refused."""

    @property
    def memory_limit_bytes(self) -> int:
        """Messages in memory above which publishers are blocked."""

    @property
    def memory_alarm(self) -> Any:
        """memory_alarm.MemoryAlarm: `parts()`, `bytes`, `bytes_max`, `cut_count`."""

    @property
    def disk_free_limit_bytes(self) -> int:
        """Free space below which publishers are blocked."""

    @property
    def draining(self) -> Any:
        """draining.Draining: whether the broker is about to go."""

    def reload(self) -> tuple[list[str], list[str]]:
        """Read the settings anew: what changed, what needs a restart. ValueError: nothing changed, and why."""

    def shown_settings(self) -> dict[str, Any]:
        """The settings in force, by sections; secrets are hidden."""

    def connections(self) -> list[Any]:
        """The open connections."""

    @property
    def dialects(self) -> Mapping[str, Any]:
        """By RabbitMQ's name of the protocol ("amqp091"): who counts its connections and channels."""

    @property
    def observed_mqtt(self) -> ObservedMqtt:
        """Sessions, subscriptions and retained messages."""

    @property
    def stalls(self) -> Any:
        """net.stalls.Stalls: how late the loop is."""

    @property
    def spans(self) -> Any:
        """telemetry.Spans; None where there are none."""

    @property
    def scraped_objects_max(self) -> int:
        """So many objects of a kind are shown one by one on a page of metrics."""

    @property
    def websockets(self) -> Any:
        """websocket.endpoint.WebSocketEndpoint: its counts."""

    @property
    def websocket_paths(self) -> Iterable[str]:
        """What is served over WebSocket on the HTTP port, too."""

    def adopt_websocket(self, transport: Any, peer: tuple[str, int], head: bytes) -> Awaitable[None]:
        """Take a connection over, with the request that it began with; returns when it is lost."""

    async def publish(self, exchange: Any, message: Any) -> bool:
        """Route a message and wait until it is accepted; whether anybody wanted it."""

    async def stored(self) -> None:
        """Wait until everything that was done so far is on disk. Raises NotAccepted where it never will be."""
