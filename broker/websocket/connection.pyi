"""Typed signatures of the Python half of `connection.pyx`."""

from typing import Any

from broker.websocket.endpoint import WebSocketEndpoint
from broker.wire.connection import Connection
from broker.wire.output import Output

class WebSocketConnection(Connection):
    """One peer that speaks HTTP first, and then frames."""

    timer: Any
    heard_bytes: int
    pinged: bool

    def __init__(self, endpoint: WebSocketEndpoint) -> None: ...
    @property
    def endpoint(self) -> WebSocketEndpoint: ...
    @property
    def carried(self) -> Connection | None: ...
    @property
    def path(self) -> str: ...
    @property
    def subprotocol(self) -> str: ...
    @property
    def state(self) -> int: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def gathered_bytes(self) -> int: ...
    def carry(
        self,
        carried: Connection,
        *,
        path: str,
        subprotocol: str,
        peer: str,
        by_message: bool,
        is_text: bool,
        deflates: bool,
        message_bytes_max: int,
        response: bytes,
    ) -> None: ...
    def refuse(self, response: bytes) -> None: ...
    def ping(self) -> None: ...
    def end(self, code: int, text: str) -> None: ...
    def cut(self, reason: str) -> None: ...
    def feed_again(self) -> None: ...

class CarriedOutput(Output):
    """What a carried dialect writes to."""

    def send_message(self, message: bytes) -> None: ...
    def close_with(self, code: int, text: str) -> None: ...
