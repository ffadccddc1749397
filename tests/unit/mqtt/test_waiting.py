"""The settings of what waits for a client, as the queue understands them; tried on a queue."""

import pytest

from broker.mqtt.waiting import queue_arguments


def arguments(overflow, *, messages_max=2, bytes_max=0, dead_letter_exchange=None):
    return queue_arguments(
        messages_max=messages_max, bytes_max=bytes_max, overflow=overflow, dead_letter_exchange=dead_letter_exchange
    )


def test_without_limits_there_is_nothing_to_say():
    assert arguments("reject", messages_max=0) == {}


def test_both_limits():
    assert arguments("drop-tail", messages_max=3, bytes_max=100) == {
        "x-max-length": 3,
        "x-max-length-bytes": 100,
        "x-overflow": "drop-tail",
    }


@pytest.mark.parametrize(
    ("overflow", "left", "dead", "counted"),
    [
        ("drop-head", [b"2", b"3"], [], "dropped_maxlen"),
        ("drop-tail", [b"1", b"2"], [], "dropped_tail"),
        ("reject", [b"1", b"2"], [], "refused_maxlen"),
        ("dead-letter", [b"2", b"3"], [b"1"], "dropped_maxlen"),
    ],
)
def test_what_a_full_queue_does_is_never_silent(core, peer, overflow, left, dead, counted):
    peer.declare("dead")
    peer.bind("amq.fanout", name="dead")
    exchange = "amq.fanout" if overflow == "dead-letter" else None
    queue = core.vhost.create_queue(
        "q", durable=False, exclusive=False, auto_delete=False, owner=None,
        arguments=arguments(overflow, dead_letter_exchange=exchange),
    )  # fmt: skip
    for body in (b"1", b"2", b"3"):
        peer.publish("q", body)
    counts = queue.counts
    assert (counts[counted], counts["unaccounted"]) == (1, 0)
    assert peer.drain("q") == left
    assert peer.drain("dead") == dead
