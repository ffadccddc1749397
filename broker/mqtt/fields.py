# cython: annotation_typing=False
"""The types that MQTT's packets are made of (MQTT 5 §1.5), read and written for the cold paths.

Owns integers, strings and binary data, and the rules of UTF-8. Refuses to know packets and properties.

    variable byte integer   1 to 4 octets, seven bits each, least significant first; bit 7: more follow
    string, binary data     size u16 │ octets

Invariant: nothing is read beyond the packet; whatever would be, raises `MqttError`.
"""

from __future__ import annotations

from broker.mqtt.reasons import MqttError, malformed

VARINT_MAX = 268_435_455
STRING_BYTES_MAX = 65_535


def check_text(content: bytes) -> bytes:
    """`content` itself, where it is a string that MQTT allows. Raises MqttError."""
    try:
        content.decode()  # [MQTT-1.5.4-1] Python refuses surrogates and overlong forms
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if b"\0" in content:  # [MQTT-1.5.4-2]
        raise malformed("a string contains U+0000")
    return content


class Reader:
    """Reads a packet's body from front to back."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        """Reads data[at:end]."""
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def rest(self) -> int:
        """Bytes that are left."""
        return self.end - self.at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self.at
        if self.end - start < size:
            raise beyond()
        self.at = start + size
        return self.data[start : self.at]

    def u8(self) -> int:
        """One octet."""
        start = self.at
        if start >= self.end:
            raise beyond()
        self.at = start + 1
        return self.data[start]

    def u16(self) -> int:
        """A two byte integer (§1.5.2)."""
        start = self.at
        if self.end - start < 2:
            raise beyond()
        self.at = start + 2
        return self.data[start] << 8 | self.data[start + 1]

    def u32(self) -> int:
        """A four byte integer (§1.5.3)."""
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        """A variable byte integer (§1.5.5)."""
        value = 0
        for shift in (0, 7, 14, 21):
            octet = self.u8()
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                if octet == 0 and shift:  # [MQTT-1.5.5-1]
                    raise malformed("a variable byte integer is longer than it needs to be")
                return value
        raise malformed("a variable byte integer has more than four octets")

    def binary(self) -> bytes:
        """Binary data (§1.5.6)."""
        return self.take(self.u16())

    def text(self) -> bytes:
        """A string (§1.5.4), checked and not decoded."""
        return check_text(self.binary())

    def finish(self) -> None:
        """Nothing may be left."""
        if self.at != self.end:
            raise malformed(f"{self.rest} bytes too many in the packet")


def beyond() -> MqttError:
    """What is wrong where a field is larger than what is left."""
    return malformed("a field runs beyond the packet's end")


def encode_varint(value: int) -> bytes:
    """A variable byte integer."""
    assert 0 <= value <= VARINT_MAX
    if value < 0x80:
        return bytes((value,))
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def encode_binary(content: bytes) -> bytes:
    """Binary data, or a string that is encoded already."""
    assert len(content) <= STRING_BYTES_MAX
    return len(content).to_bytes(2, "big") + content


def encode_text(content: str | bytes) -> bytes:
    """A string of our own, cut where it is longer than MQTT's strings can be."""
    encoded = content.encode("utf-8", "replace") if isinstance(content, str) else content
    if len(encoded) > STRING_BYTES_MAX:
        encoded = encoded[:STRING_BYTES_MAX].decode("utf-8", "ignore").encode()
    return encode_binary(encoded.replace(b"\0", b""))
