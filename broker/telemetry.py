"""Spans for OpenTelemetry: what the broker did with a message that carries a trace context.

Owns what a span says, and which messages have some: those with a `traceparent` header (W3C Trace Context §3.2; over
MQTT 5 a user property of that name, which is the same header here) whose sampled flag is set. Making, batching and
sending spans is the SDK's, in a thread of its own. Refuses to change the message: its context goes on as it came.

    publish EXCHANGE   from the message's coming in; a child of the publisher's span
    deliver QUEUE      from there to its delivery; a child of `publish`

Invariants: without `telemetry.endpoint` nothing is watched; what the collector does not take in time is dropped by the
SDK, never waited for; at most FOLLOWED_MAX messages between publication and delivery are remembered.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from broker.authentication.backend import SetupError
from broker.core.events import Event
from broker.core.properties import header_value
from broker.core.sieve import ContextSieve
from broker.core.watch import MessageEvent, watch
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.message import Message
    from broker.core.vhost import VirtualHost
    from broker.telemetry_settings import Telemetry

FOLLOWED_MAX = 10_000
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
NANOSECONDS = 1_000_000
SENDING_S = 3


class Spans:
    """Of one broker, until `stop`."""

    def __init__(self, broker: Broker, settings: Telemetry) -> None:
        """`settings.endpoint` is set. SetupError where the extra is not installed."""
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
        except ImportError as error:
            raise SetupError(
                f"telemetry.endpoint needs the extra: pip install 'hubbub[otel]' ({error.name} is missing)"
            ) from None
        self.trace = trace
        sampler = ParentBased(ALWAYS_OFF, remote_parent_sampled=TraceIdRatioBased(settings.share))
        resource = Resource.create({"service.name": settings.service_name, "service.version": VERSION})
        self.provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=SENDING_S)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("hubbub", VERSION)
        self.broker = broker
        self.share = settings.share
        self.followed: OrderedDict[tuple[str, int], tuple[Any, int]] = OrderedDict()
        self.made = 0
        self.stopping: list[Callable[[], None]] = [broker.events.listen(self.hear_object)]
        for vhost in broker.vhosts.values():
            self.follow(vhost)

    def follow(self, vhost: VirtualHost) -> None:
        """Its messages, too."""
        self.stopping.append(watch(vhost, lambda event: self.hear(vhost, event), ContextSieve(self.share)))

    async def stop(self) -> None:
        """Send what is left; a collector that does not answer is not waited for beyond SENDING_S."""
        for each in self.stopping:
            each()
        await asyncio.to_thread(self.provider.shutdown)

    def hear_object(self, event: Event) -> None:
        """A vhost that comes is watched, too."""
        if event.name == "vhost.created":
            self.follow(self.broker.vhosts[event.fields["name"]])

    def hear(self, vhost: VirtualHost, event: MessageEvent) -> None:
        """Something has happened to a message."""
        message = event.message
        if message is None or event.name not in ("published", "delivered"):
            return
        parent = self.context_of(message)
        if parent is None:
            return
        at_ns = event.at_ms * NANOSECONDS
        if event.name == "published":
            context = self.span(f"publish {event.exchange or 'amq.default'}", parent, at_ns, at_ns, vhost, event)
            self.followed[vhost.name, vhost.watch.mark(message)] = (context, at_ns)
            if len(self.followed) > FOLLOWED_MAX:
                self.followed.popitem(last=False)
        else:
            published, since_ns = self.followed.get((vhost.name, message.mark), (parent, at_ns))
            taken_from = event.queue or event.who.client_id
            self.span(f"deliver {taken_from}", published, since_ns, at_ns, vhost, event)

    def context_of(self, message: Message) -> Any:
        """The trace context that a message carries; None where it has none that is sampled."""
        carried = header_value(message.raw_properties, "traceparent")
        if isinstance(carried, bytes):
            carried = carried.decode("ascii", "replace")
        found = TRACEPARENT.fullmatch(carried) if isinstance(carried, str) else None
        if found is None or not int(found.group(3), 16) & 1:
            return None
        context = self.trace.SpanContext(
            int(found.group(1), 16), int(found.group(2), 16), is_remote=True, trace_flags=self.trace.TraceFlags(1)
        )
        return context if context.is_valid else None

    def span(self, name: str, parent: Any, start_ns: int, end_ns: int, vhost: VirtualHost, event: MessageEvent) -> Any:
        """Make one that is over already; its context. Attributes follow OpenTelemetry's conventions for messaging."""
        assert event.message is not None
        published = event.name == "published"
        attributes: dict[str, Any] = {
            "messaging.system": "hubbub",
            "messaging.operation.name": "publish" if published else "deliver",
            "messaging.destination.name": event.exchange if published else event.queue,
            "messaging.rabbitmq.destination.routing_key": event.message.routing_key.decode("utf-8", "replace"),
            "messaging.message.body.size": event.message.body_size,
            "hubbub.vhost": vhost.name,
            "hubbub.redelivered": event.redelivered,
        }
        if published:
            attributes["hubbub.routed_to"] = list(event.routed_to)
        if event.who.client_id:
            attributes["messaging.client.id"] = event.who.client_id
        span = self.tracer.start_span(
            name,
            context=self.trace.set_span_in_context(self.trace.NonRecordingSpan(parent)),
            kind=self.trace.SpanKind.CONSUMER if published else self.trace.SpanKind.PRODUCER,
            attributes=attributes,
            start_time=start_ns,
        )
        span.end(end_time=end_ns)
        self.made += span.is_recording() or span.get_span_context().trace_flags.sampled
        return span.get_span_context()
