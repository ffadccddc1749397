"""Frames and messages, both ways (RFC 6455 §5), and the end (§7)."""

from __future__ import annotations

import gc
import random
import weakref

import pytest

from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    deflated,
    frame,
    inflated,
)
from tests.unit.websocket.conftest import Harness, Recorder

SIZES = [0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 100_003]
DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate"}


def _octets(size: int) -> bytes:
    return random.Random(size).randbytes(size)


# ── a stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_s_payload_arrives_without_its_mask_5_3(stream: Harness, size: int) -> None:
    stream.feed(frame(BINARY, _octets(size)))

    assert stream.dialect.received == _octets(size)
    assert stream.kept == b""


@pytest.mark.parametrize("size", SIZES)
def test_what_a_dialect_writes_in_a_turn_is_one_frame(stream: Harness, size: int) -> None:
    stream.dialect.send(_octets(size)[: size // 2])
    stream.dialect.send(_octets(size)[size // 2 :])

    assert stream.frames() == ([Frame(BINARY, _octets(size))] if size else [])
    assert stream.said() == b""


def test_all_frames_of_one_read_come_in_one_call(stream: Harness) -> None:
    pieces = [_octets(size) for size in (3, 0, 200, 1, 17)]
    stream.feed(*(frame(BINARY, piece) for piece in pieces))

    assert stream.dialect.feeds == [b"".join(pieces)]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 64])
@pytest.mark.parametrize("unit", [1, 4, 11])
def test_units_frames_and_reads_need_not_agree(step: int, unit: int) -> None:
    class Units(Recorder):
        pass

    Units.unit = unit
    harness = Harness(Units)
    harness.upgrade()
    payload = _octets(44 * 10)
    sent = b"".join(
        [
            frame(BINARY, payload[:130], final=False),
            frame(PING, b"now"),
            frame(CONTINUATION, payload[130:131], final=False, mask=b"\1\2\3\4"),
            frame(CONTINUATION, payload[131:200]),
            frame(BINARY, payload[200:203]),
            frame(PONG),
            frame(BINARY, b""),
            frame(BINARY, payload[203:], mask=b"\xff\0\x80\x7f"),
        ]
    )
    for start in range(0, len(sent), step):
        harness.feed(sent[start : start + step])
        assert len(harness.kept) < 140 + unit

    assert harness.dialect.received == payload
    assert harness.frames() == [Frame(PONG, b"now")]


def test_a_dialect_that_pauses_gets_the_rest_when_it_reads_again() -> None:
    harness = Harness()
    harness.upgrade()
    harness.dialect.pauses = True
    harness.feed(frame(BINARY, b"one"), frame(BINARY, b"two"))
    assert harness.output.paused
    harness.feed(frame(BINARY, b"three"))
    assert harness.dialect.feeds == []
    harness.dialect.pauses = False
    harness.dialect.output.resume_reading()
    harness.feed()

    assert harness.dialect.received == b"onetwothree"


def test_a_full_edge_stops_the_dialect_until_it_has_drained() -> None:
    harness = Harness(high_bytes=1000)
    harness.upgrade()
    harness.dialect.send(b"a" * 1001)
    assert harness.dialect.output.is_full
    assert not harness.connection.before_sending()
    assert harness.output.is_full
    assert harness.dialect.output.is_full
    harness.dialect.send(b"b" * 1001)
    assert harness.connection.before_sending(), "the edge is told that there is more"
    assert [len(each.payload) for each in harness.frames()] == [1001]

    assert [len(each.payload) for each in harness.frames()] == [1001]
    assert harness.dialect.output.bytes_sent == 2002


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_arrives_whole_however_it_was_cut(messages: Harness) -> None:
    text = "übergrößenträger ☂".encode()
    for start in range(0, len(text)):
        messages.feed(frame(CONTINUATION if start else TEXT, text[start : start + 1], final=start == len(text) - 1))
    messages.feed(frame(TEXT, b""))

    assert messages.dialect.feeds == [text]  # Recorder does not note the empty one


def test_each_message_sent_is_a_frame_of_its_own(messages: Harness) -> None:
    messages.carried_output.send_message(b'{"a":1}')
    messages.carried_output.send_message(b"")

    assert messages.frames() == [Frame(TEXT, b'{"a":1}'), Frame(TEXT, b"")]


def test_a_subprotocol_in_octets_takes_and_sends_binary_messages() -> None:
    harness = Harness()
    harness.upgrade("/messages", Sec_WebSocket_Protocol="in.octets")
    harness.feed(frame(BINARY, b"\xff\xfe"))
    harness.carried_output.send_message(b"\x80")

    assert harness.dialect.feeds == [b"\xff\xfe"]
    assert harness.frames() == [Frame(BINARY, b"\x80")]


def test_messages_wait_while_the_dialect_pauses(messages: Harness) -> None:
    class Pauses(Recorder):
        def on_received(self, data: bytes) -> int:
            self.feeds.append(data)
            self.output.pause_reading()
            return len(data)

    harness = Harness(Pauses)
    harness.upgrade("/messages")
    harness.feed(frame(TEXT, b"one"), frame(TEXT, b"two"), frame(TEXT, b"three"))
    assert harness.dialect.feeds == [b"one"]
    harness.dialect.output.resume_reading()
    harness.feed()

    assert harness.dialect.feeds == [b"one", b"two"]


# ── permessage-deflate (RFC 7692) ─────────────────────────────────────────────────────────────────────────────────────


def test_compressed_messages_both_ways_rfc_7692_7_2() -> None:
    harness = Harness(deflate=True)
    harness.upgrade("/messages", **DEFLATE)
    text = b"again and again " * 100
    payload = deflated(text)
    harness.feed(frame(TEXT, payload[:5], final=False, bits=0x40), frame(CONTINUATION, payload[5:]))
    harness.feed(frame(TEXT, b"plain"))
    harness.carried_output.send_message(text)
    harness.carried_output.send_message(b"short")
    sent, short = harness.frames()

    assert harness.dialect.feeds == [text, b"plain"]
    assert sent.compressed
    assert len(sent.payload) < 100
    assert inflated(sent.payload) == text
    assert short == Frame(TEXT, b"short")


def test_a_compressed_stream_keeps_its_order_and_its_partial_units() -> None:
    class Units(Recorder):
        unit = 10

    harness = Harness(Units, deflate=True)
    harness.upgrade(**DEFLATE)
    payload = _octets(1000)
    for start in range(0, 1000, 25):
        harness.feed(frame(BINARY, deflated(payload[start : start + 25]), bits=0x40))
    assert harness.dialect.received == payload
    harness.dialect.send(b"z" * 5000)
    sent = harness.frames()

    assert [inflated(each.payload) for each in sent] == [b"z" * 5000]


def test_a_paused_stream_gets_what_was_inflated_when_it_reads_again() -> None:
    harness = Harness(deflate=True)
    harness.upgrade(**DEFLATE)
    harness.dialect.pauses = True
    harness.feed(frame(BINARY, deflated(b"one"), bits=0x40), frame(BINARY, deflated(b"two"), bits=0x40))
    harness.dialect.pauses = False
    harness.dialect.output.resume_reading()
    harness.clock.pass_ms(1)
    assert harness.dialect.received == b"one"
    harness.feed()

    assert harness.dialect.received == b"onetwo"


def test_a_message_that_inflates_beyond_the_limit_is_refused() -> None:
    harness = Harness(deflate=True, limits={"websocket_message_bytes_max": 10_000})
    harness.upgrade("/messages", **DEFLATE)
    bomb = deflated(bytes(10_000_000))
    assert len(bomb) < 10_000
    harness.feed(frame(TEXT, bomb, bits=0x40))

    assert harness.frames()[0].code == 1009
    assert harness.dialect.feeds == []


# ── what breaks the rules ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(BINARY, b"x", mask=None), 1002),
        (frame(BINARY, b"x", bits=0x40), 1002),
        (frame(BINARY, b"x", bits=0x20), 1002),
        (frame(BINARY, b"x", bits=0x10), 1002),
        (frame(3, b"x"), 1002),
        (frame(7, b"x"), 1002),
        (frame(11), 1002),
        (frame(15), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(BINARY, b"x", final=False) + frame(BINARY, b"y"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", final=False), 1002),
        (frame(CLOSE, b"", final=False), 1002),
        (frame(BINARY, b"x" * 100, form=126), 1002),
        (frame(BINARY, b"x" * 100, form=127), 1002),
        (b"\x82\xff\x80" + bytes(11), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (close(999), 1002),
        (close(1004), 1002),
        (close(1005), 1002),
        (close(1006), 1002),
        (close(1015), 1002),
        (close(2999), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"text"), 1003),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask", 1009),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_broken_rule_is_answered_with_its_close_code_7_4(stream: Harness, sent: bytes, code: int) -> None:
    stream.feed(frame(BINARY, b"before"), sent, frame(BINARY, b"after"))
    frames = stream.frames()

    assert [(each.opcode, each.code) for each in frames] == [(CLOSE, code)]
    assert stream.dialect.received.startswith(b"before")
    assert b"after" not in stream.dialect.received
    assert stream.output.is_closed


@pytest.mark.parametrize("step", [1, 3])
def test_the_same_octet_by_octet(stream: Harness, step: int) -> None:
    sent = frame(BINARY, b"before") + frame(BINARY, b"x", final=False) + frame(BINARY, b"y")
    for start in range(0, len(sent), step):
        stream.feed(sent[start : start + step])

    assert stream.dialect.received == b"beforex"
    assert stream.frames()[-1].code == 1002


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xc3", final=False) + frame(CONTINUATION, b"x"), 1007),
        (frame(BINARY, b"octets"), 1003),
        (frame(TEXT, b"x" * 2001), 1009),
        (frame(TEXT, b"x" * 1999, final=False) + frame(CONTINUATION, b"xx"), 1009),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_message_that_breaks_a_rule_never_arrives(sent: bytes, code: int) -> None:
    harness = Harness(limits={"websocket_message_bytes_max": 2000})
    harness.upgrade("/messages")
    harness.feed(sent)

    assert harness.dialect.feeds == []
    assert harness.frames()[-1].code == code


def test_a_frame_over_the_limit_is_refused_at_its_header() -> None:
    harness = Harness(limits={"websocket_frame_bytes_max": 1000})
    harness.upgrade()
    harness.feed(frame(BINARY, b"x" * 1000))
    harness.feed(frame(BINARY, b"y" * 1001)[:8])

    assert harness.dialect.received == b"x" * 1000
    assert harness.frames()[-1].code == 1009


# ── control frames and the end ────────────────────────────────────────────────────────────────────────────────────────


def test_a_ping_is_answered_with_its_own_payload_5_5_3(stream: Harness) -> None:
    stream.feed(frame(PING, b"are you there"), frame(PING))

    assert stream.frames() == [Frame(PONG, b"are you there"), Frame(PONG, b"")]


def test_pings_of_a_peer_that_does_not_read_cost_no_memory() -> None:
    harness = Harness(high_bytes=1000)
    harness.upgrade()
    for _ in range(1000):
        harness.feed(frame(PING, b"x" * 125))

    assert harness.output.pending_bytes < 1200


@pytest.mark.parametrize("code", [None, 1000, 1001, 3000, 4999])
def test_a_close_is_answered_in_kind_after_what_is_pending_5_5_1(stream: Harness, code: int | None) -> None:
    stream.dialect.answer = b"answer"
    stream.feed(frame(BINARY, b"last words"), close(code, "" if code is None else "enough"), frame(BINARY, b"after"))

    assert stream.dialect.received == b"last words"
    assert stream.frames() == [
        Frame(BINARY, b"answer"),
        Frame(CLOSE, b"" if code is None else code.to_bytes(2, "big")),
    ]
    assert stream.output.is_closed
    stream.connection.lost("closed")
    assert stream.dialect.lost_reasons == ["closed by peer"]
    assert stream.endpoint.closed == {1005 if code is None else code: 1}


def test_a_dialect_that_closes_is_heard_out_and_the_peer_s_close_ends_it(stream: Harness) -> None:
    stream.dialect.send(b"bye")
    stream.dialect.output.close()
    stream.dialect.send(b"never")
    assert stream.frames() == [Frame(BINARY, b"bye"), Frame(CLOSE, b"\x03\xe8")]
    assert not stream.output.is_closed
    stream.feed(frame(BINARY, b"crossed on the way"), frame(PING, b"?"), close(1000))

    assert stream.output.is_closed
    assert stream.said() == b""
    assert stream.dialect.feeds == []


def test_a_peer_that_does_not_answer_close_is_cut(stream: Harness) -> None:
    stream.dialect.output.close()
    stream.said()
    stream.clock.pass_ms(stream.endpoint.linger_ms)

    assert stream.output.is_closed
    assert stream.endpoint.timed_out == {"close": 1}


def test_the_broker_that_stops_says_so_in_both_languages(stream: Harness) -> None:
    stream.connection.shut_down("the broker stops")

    assert [(each.opcode, each.payload[:3]) for each in stream.frames()] == [(BINARY, b"bye"), (CLOSE, b"\x03\xe9")]


def test_the_broker_that_stops_does_not_wait_for_an_upgrade() -> None:
    harness = Harness()
    harness.connection.shut_down("the broker stops")

    assert harness.output.is_closed


def test_a_silent_peer_is_asked_and_cut_when_it_does_not_answer() -> None:
    harness = Harness(ping_interval_s=30)
    harness.upgrade()
    harness.clock.pass_ms(30_000)
    assert harness.frames() == [Frame(PING, b"")]
    assert not harness.output.is_closed
    harness.clock.pass_ms(30_000)

    assert harness.output.is_closed
    assert harness.endpoint.timed_out == {"ping": 1}


def test_a_connection_that_is_gone_leaves_nothing(stream: Harness) -> None:
    watched = weakref.ref(stream.dialect)
    gc.collect()
    gc.disable()
    try:
        stream.connection.lost("gone")
        stream.dialects.clear()
        del stream.connection

        assert watched() is None
        assert not stream.endpoint.connections
        stream.clock.pass_ms(1_000_000)
    finally:
        gc.enable()
