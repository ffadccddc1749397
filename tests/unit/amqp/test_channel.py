"""The hot half of a channel: content however its bytes come, unacked deliveries, and what a peer may do wrong."""

from __future__ import annotations

import pytest

from broker.core.message import Message
from tests.support import amqp_codec as codec
from tests.support.peer import method, publication

HEADER, BODY = codec.FRAME_HEADER, codec.FRAME_BODY


def frame(kind, payload, channel=1):
    return codec.encode_frame(kind, channel, payload)


PUBLISH = method("basic.publish", exchange="", routing_key="q")


# ── content in pieces ─────────────────────────────────────────────────────────────────────────────────────────────────

CONVERSATION = b"".join(
    (
        method("confirm.select"),
        publication("q", b"", delivery_mode=1),
        publication("q", b"one"),
        publication("q", b"two frames" * 50, frame_bytes_max=100),
        publication("nowhere", b"returned", mandatory=True),
        method("basic.consume", queue="q", consumer_tag="c", no_ack=False),
        publication("q", b"\xce" * 20_000, headers={"CC": ["q2"]}),
        method("basic.ack", delivery_tag=2, multiple=True),
        publication("q", b"requeued", priority=3),
        method("basic.nack", delivery_tag=5, requeue=True),
        method("basic.reject", delivery_tag=3),
        frame(codec.FRAME_HEARTBEAT, b"", 0),
        publication("q", b"last"),
        method("basic.get", queue="q2", no_ack=True),
    )
)


def seen(peer):
    """Everything that came back, with confirms merged: how often a read tells depends on how often one reads."""
    others = [each for each in peer.take() if each.name != "basic.ack"]
    return others, peer.connection.channels[1].accepted_up_to


@pytest.mark.parametrize("step", [1, 2, 3, 7, 8, 61, 1000, 9001])
def test_a_conversation_is_the_same_however_its_bytes_come(make_core, step):
    outcomes = []
    for each in (0, step):
        core = make_core()
        peer = core.connect()
        peer.declare("q")
        peer.declare("q2")
        peer.feed(CONVERSATION, each)
        outcomes.append((seen(peer), core.queue("q").counts, core.queue("q2").counts))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0][1] == 7


def test_frames_of_several_channels_may_be_mixed(peer):
    peer.call("channel.open", 2)
    peer.declare("q")
    one, two = publication("q", b"one"), publication("q", b"two", channel=2)
    cut = [len(method("basic.publish", exchange="", routing_key="q")) for _ in (one, two)]
    peer.feed(one[: cut[0]] + two[: cut[1]] + one[cut[0] :] + two[cut[1] :])
    assert peer.drain() == [b"one", b"two"]


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 1_000_000])
def test_bodies_of_all_sizes_come_through(peer, size):
    body = bytes(index * 31 % 251 for index in range(1000)) * (size // 1000 + 1)
    peer.declare("q")
    peer.publish("q", body[:size])
    assert peer.got().body == body[:size]


def test_large_bodies_may_be_written_straight_into_their_message(peer):
    """The edge asks for the place; here the same bytes come by `feed`, in pieces of a body frame."""
    peer.declare("q")
    body = b"x" * 100_000
    frames = publication("q", body)
    head = len(frames) - len(body) // 2
    peer.feed(frames[:head])
    assert peer.unconsumed == b""  # a large frame is not kept whole
    peer.feed(frames[head:])
    assert peer.got().body == body


# ── content that is wrong ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(HEADER, codec.encode_header(0)), 505),
        (frame(BODY, b"x"), 505),
        (PUBLISH + method("basic.get", queue="q"), 505),
        (PUBLISH + PUBLISH, 505),
        (PUBLISH + frame(BODY, b"x"), 505),
        (PUBLISH + frame(HEADER, codec.encode_header(0, class_id=50)), 505),
        (PUBLISH + frame(HEADER, b"\0\x3c\0\0\0\0\0\0\0\0\0\0"), 502),
        (PUBLISH + frame(HEADER, b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x80\0"), 502),
        (PUBLISH + frame(HEADER, codec.encode_header(3)) + frame(BODY, b"1234"), 505),
        (PUBLISH + frame(HEADER, codec.encode_header(3)) + method("basic.get", queue="q"), 505),
        (PUBLISH + frame(HEADER, codec.encode_header(3)) + frame(HEADER, codec.encode_header(3)), 505),
        (PUBLISH[:-1] + b"\0", 501),
        (publication("q", b"x")[:-1] + b"\0", 501),
        (frame(1, b"\0\x3c"), 501),
        (frame(1, b"\0\x3c\0\x28\0\0"), 501),
        (frame(1, b"\0\x3c\0\x28\0\0\x05ab"), 501),
        (frame(1, b"\0\x3c\0\x63"), 540),
        (frame(1, codec.encode_method("basic.publish", routing_key="q", immediate=True)), 540),
        (frame(4, b""), 501),
        (frame(0, b"x"), 501),
    ],
)
def test_what_closes_the_connection(peer, frames, code, step):
    peer.declare("q")
    peer.feed(frames, step)
    assert peer.closed_with() == code
    assert peer.core.queue().counts["unaccounted"] == 0


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (publication("q", exchange="missing"), 404),
        (publication("q", exchange="amq.rabbitmq.trace"), 403),
        (publication("q", b"m", expiration="soon"), 406),
        (publication("q", b"m", expiration="-1"), 406),
        (publication("q", b"m", user_id="somebody"), 406),
        (publication("q", b"m", reply_to="amq.rabbitmq.reply-to"), 406),
        (publication("q", b"m", headers={"CC": "q"}), 406),
        (publication("q", b"x" * 2000), 406),
        (publication("q", b"x" * 20_000, frame_bytes_max=9000), 406),
        (method("basic.ack", delivery_tag=1), 406),
        (method("basic.ack", delivery_tag=1, multiple=True), 406),
        (method("basic.nack", delivery_tag=7), 406),
        (method("basic.reject", delivery_tag=0), 406),
    ],
)
def test_what_closes_the_channel_and_leaves_the_connection(make_core, frames, code, step):
    core = make_core(message_bytes_max=1999)
    peer = core.connect()
    peer.call("channel.open", 2)
    peer.declare("q", channel=2)
    peer.feed(frames, step)
    assert peer.closed_with() == code
    assert core.queue().ready_count == 0
    peer.publish("q", b"m", channel=2)  # the rest of the content was swallowed: frames are still in step
    assert core.queue().ready_count == 1


def test_the_own_name_as_user_id_is_fine(peer):
    peer.declare("q")
    peer.publish("q", b"m", user_id="guest")
    assert peer.got().properties == {"user_id": "guest"}


# ── unacked deliveries ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def held(core, peer):
    """Ninety deliveries, by consumers with and without acknowledgements in turn: tags with gaps."""
    peer.declare("q")
    peer.declare("gaps")
    peer.consume("q")
    peer.consume("gaps", no_ack=True)
    for index in range(90):
        peer.publish("q", b"%d" % index)
        if index % 3 == 0:
            peer.publish("gaps", b"")
    return {content.tag: content.body for content in peer.deliveries() if content.body}


def test_a_tag_is_settled_once(core, peer, held):
    tag = sorted(held)[40]
    peer.send("basic.ack", delivery_tag=tag)
    assert peer.take() == []
    peer.send("basic.ack", delivery_tag=tag)
    assert peer.closed_with() == 406


def test_the_tag_of_an_auto_acknowledged_delivery_is_unknown(peer, held):
    gap = min(set(range(1, max(held))) - set(held))
    peer.send("basic.ack", delivery_tag=gap)
    assert peer.closed_with() == 406


@pytest.mark.parametrize("order", [1, -1, 7])
def test_tags_may_be_settled_in_any_order(core, peer, held, order):
    tags = sorted(held)
    for tag in tags[::order] if abs(order) == 1 else sorted(tags, key=lambda tag: tag * order % 91):
        peer.send("basic.ack", delivery_tag=tag)
    assert peer.take() == []
    assert core.queue().unacked_count == peer.connection.channels[1].unacked_count == 0
    assert core.queue().counts["acknowledged"] == 90


def test_multiple_after_holes(core, peer, held):
    tags = sorted(held)
    for tag in tags[::2]:
        peer.send("basic.ack", delivery_tag=tag)
    peer.send("basic.ack", delivery_tag=tags[61], multiple=True)
    assert core.queue().unacked_count == len([tag for tag in tags[1::2] if tag > tags[61]])


def test_multiple_beyond_the_last_delivery_is_406(peer, held):
    peer.send("basic.ack", delivery_tag=max(held) + 1000, multiple=True)
    assert peer.closed_with() == 406


def test_everything_unacked_returns_in_order_when_the_channel_closes(core, peer, held):
    tags = sorted(held)
    for tag in tags[10:50:3]:
        peer.send("basic.ack", delivery_tag=tag)
    expected = [held[tag] for tag in tags if tag not in tags[10:50:3]]
    peer.call("channel.close")
    peer.call("channel.open")
    assert peer.drain() == expected


def test_no_more_unacked_deliveries_than_the_limit(make_core):
    core = make_core(unacked_per_channel_max=5)
    peer = core.connect()
    peer.declare("q")
    peer.consume()
    for _ in range(9):
        peer.publish("q", b"m")
    contents = peer.deliveries()
    assert len(contents) == 5
    peer.send("basic.ack", delivery_tag=contents[-1].tag, multiple=True)
    assert len(peer.deliveries()) == 4


def test_each_channel_numbers_its_own_deliveries(peer):
    peer.call("channel.open", 2)
    peer.declare("q")
    for _ in range(4):
        peer.publish("q", b"m")
    assert [peer.got(channel=channel).tag for channel in (1, 2, 1, 2)] == [1, 1, 2, 2]


# ── direct reply-to ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_direct_reply_to_carries_an_address_that_leads_back(core, peer):
    server = core.connect()
    server.declare("requests")
    peer.consume("amq.rabbitmq.reply-to", no_ack=True)
    peer.publish("requests", b"question", reply_to="amq.rabbitmq.reply-to", correlation_id="1")
    request = server.got("requests", no_ack=True)
    address = request.properties["reply_to"]
    assert address.startswith("amq.rabbitmq.reply-to.")
    assert request.properties["correlation_id"] == "1"
    server.publish(address, b"answer", mandatory=True)
    assert peer.bodies() == [b"answer"]
    peer.call("channel.close")
    server.publish(address, b"late", mandatory=True)
    assert [each.body for each in server.take("basic.return")] == [b"late"]


def test_the_exchange_counts_what_it_could_not_route_and_what_went_back(core, peer):
    exchange = core.vhost.default_exchange
    peer.publish("nowhere", b"1")
    peer.publish("nowhere", b"2", mandatory=True)
    assert exchange.counts == {"published": 2, "routed": 0, "unroutable": 2, "returned": 1}


def test_a_topic_longer_than_a_routing_key_can_be_is_cut_between_characters(core, peer):
    topic = "t" * 254 + "é" + "t" * 100
    peer.declare("q")
    peer.bind("amq.topic", "#")
    for body in (b"one", b"two"):
        message = Message(b"amq.topic", topic.encode(), b"\0\0", body)
        core.vhost.exchanges["amq.topic"].publish_message(message)

    got = peer.got("q")
    peer.consume("q")

    assert got.fields["routing_key"] == "t" * 254
    assert [(each.fields["routing_key"], each.body) for each in peer.deliveries()] == [("t" * 254, b"two")]
