"""Every limit of the broker, in one place, with its unit in its name.

Owns the defaults; the operator overrides them under `limits:` in the configuration. Refuses to know what happens at a
limit: whoever holds one answers in its own protocol's words and counts.
"""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Immutable; handed down by constructors."""

    # ── edge ──────────────────────────────────────────────────────────────────────────────────────────────────────
    connections_max: int = 65_536
    """Open connections; one more is closed at once and counted."""
    accepts_per_turn_max: int = 64
    """Connections accepted per listener and turn of the loop."""
    read_bytes_max: int = 256 * KIB
    """The shared read buffer: what one turn reads of one connection. At least twice `amqp.frame_max`."""
    output_high_bytes: int = 1 * MIB
    """A connection with more than this to send gets no deliveries until half of it is sent."""
    output_bytes_max: int = 256 * MIB
    """A peer that lets more than this pile up is cut off."""
    pooled_bytes_max: int = 32 * MIB
    """Free output buffers that are kept for the next burst."""
    flush_rounds_max: int = 4
    """How often one turn refills outputs that were flushed completely."""
    linger_ms: int = 5_000
    """How long a peer may take to read our last words and to close."""
    drain_timeout_ms: int = 2_000
    """How long connections may take to say farewell when the broker stops."""
    listen_backlog: int = 4_096
    """Connections that the kernel completes before they are accepted."""

    # ── a dialect's handshake ─────────────────────────────────────────────────────────────────────────────────────
    handshake_timeout_ms: int = 10_000
    """From the connection to its login."""
    proxy_header_bytes_max: int = 4 * KIB
    """A PROXY header of version 2 with all that it carries."""

    # ── a connection and its channels ─────────────────────────────────────────────────────────────────────────────
    message_bytes_max: int = 128 * MIB
    """One message's body."""
    consumers_per_channel_max: int = 65_535
    """Consumers of one channel."""
    unacked_per_channel_max: int = 4_194_304
    """Deliveries that one channel has not yet settled; above it the channel gets no more."""
    transaction_operations_max: int = 1_048_576
    """Publishes and acknowledgements that one open transaction holds back."""
    transaction_bytes_max: int = 128 * MIB
    """Messages that one open transaction holds back."""
    begun_bytes_per_connection_max: int = 256 * MIB
    """Of one connection: bodies announced and not yet whole, and what its transactions hold. One is always let in."""
    begun_stalled_ms: int = 30_000
    """While memory is short because of what was begun: how long a connection may let it lie."""
    open_batch_bytes_max: int = 64 * MIB
    """Of messages that wait for the disk; above it connections that publish are not read until it has caught up."""
    batch_linger_ms: int = 5
    """How long what nobody waits for (acknowledgements by consumers) may gather, so that the disk is free."""

    logins_waiting_max: int = 1_024
    """Logins, and questions about rights, that wait for a backend outside of the broker; one more is refused."""

    # ── MQTT ──────────────────────────────────────────────────────────────────────────────────────────────────────
    mqtt_receive_max: int = 32_768
    """QoS 1 and 2 messages of one client that are not yet acknowledged to it."""
    mqtt_inflight_max: int = 1_024
    """… and to one client that it has not yet acknowledged; a client may ask for fewer. Below 32768."""
    mqtt_topic_aliases_max: int = 32
    """Topic aliases of one connection, each way."""
    mqtt_control_packet_bytes_max: int = 128 * KIB
    """Every packet but PUBLISH, and of that what stands before its payload; below `read_bytes_max`."""
    mqtt_topic_levels_max: int = 128
    """Levels of a topic name or filter."""
    mqtt_topic_bytes_max: int = 65_535
    """Octets of a topic name or filter; MQTT itself ends at 65,535."""
    mqtt_subscriptions_per_session_max: int = 1_048_576
    """Topic filters of one session; one more is refused with 0x97."""
    mqtt_retained_per_subscribe_max: int = 1_048_576
    """Retained messages that one SUBSCRIBE may bring; a filter that asks for more is refused with 0x97."""

    # ── WebSocket ─────────────────────────────────────────────────────────────────────────────────────────────────
    http_head_bytes_max: int = 8 * KIB
    """The HTTP request that asks for a WebSocket; below `read_bytes_max`."""
    websocket_frame_bytes_max: int = 130 * MIB
    """The payload of one frame. What is streamed (MQTT, AMQP) is never held whole."""
    websocket_message_bytes_max: int = 4 * MIB
    """A message that is needed whole: of the native dialect, or compressed; after decompression, too."""

    websocket_subscriptions_max: int = 1_024
    """Of one client of the native dialect."""
    websocket_credit_max: int = 65_535
    """Messages of one such subscription that wait for their acknowledgement."""
    websocket_awaited_max: int = 10_000
    """Publications of one such client that are not yet accepted; above it the client is not read."""

    # ── vhosts, exchanges, queues ─────────────────────────────────────────────────────────────────────────────────
    queues_max: int = 1_048_576
    """Queues of one vhost."""
    exchanges_max: int = 1_048_576
    """Exchanges of one vhost."""
    bindings_max: int = 4_194_304
    """Bindings of one vhost, subscriptions to topics among them."""
    routes_cached_max: int = 4_096
    """Routing keys whose targets one exchange remembers."""
    fan_out_ms_per_turn_max: int = 20
    """A turn of the loop that takes longer hands no more messages to several targets: their publishers rest."""
    queue_memory_bytes_max: int = 16 * MIB
    """Messages of one queue that stay in memory; the rest waits on disk."""

    # ── retained messages, of one vhost ───────────────────────────────────────────────────────────────────────────
    retained_messages_max: int = 1_048_576
    """Topics with a retained message."""
    retained_bytes_max: int = 512 * MIB
    """Memory of all retained messages; they are held in memory."""
    retained_message_bytes_max: int = 16 * MIB
    """Payload of one retained message."""
