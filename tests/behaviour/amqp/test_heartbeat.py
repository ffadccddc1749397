"""Heartbeats: AMQP 0-9-1 §4.2.7, and RabbitMQ's guide on dead TCP connections."""

from __future__ import annotations

import time

import pytest

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import Scratch, pump


def test_the_server_sends_heartbeats_within_the_interval(raw: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.7: on channel 0, with an empty payload."""
    raw.open(heartbeat=1)
    frame = raw.read_frame()
    assert (frame.type, frame.channel, frame.payload) == (codec.FRAME_HEARTBEAT, 0, b"")


def test_a_silent_client_is_cut_after_two_missed_heartbeats(raw: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.7: missing for two intervals or longer ends the connection; not sooner than one interval."""
    raw.open(heartbeat=1)
    began = time.monotonic()
    raw.wait_closed()
    assert 1.0 <= time.monotonic() - began <= 6.0


def test_a_client_that_sends_heartbeats_stays(raw: RawConnection) -> None:
    """Heartbeats alone are a sign of life."""
    raw.open(heartbeat=1)
    raw.socket.settimeout(0.25)
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        raw.send_frame(codec.FRAME_HEARTBEAT, 0, b"")
        try:
            assert raw.read_frame().type == codec.FRAME_HEARTBEAT
        except TimeoutError:
            continue
    raw.socket.settimeout(5)
    raw.rpc("channel.open")


def test_any_traffic_counts_as_a_sign_of_life(raw: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.7: any sent octet substitutes for a heartbeat."""
    raw.open(heartbeat=1).open_channel()
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        raw.rpc("basic.qos")
        time.sleep(0.2)
    raw.rpc("basic.qos")


def test_heartbeat_0_switches_it_off(raw: RawConnection) -> None:
    """RabbitMQ: a zero from the client means no heartbeats at all."""
    raw.open(heartbeat=0)
    raw.socket.settimeout(2.5)
    with pytest.raises(TimeoutError):
        raw.read_frame()


def test_pika_keeps_a_connection_with_short_heartbeats(scratch: Scratch) -> None:
    """pika's own heartbeat checker is the judge here."""
    connection = scratch.connect(heartbeat=1)
    channel = connection.channel()
    end = time.monotonic() + 3.5
    pump(channel, lambda: time.monotonic() > end)
    assert connection.is_open
    channel.basic_qos()


def test_the_unacked_messages_of_a_cut_client_are_requeued(raw: RawConnection, scratch: Scratch) -> None:
    """A dead consumer's unacknowledged messages go to the living."""
    channel = scratch.connect().channel()
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"mine")
    raw.open(heartbeat=1).open_channel()
    raw.send("basic.get", queue=queue)
    raw.expect("basic.get-ok")
    raw.wait_closed()
    pump(channel, lambda: channel.queue_declare(queue, passive=True).method.message_count == 1)
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (body, method.redelivered) == (b"mine", True)
