"""What is served over WebSocket: the paths and their dialects, put together from the settings.

Belongs to the composition root (`server`), which alone may know the dialects and what carries them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.config import Settings
from broker.core.broker import Broker
from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.websocket.native import SUBPROTOCOLS, NativeEndpoint
from broker.wire.connection import Connection


def websocket_endpoint(
    broker: Broker,
    settings: Settings,
    native: NativeEndpoint,
    *,
    amqp: Callable[[Any], Connection],
    mqtt: Callable[[Any], Connection],
) -> WebSocketEndpoint:
    """The endpoint of `websocket:`. `amqp(listener)`, `mqtt(listener)` make connections of those dialects."""
    section = settings.websocket
    paths = {
        # [MQTT-6.0.0-3]: a client names "mqtt"; those of 3.1 name "mqttv3.1".
        "/ws": Path(lambda listener, _subprotocol: mqtt(listener), ("mqtt", "mqttv3.1")),
        # @cloudamqp/amqp-client names no subprotocol.
        "/amqp": Path(lambda listener, _subprotocol: amqp(listener), ("amqp",), is_optional=True),
        "/hubbub": Path(
            native.make,
            ("hubbub.json", "hubbub.msgpack"),
            is_optional=True,
            by_message=True,
            in_text=frozenset(name for name, encoding in SUBPROTOCOLS.items() if encoding == "json"),
        ),
    }
    return WebSocketEndpoint(
        broker.clock,
        settings.limits,
        paths,
        origins=section.origins,
        trusted_proxies=section.trusted_proxies,
        deflate=section.deflate,
        ping_interval_s=section.ping_interval_s,
    )
