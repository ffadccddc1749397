"""The Message view: what the core reads out of raw properties, and nothing changed on the way."""

from __future__ import annotations

import pytest

from broker.core.message import Message
from tests.support import amqp_codec as codec


def properties(**values):
    return codec.encode_header(0, values)[12:]


def test_everything_is_kept_byte_for_byte():
    raw = properties(headers={"a": 1}, delivery_mode=2, type="t")
    message = Message(b"\xffexchange", b"key\0", raw, b"body\0body")
    assert (message.exchange, message.routing_key) == (b"\xffexchange", b"key\0")
    assert (message.raw_properties, message.body, message.body_size) == (raw, b"body\0body", 9)
    assert message.properties == {"headers": {"a": 1}, "delivery_mode": 2, "type": "t"}


def test_an_empty_message():
    message = Message(b"", b"", b"\0\0", b"")
    assert (message.exchange, message.routing_key, message.body) == (b"", b"", b"")
    assert message.properties == {}


@pytest.mark.parametrize(
    ("delivery_mode", "persistent"), [(None, False), (0, False), (1, False), (2, True), (3, False)]
)
def test_only_delivery_mode_2_is_persistent(delivery_mode, persistent):
    raw = properties() if delivery_mode is None else properties(delivery_mode=delivery_mode)
    assert Message(b"", b"", raw, b"").is_persistent == persistent


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x80",
        b"\x80\x00",  # content-type announced and not there
        b"\x80\x00\x05abc",
        b"\0\0\0",  # bytes behind the last property
        b"\x20\x00\0\0\0\x05\x01aS",  # headers whose value is missing
        b"\x01\x00\x03abc",  # expiration that is no number
        b"\x01\x00\x02-1",
    ],
)
def test_what_is_no_property_list_is_refused(raw):
    with pytest.raises(ValueError, match="malformed content properties"):
        Message(b"", b"", raw, b"")
