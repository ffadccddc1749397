"""WebSockets without sockets, to the broker of `mqtt_in_process`: fed by hand, and read as frames.

Owns the endpoint with its three dialects as `broker.websockets` puts them together, and one connection with its bytes.
What a client could not read is the broker's fault: `BrokenBrokerError`.
"""

from __future__ import annotations

from broker.amqp.connection import AmqpConnection
from broker.config import Settings, WebSocket
from broker.limits import Limits
from broker.mqtt.connection import MqttConnection
from broker.websocket.connection import WebSocketConnection
from broker.websocket.native import NativeConnection, NativeEndpoint
from broker.websockets import websocket_endpoint
from broker.wire.output import Output
from tests.support.in_process import BrokenBrokerError
from tests.support.mqtt_in_process import MqttInProcess
from tests.support.websocket_frames import Frame, read_frames


class EdgeOutput(Output):
    """Remembers whether the edge reads."""

    is_paused = False

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class WebSocketInProcess(MqttInProcess):
    """A broker with WebSockets; who says hello without a user is guest. `limits`: as of `broker.limits.Limits`."""

    def __init__(self, **limits: int) -> None:
        super().__init__(None, None, **limits)
        settings = Settings(limits=Limits(**limits), websocket=WebSocket(deflate=True))
        self.websockets = websocket_endpoint(
            self.broker,
            settings,
            NativeEndpoint(self.broker, settings.limits, anonymous_user="guest"),
            amqp=lambda _listener: AmqpConnection(self.broker, self.endpoint),
            mqtt=lambda _listener: MqttConnection(self.broker, self.mqtt),
        )

    def arrive_by_http(self) -> WebSocketClient:
        """A connection that has said nothing so far."""
        return WebSocketClient(self)


class WebSocketClient:
    """One connection, and what an edge would keep for it."""

    def __init__(self, inside: WebSocketInProcess) -> None:
        self.inside = inside
        self.connection = WebSocketConnection(inside.websockets)
        self.output = EdgeOutput()
        self.connection.attach(self.output)
        self.connection.peer = "127.0.0.1:4000"
        self.connection.opened()
        self.kept = bytearray()
        self.response = b""
        self.is_lost = False

    @property
    def is_over(self) -> bool:
        """Nothing more is read."""
        return self.is_lost or bool(self.output.is_closed)

    def hear(self, received: bytes) -> None:
        """Received bytes; what rests for the store goes on after a commit."""
        self.kept += received
        for _ in range(1000):
            if not self.kept or self.is_over:
                return
            if self.output.is_paused:
                self.inside.pass_ms(1)
                if self.output.is_paused:
                    return
            taken = self.connection.feed(self.kept)
            if not 0 <= taken <= len(self.kept):
                raise BrokenBrokerError(f"{taken} of {len(self.kept)} bytes taken")
            del self.kept[:taken]
            if taken == 0 and not self.output.is_paused:
                return

    def talk(self) -> list[Frame]:
        """The frames that the broker has said since the last call, after a commit; `response` is what came before."""
        self.inside.commit()
        self.connection.before_sending()
        said: bytes = self.output.take()
        carried = self.connection.carried
        if said and not self.is_over and isinstance(carried, MqttConnection | NativeConnection):
            carried.on_writable()
        if not self.response:
            head, end, said = said.partition(b"\r\n\r\n")
            self.response = head + end
        if not self.response.startswith(b"HTTP/1.1 101"):
            return []
        try:
            return read_frames(said)
        except Exception as error:
            raise BrokenBrokerError(f"frames that cannot be read ({error!r}): {said[:60]!r}") from error

    def lose(self) -> None:
        """The socket is gone."""
        if not self.is_lost:
            self.is_lost = True
            self.output.abort()
            self.connection.lost("closed by peer")
