"""Events: their names and fields, in whose name, and the event exchange."""

from __future__ import annotations

import pytest

from broker.core.event_exchange import EVENT_EXCHANGE, EVENTS_MAX, EventExchange, remove_event_exchange
from broker.core.events import INTERNAL_USER, Event, Events
from broker.core.policy import Policy
from storage.memory_store import MemoryStore
from tests.support import amqp_codec as codec
from tests.support.mqtt_codec import Filter, connect, subscribe
from tests.support.mqtt_in_process import MqttInProcess
from tests.support.peer import Peer


@pytest.fixture
def told(core):
    heard: list[Event] = []
    core.broker.events.listen(heard.append)
    return heard


def named(told, name):
    """The only event of that name."""
    (event,) = (each for each in told if each.name == name)
    return event


def test_a_queue_is_created_and_deleted_in_its_users_name(told, peer):
    peer.declare("q", durable=True, max_length=5)
    peer.call("queue.delete", queue="q")
    created, deleted = named(told, "queue.created"), named(told, "queue.deleted")
    assert created.user == deleted.user == "guest"
    assert created.fields == {
        "name": "q",
        "vhost": "/",
        "durable": True,
        "auto_delete": False,
        "exclusive": False,
        "arguments": {"x-max-length": 5},
    }
    assert deleted.fields == {"name": "q", "vhost": "/"}


def test_declaring_again_what_is_there_is_no_event(told, peer):
    peer.declare("q")
    peer.declare("q")
    assert [each.name for each in told].count("queue.created") == 1


def test_exchanges_and_bindings(told, peer):
    peer.call("exchange.declare", exchange="x", type="topic")
    peer.declare("q")
    peer.bind("x", "a.*")
    peer.call("exchange.delete", exchange="x")
    assert named(told, "exchange.created").fields["type"] == "topic"
    assert named(told, "exchange.deleted").fields == {"name": "x", "vhost": "/"}
    ends = {"source_name": "x", "source_kind": "exchange", "destination_name": "q", "destination_kind": "queue"}
    for name in ("binding.created", "binding.deleted"):
        assert named(told, name).fields == {**ends, "routing_key": "a.*", "arguments": {}, "vhost": "/"}


def test_consumers_come_and_go(told, peer):
    peer.declare("q")
    peer.call("basic.qos", prefetch_count=7)
    peer.consume("q", "c")
    peer.call("basic.cancel", consumer_tag="c")
    created = named(told, "consumer.created").fields
    assert (created["consumer_tag"], created["queue"], created["vhost"]) == ("c", "q", "/")
    assert (created["ack_required"], created["exclusive"], created["prefetch_count"]) == (True, False, 7)
    assert named(told, "consumer.deleted").fields == {"consumer_tag": "c", "queue": "q", "vhost": "/"}


def test_a_deleted_queues_consumer_is_deleted_once(told, peer):
    peer.declare("q")
    peer.consume("q", "c")
    peer.call("queue.delete", queue="q")
    assert [each.name for each in told].count("consumer.deleted") == 1


def test_a_connection_its_login_and_its_channels(told, core):
    peer = core.connect()
    peer.connection.lost("closed by peer")
    login = named(told, "user.authentication.success")
    assert login.fields["name"] == "guest"
    assert login.fields["auth_mechanism"] == "ANONYMOUS"
    created, closed = named(told, "connection.created"), named(told, "connection.closed")
    for event in (created, closed):
        assert (event.fields["user"], event.fields["vhost"]) == ("guest", "/")
        assert event.fields["name"] == created.fields["name"]
    channel = named(told, "channel.created").fields
    assert channel["number"] == 1
    assert channel["connection"] == created.fields["name"]
    assert named(told, "channel.closed").fields == channel
    order = [each.name for each in told]
    assert order.index("channel.closed") < order.index("connection.closed")


def test_a_refused_login_says_why_and_not_with_what(told, core):
    core.broker.access.add_user("somebody", b"right")
    peer = Peer(core)
    peer.feed(codec.PROTOCOL_HEADER)
    peer.send("connection.start-ok", 0, mechanism="PLAIN", response="\0somebody\0sesame", locale="en_US")
    failure = named(told, "user.authentication.failure")
    assert failure.fields["name"] == "somebody"
    assert failure.fields["error"]
    assert not any("sesame" in repr(each) for each in told)


def test_users_permissions_vhosts_and_limits(told, core):
    broker, access = core.broker, core.broker.access
    broker.add_vhost("v")
    access.add_user("u", b"secret", tags=["monitoring"])
    access.set_password("u", b"other")
    access.set_tags("u", ["management"])
    access.set_permission("v", "u", "a", "b", "c")
    broker.parameters.set_vhost_limit("v", "max-queues", 3)
    broker.parameters.put("component", "v", "p", {"x": 1})
    broker.parameters.remove("component", "v", "p")
    broker.vhost("v").policies.put(Policy("pol", "^q", {"max-length": 1}, apply_to="all", priority=0, operator=False))
    broker.vhost("v").policies.remove("pol")
    access.delete_user("u")
    broker.delete_vhost("v")
    assert [each.name for each in told if not each.name.startswith("exchange.")] == [
        "vhost.created",
        "user.created",
        "user.tags.set",
        "user.password.changed",
        "user.tags.set",
        "permission.created",
        "vhost.limits.set",
        "parameter.set",
        "parameter.cleared",
        "policy.set",
        "policy.cleared",
        "permission.deleted",
        "user.deleted",
        "vhost.deleted",
    ]
    assert named(told, "permission.created").fields["configure"] == "a"
    assert all(each.user == INTERNAL_USER for each in told)
    assert not any(b"secret" in repr(each).encode() or "argon2" in repr(each) for each in told)


def test_an_alarm_is_set_once_and_cleared_once(told, core):
    for reason in ("low", "lower"):
        core.broker.raise_alarm("disk", reason)
    core.broker.clear_alarm("disk")
    core.broker.clear_alarm("disk")
    assert [(each.name, each.fields["name"]) for each in told] == [("alarm.set", "disk"), ("alarm.cleared", "disk")]


def test_mqtt_connections_sessions_and_subscriptions():
    inside = MqttInProcess()
    told: list[Event] = []
    inside.broker.events.listen(told.append)
    client = inside.arrive(5)
    client.hear(connect(5, "c1"))
    client.hear(subscribe(5, 1, [Filter("a/+", 0)]))
    client.talk()
    client.lose()
    names = [each.name for each in told]
    assert names == [
        "user.authentication.success",
        "mqtt.session.created",
        "connection.created",
        "binding.created",
        "connection.closed",
        "mqtt.session.deleted",
        "binding.deleted",
    ]
    assert named(told, "connection.created").fields["client_id"] == "c1"
    assert named(told, "binding.created").fields["routing_key"] == "a.*"
    assert named(told, "binding.created").user == "guest"


def test_nobody_listens_nothing_is_described(core):
    assert not core.broker.events.wanted
    stop = core.broker.events.listen(lambda event: None)
    assert core.broker.events.wanted
    stop()
    assert not core.broker.events.wanted


def test_a_listener_that_fails_disturbs_nobody(core):
    events = Events(core.clock)
    heard: list[Event] = []

    def fail(event: Event) -> None:
        raise RuntimeError

    events.listen(fail)
    events.listen(heard.append)
    events.tell("vhost.created", name="v")
    assert [each.fields for each in heard] == [{"name": "v"}]


# ── the event exchange ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def exchange(core):
    return EventExchange(core.vhost, "hubbub@here")


def test_events_are_messages_with_rabbitmqs_headers(core, peer, exchange):
    peer.declare("events")
    peer.bind(EVENT_EXCHANGE, "queue.*", "events")
    peer.declare("q", max_length=5)
    core.clock.advance(core.clock.now_ms)
    message = peer.got("events")
    assert message.fields["routing_key"] == "queue.created"
    assert message.body == b""
    headers = message.properties["headers"]
    assert headers["name"] == "q"
    assert headers["arguments"] == {"x-max-length": 5}
    assert headers["user_who_performed_action"] == "guest"
    assert headers["node"] == "hubbub@here"
    assert headers["timestamp_in_ms"] == core.clock.now_ms
    assert message.properties["delivery_mode"] == 2


def test_its_bindings_outlive_a_restart_and_go_with_it_when_it_is_switched_off(make_core, core, peer, exchange):
    peer.declare("events", durable=True)
    peer.bind(EVENT_EXCHANGE, "queue.*", "events")
    core.commit()
    again = make_core(MemoryStore(state=core.crash()))
    EventExchange(again.vhost, "here")
    again.connect().declare("q")
    again.clock.advance(again.clock.now_ms)
    assert again.vhost.queues["events"].ready_count == 1
    remove_event_exchange(again.broker)
    assert not again.vhost.queues["events"].bindings
    again.commit()
    assert EVENT_EXCHANGE not in make_core(MemoryStore(state=again.crash())).vhost.exchanges


def test_what_nobody_has_bound_is_not_kept(core, peer, exchange):
    peer.declare("q")
    assert not exchange.waiting


def test_too_many_events_of_one_turn_are_counted(core, peer, exchange):
    peer.declare("events")
    peer.bind(EVENT_EXCHANGE, "x.y", "events")
    for _ in range(EVENTS_MAX + 5):
        core.broker.events.tell("x.y")
    assert exchange.dropped == 6  # the binding's own event is the first that waits
    core.clock.advance(core.clock.now_ms)
    assert core.vhost.queues["events"].ready_count == EVENTS_MAX - 1


def test_an_argument_that_no_table_holds_does_not_stop_the_event(core, peer, exchange):
    peer.declare("events")
    peer.bind(EVENT_EXCHANGE, "parameter.set", "events")
    core.broker.events.tell("parameter.set", name="huge", value={"n": 1 << 80, "l": ("a", object), "x" * 300: 1})
    core.clock.advance(core.clock.now_ms)
    assert peer.got("events").properties["headers"]["name"] == "huge"
