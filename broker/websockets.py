"""What is served over WebSocket: the paths and their dialects, put together from the settings.

Belongs to the composition root (`server`), which alone may know the dialects and what carries them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.config import Settings
from broker.core.broker import Broker
from broker.websocket.endpoint import Path, WebSocketEndpoint
from broker.wire.connection import Connection


def websocket_endpoint(broker: Broker, settings: Settings, *, amqp: Callable[[Any], Connection]) -> WebSocketEndpoint:
    """The endpoint of `websocket:`. `amqp(listener)` makes connections of that dialect."""
    section = settings.websocket
    paths = {
        # @cloudamqp/amqp-client names no subprotocol.
        "/amqp": Path(lambda listener, _subprotocol: amqp(listener), ("amqp",), is_optional=True),
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
