"""A raw client of the native WebSocket dialect over a blocking socket, in JSON or MessagePack.

Says what it is told, and returns what it hears, as dicts; answers pings, reconnects never. Reading is bounded by
`timeout_s`.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import msgpack

from tests.support.websocket_frames import BINARY, CLOSE, PING, PONG, TEXT, frame, request

TIMEOUT_S = 5.0
Message = dict[str, Any]


class NativeRaw:
    """One connection, logged in. `subprotocol`: hubbub.json or hubbub.msgpack."""

    def __init__(
        self,
        address: tuple[str, int],
        subprotocol: str = "hubbub.json",
        timeout_s: float = TIMEOUT_S,
        **login: str,
    ) -> None:
        """`login`: further fields of the hello, or other ones."""
        self.is_binary = subprotocol == "hubbub.msgpack"
        self.socket = socket.create_connection(address, timeout=timeout_s)
        self.file = self.socket.makefile("rb")
        self.waiting: list[Message] = []
        self.socket.sendall(request("/hubbub", Sec_WebSocket_Protocol=subprotocol))
        status = self.file.readline()
        assert b" 101 " in status, status
        while self.file.readline() != b"\r\n":
            pass
        self.say(**{"type": "hello", "user": "guest", "password": "guest", **login})
        self.expect("welcome")

    def say(self, **message: Any) -> None:
        payload = msgpack.packb(message) if self.is_binary else json.dumps(message).encode()
        self.socket.sendall(frame(BINARY if self.is_binary else TEXT, payload))

    def receive(self) -> Message:
        """The next message."""
        while True:
            first, second = self.file.read(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
            payload = self.file.read(size)
            opcode = first & 15
            assert opcode != CLOSE, payload
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
            elif opcode in (TEXT, BINARY):
                found: Message = json.loads(payload) if opcode == TEXT else msgpack.unpackb(payload)
                return found

    def expect(self, kind: str) -> Message:
        """The next message of this type; deliveries that come before it wait, any other is an error."""
        for at, each in enumerate(self.waiting):
            if each["type"] == kind:
                return self.waiting.pop(at)
        while (message := self.receive())["type"] != kind:
            assert message["type"] == "message", message
            self.waiting.append(message)
        return message

    def close(self) -> None:
        self.file.close()
        self.socket.close()
