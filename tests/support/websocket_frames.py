"""The client's side of RFC 6455, slow and obvious: building requests and masked frames, reading a server's frames."""

from __future__ import annotations

import zlib
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 §1.3 has both."""
MASK = b"\x37\xfa\x21\x3d"


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    final: bool = True
    compressed: bool = False

    @property
    def code(self) -> int:
        """Of a Close frame."""
        return int.from_bytes(self.payload[:2], "big")


def request(path: str = "/stream", *, without: str = "", **changes: str) -> bytes:
    """An upgrade request; `Sec_WebSocket_Version="8"` changes a header, `without="Host"` leaves one out."""
    headers = {
        "Host": "broker.example",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    headers.pop(without, None)
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, mask: bytes | None = MASK, bits: int = 0, form: int = 0
) -> bytes:
    """A client's frame. `mask` None: without; `bits`: further ones of the first octet; `form`: 126 or 127 by force."""
    size = len(payload)
    form = form or (size if size < 126 else 126 if size < 65536 else 127)
    length = size.to_bytes({126: 2, 127: 8}[form], "big") if form > 125 else b""
    head = bytes([(0x80 if final else 0) | bits | opcode, (0x80 if mask is not None else 0) | form]) + length
    if mask is None:
        return head + payload
    return head + mask + bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))


def close(code: int | None = 1000, text: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + text.encode())


def deflated(message: bytes) -> bytes:
    """A message's payload with permessage-deflate."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")


def read_frames(data: bytes) -> list[Frame]:
    """All frames of a server, which are whole and without masks."""
    frames = []
    while data:
        first, second = data[0], data[1]
        assert not second & 0x80, "a server's frames have no mask (RFC 6455 §5.1)"
        size, start = second & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
            assert size >= 126
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
            assert size >= 65536
        assert len(data) >= start + size, "a frame is cut short"
        frames.append(Frame(first & 0x0F, data[start : start + size], bool(first & 0x80), bool(first & 0x40)))
        data = data[start + size :]
    return frames
