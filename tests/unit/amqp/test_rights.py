"""Topic permissions over AMQP, and what a change of a user's rights does to connections that are open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import amqp_codec as codec
from tests.support.peer import Content, Core, Method, Peer, publication


@pytest.fixture
def limited(core: Core, peer: Peer) -> Peer:
    """A user who publishes `a.…` and reads `b.…` at the topic exchange `events`."""
    core.vhost.declare_exchange("events", "topic")
    core.broker.access.set_topic_permission("/", "guest", "events", r"^a\.", r"^b\.")
    peer.declare("q")
    core.vhost.bind(core.vhost.exchanges["events"], core.queue(), "queue", b"#")
    return peer


def closed(peer: Peer) -> tuple[str, int, str]:
    (answer,) = [each for each in peer.take() if isinstance(each, Method) and each.name.endswith(".close")]
    return answer.name, answer.fields["reply_code"], answer.fields["reply_text"]


def test_a_topic_that_may_not_be_published_closes_the_channel_with_403(limited, core):
    limited.publish("a.1", b"m", exchange="events")
    assert core.queue().ready_count == 1
    limited.publish("b.1", b"m", exchange="events")
    assert closed(limited) == (
        "channel.close", 403,
        "ACCESS_REFUSED - access to topic 'b.1' in exchange 'events' in vhost '/' refused for user 'guest'",
    )  # fmt: skip
    assert core.queue().ready_count == 1


@pytest.mark.parametrize("size", [1, 0])
def test_it_is_refused_however_the_publish_is_cut(limited, core, size):
    limited.feed(publication("b.1", b"body", exchange="events"), size)
    assert closed(limited)[:2] == ("channel.close", 403)
    assert core.queue().ready_count == 0


def test_carbon_copies_need_the_right_as_well(limited, core):
    limited.publish("a.1", b"m", exchange="events", headers={"CC": ["a.2"]})
    assert core.queue().ready_count == 1
    limited.publish("a.1", b"m", exchange="events", headers={"BCC": ["a.2", "b.1"]})
    assert closed(limited)[:2] == ("channel.close", 403)
    assert core.queue().ready_count == 1


def test_bindings_need_the_right_to_read(limited, core):
    limited.bind("events", "b.#")
    assert limited.call("queue.bind", queue="q", exchange="events", routing_key="a.#").name == "channel.close"
    limited.send("channel.close-ok")
    limited.call("channel.open")
    core.vhost.declare_exchange("other", "fanout")
    answer = limited.call("exchange.bind", destination="other", source="events", routing_key="#")
    assert (answer.name, answer.fields["reply_code"]) == ("channel.close", 403)


def test_other_exchanges_are_not_concerned(limited, core):
    core.vhost.declare_exchange("direct", "direct")
    core.vhost.bind(core.vhost.exchanges["direct"], core.queue(), "queue", b"b.1")
    limited.publish("b.1", b"m", exchange="direct")
    limited.publish("b.1", b"m", exchange="amq.topic")
    limited.publish("q", b"m")
    assert limited.closed_with() == 0
    assert core.queue().ready_count == 2


# ── changes take effect at once ───────────────────────────────────────────────────────────────────────────────────────


def test_a_new_topic_permission_counts_for_the_next_publish(core: Core, peer: Peer):
    core.vhost.declare_exchange("events", "topic")
    peer.publish("b.1", b"m", exchange="events")
    core.broker.access.set_topic_permission("/", "guest", "events", "^a", "^a")
    peer.publish("b.1", b"m", exchange="events")
    assert peer.closed_with() == 403


def test_a_permission_to_write_that_is_taken_away_counts_for_the_next_publish(core: Core, peer: Peer):
    peer.declare()
    peer.publish("q", b"1")
    core.broker.access.set_permission("/", "guest", ".*", "^none$", ".*")
    peer.publish("q", b"2")
    assert peer.closed_with() == 403
    assert core.queue().ready_count == 1


def test_a_publish_that_has_begun_was_allowed_and_the_next_is_asked_about(core: Core, peer: Peer):
    peer.declare()
    whole = publication("q", b"body")
    peer.feed(whole[:-6])
    core.broker.access.set_permission("/", "guest", ".*", "^none$", ".*")
    peer.feed(whole[-6:])
    assert core.queue().ready_count == 1
    assert peer.closed_with() == 0
    peer.publish("q", b"2")
    assert peer.closed_with() == 403


def test_a_consumer_whose_queue_may_not_be_read_any_more_is_cancelled(core: Core, peer: Peer):
    peer.declare("mine")
    peer.declare("yours")
    peer.consume("mine", "one")
    peer.consume("yours", "two")
    core.broker.access.set_permission("/", "guest", ".*", ".*", "^mine$")
    assert [each.fields["consumer_tag"] for each in peer.take("basic.cancel")] == ["two"]
    peer.publish("yours", b"kept")
    peer.publish("mine", b"given")
    assert peer.bodies() == [b"given"]
    assert core.queue("yours").ready_count == 1


def test_what_such_a_consumer_has_not_acknowledged_can_still_be(core: Core, peer: Peer):
    peer.declare()
    peer.consume()
    peer.publish("q", b"m")
    (given,) = [each for each in peer.take("basic.deliver") if isinstance(each, Content)]
    core.broker.access.set_permission("/", "guest", ".*", ".*", "^none$")
    peer.take()
    peer.send("basic.ack", delivery_tag=given.fields["delivery_tag"])
    assert peer.closed_with() == 0
    assert core.queue().unacked_count == 0


def test_the_connections_of_a_deleted_user_are_closed_with_320(core: Core, peer: Peer):
    core.broker.access.delete_user("guest")
    assert closed(peer) == ("connection.close", 320, "CONNECTION_FORCED - user 'guest' is deleted")
    assert core.broker.presence.of_user == {}
    peer.send("connection.close-ok", 0)
    assert peer.connection.output.is_closed


def test_who_may_not_enter_the_vhost_any_more_is_sent_away_with_403(core: Core, peer: Peer):
    other = core.broker.add_vhost("other")
    core.broker.access.set_permission("other", "guest", ".*", ".*", ".*")
    elsewhere = Peer(core)
    elsewhere.handshake(other.name)
    core.broker.access.clear_permission("other", "guest")
    assert closed(elsewhere) == (
        "connection.close", 403, "ACCESS_REFUSED - access to vhost 'other' refused for user 'guest'",
    )  # fmt: skip
    assert peer.closed_with() == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda access: access.set_tags("guest", ["monitoring"]),
        lambda access: access.set_password("guest", b"another"),
        lambda access: access.set_permission("/", "guest", ".*", ".*", ".*"),
    ],
    ids=["tags", "password", "permissions"],
)
def test_who_may_do_the_same_as_before_goes_on(core: Core, peer: Peer, change: Any):
    peer.declare()
    peer.consume()
    change(core.broker.access)
    peer.publish("q", b"m")
    assert peer.bodies() == [b"m"]


def test_an_impersonator_who_is_none_any_more_is_refused(core: Core, peer: Peer):
    peer.declare()
    core.broker.access.set_tags("guest", ["impersonator"])
    peer.publish("q", b"m", user_id="ann")
    assert peer.closed_with() == 0
    core.broker.access.set_tags("guest", [])
    peer.publish("q", b"m", user_id="ann")
    assert peer.closed_with() == 406


def test_a_connection_that_is_closing_is_left_alone(core: Core, peer: Peer):
    peer.feed(codec.encode_frame(9, 0, b""))
    peer.take()
    core.broker.access.delete_user("guest")
    assert peer.take() == []
