"""Topics that a client may not publish or subscribe to, and changes of rights under a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from broker.config import Mqtt
from broker.core.message import Message
from broker.core.topic_rights import TopicRule
from broker.mqtt.endpoint import Endpoint
from broker.sections import MqttAcl
from storage.memory_store import MemoryStore
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V311, Filter, Packet, Will
from tests.support.mqtt_peer import MqttPeer, MqttPeers
from tests.support.peer import Core

Connect = Callable[..., MqttPeer]
Rules = Callable[..., None]
NOT_AUTHORIZED, ADMINISTRATIVE_ACTION = 0x87, 0x98


def allow(key: bytes, verb: str = "all", user: str | None = None) -> TopicRule:
    return TopicRule(True, verb, key, user)


def deny(key: bytes, verb: str = "all", user: str | None = None) -> TopicRule:
    return TopicRule(False, verb, key, user)


@pytest.fixture
def connect(core: Core) -> Connect:
    return MqttPeers(core).connect


@pytest.fixture
def rules(core: Core) -> Rules:
    def put(*rules: TopicRule, default_allow: bool = True) -> None:
        core.broker.access.topics.fix([], default_allow=default_allow)
        core.broker.access.topics.set_rules("/", rules)

    return put


def opened(connect: Connect, client_id: str = "c", version: int = V5, **options: Any) -> MqttPeer:
    peer = connect(client_id, version, **options)
    assert peer.heard()[0].reason == 0
    return peer


def subscribe(peer: MqttPeer, *filters: str | Filter, qos: int = 0) -> tuple[int, ...]:
    asked = [each if isinstance(each, Filter) else Filter(each, qos) for each in filters]
    peer.feed(codec.subscribe(peer.version, 9, asked))
    (suback,) = [each for each in peer.heard() if each.name == "suback"]
    return tuple(suback.reasons)


def publish(peer: MqttPeer, topic: str, body: bytes = b"m", qos: int = 0, **options: Any) -> list[Packet]:
    peer.feed(codec.publish(peer.version, topic, body, qos=qos, packet_id=7 if qos else None, **options))
    return peer.heard()


def got(peer: MqttPeer) -> list[tuple[str, bytes]]:
    return [(each.topic, each.payload) for each in peer.heard() if each.name == "publish"]


# ── subscribing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "failure"), [(V5, NOT_AUTHORIZED), (V311, 0x80)])
def test_a_filter_that_is_not_allowed_is_refused_in_suback(connect, rules, version, failure):
    rules(allow(b"sensors.*"), default_allow=False)
    peer = opened(connect, version=version)
    assert subscribe(peer, "sensors/+", "sensors/#", "sensors/1", "other") == (0, failure, 0, failure)
    assert peer.connection.counters.subscriptions_refused == 2


def test_shared_subscriptions_need_the_right_for_all_that_they_match(connect, rules):
    rules(deny(b"a.secret"))
    peer = opened(connect)
    assert subscribe(peer, "a/#", "$share/g/a/#", "$share/g/b/#") == (0, NOT_AUTHORIZED, 0)


def test_a_topic_permission_of_rabbitmq_is_about_the_filter_as_a_binding_key(connect, core):
    core.broker.access.set_topic_permission("/", "guest", "amq.topic", "^none$", r"^{client_id}\.")
    peer = opened(connect, "c7")
    assert subscribe(peer, "c7/#", "c8/#", "#") == (0, NOT_AUTHORIZED, NOT_AUTHORIZED)
    assert publish(peer, "c7/x", qos=1)[0].reason == NOT_AUTHORIZED


def test_what_is_denied_within_a_granted_filter_is_left_out(connect, rules, core):
    rules(deny(b"a.secret", "read"))
    peer = opened(connect)
    assert subscribe(peer, "a/#", qos=1) == (1,)
    for qos in (0, 1):
        for topic in ("a/secret", "a/public"):
            publish(opened(connect, f"from-{topic}-{qos}"), topic, topic.encode(), qos)
    assert got(peer) == [("a/public", b"a/public")] * 2


def test_retained_messages_of_a_denied_topic_are_left_out(connect, rules, core):
    rules(deny(b"a.secret", "read"))
    for topic in (b"a.secret", b"a.public"):
        core.vhost.retained.keep(Message(b"amq.topic", topic, b"\0\0", topic))
    peer = opened(connect)
    peer.feed(codec.subscribe(V5, 1, [Filter("a/#", 0)]))
    assert got(peer) == [("a/public", b"a.public")]


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 20_000])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", [V311, V5])
def test_a_message_to_a_topic_that_is_not_allowed_is_dropped_and_answered(connect, rules, core, version, qos, size):
    rules(deny(b"no.#", "write"))
    listener = opened(connect, "listener")
    subscribe(listener, "#")
    peer = opened(connect, version=version)
    answers = publish(peer, "no/1", b"x" * size, qos)

    # MQTT 3.1.1 §3.3.5: the broker has no word for it, and acknowledges, as Mosquitto does.
    expected = [] if qos == 0 else [({1: "puback", 2: "pubrec"}[qos], NOT_AUTHORIZED if version == V5 else 0)]
    assert [(each.name, each.reason) for each in answers] == expected
    assert peer.connection.counters.publish_refused == 1
    assert publish(peer, "yes", b"m", qos)[:1] != [] or qos == 0
    assert got(listener) == [("yes", b"m")]


def test_a_large_message_that_comes_in_pieces_is_refused_before_it_is_whole(connect, rules):
    rules(deny(b"no"))
    peer = opened(connect)
    packet = codec.publish(V5, "no", b"x" * 40_000, qos=1, packet_id=5)
    peer.feed(packet[:20_000])
    peer.feed(packet[20_000:])
    assert [(each.name, each.reason) for each in peer.heard()] == [("puback", NOT_AUTHORIZED)]
    assert publish(peer, "yes", qos=1)[0].reason == 0x10


def test_a_refused_qos_2_message_is_released_by_a_client_of_mqtt_3(connect, rules):
    rules(deny(b"no"))
    peer = opened(connect, version=V311)
    assert [each.name for each in publish(peer, "no", qos=2)] == ["pubrec"]
    peer.feed(codec.ack(codec.PUBREL, 7))
    assert [each.name for each in peer.heard()] == ["pubcomp"]


def test_topic_aliases_are_judged_by_what_they_stand_for(connect, rules):
    rules(deny(b"no"))
    peer = opened(connect)
    assert publish(peer, "no", qos=1, properties={"topic_alias": 1})[0].reason == NOT_AUTHORIZED
    assert publish(peer, "yes", qos=1, properties={"topic_alias": 2})[0].reason == 0x10
    assert publish(peer, "", qos=1, properties={"topic_alias": 1})[0].reason == NOT_AUTHORIZED
    assert publish(peer, "", qos=1, properties={"topic_alias": 2})[0].reason == 0x10


def test_a_refused_message_is_not_retained(connect, rules, core):
    rules(deny(b"no", "write"))
    publish(opened(connect), "no", retain=True)
    assert core.vhost.retained.get(b"no") is None


def test_a_will_is_judged_when_it_is_due(connect, rules, core):
    listener = opened(connect, "listener")
    subscribe(listener, "#")
    peer = opened(connect, will=Will("no", b"gone"))
    rules(deny(b"no", "write"))
    peer.connection.lost("cut")
    assert got(listener) == []
    assert listener.connection.counters.wills_refused == 1


# ── changes take effect at once ───────────────────────────────────────────────────────────────────────────────────────


def test_a_subscription_that_is_not_allowed_any_more_ends(connect, rules):
    peer, other = opened(connect), opened(connect, "other")
    subscribe(peer, "a/#", "b", "$share/g/a/+", qos=1)
    rules(deny(b"a.#"))
    for topic in ("a/1", "b"):
        publish(other, topic)
    assert got(peer) == [("b", b"m")]
    assert [held.topic_filter for held in peer.connection.session.subscriptions.values()] == [b"b"]
    assert peer.connection.counters.subscriptions_revoked == 2

    rules()  # what was taken away does not come back by itself
    publish(other, "a/1")
    assert got(peer) == []
    assert subscribe(peer, "a/#") == (0,)


def test_a_topic_that_is_denied_now_is_left_out_of_a_subscription_that_stays(connect, rules):
    peer, other = opened(connect), opened(connect, "other")
    subscribe(peer, "a/#")
    publish(other, "a/1", b"before")
    rules(deny(b"a.1", "read"))
    publish(other, "a/1", b"denied")
    rules()
    publish(other, "a/1", b"after")
    assert got(peer) == [("a/1", b"before"), ("a/1", b"after")]


def test_what_waits_for_a_client_that_is_away_is_not_delivered_if_it_may_not_have_it_any_more(connect, rules):
    options: dict[str, Any] = {"clean": False, "properties": {"session_expiry": 100}}
    peer, other = opened(connect, **options), opened(connect, "other")
    subscribe(peer, "a/#", "b", qos=1)
    peer.connection.lost("cut")
    for topic in ("a/1", "b"):
        publish(other, topic, qos=1)
    rules(deny(b"a.#", "read"))
    publish(other, "a/2", qos=1)

    again = connect("c", **options)
    assert got(again) == [("b", b"m")]
    assert again.connection.counters.dropped_unauthorized == 1


def test_the_next_publish_is_judged_by_what_holds_then(connect, rules, core):
    peer = opened(connect)
    assert publish(peer, "a", qos=1)[0].reason == 0x10
    rules(deny(b"a"))
    assert publish(peer, "a", qos=1)[0].reason == NOT_AUTHORIZED
    rules()
    assert publish(peer, "a", qos=1)[0].reason == 0x10
    core.broker.access.set_permission("/", "guest", ".*", "^none$", ".*")
    assert publish(peer, "a", qos=1)[0].reason == NOT_AUTHORIZED


def test_topic_aliases_survive_a_change_of_rights(connect, rules):
    peer = opened(connect)
    publish(peer, "a", qos=1, properties={"topic_alias": 1})
    rules(deny(b"b"))
    assert publish(peer, "", qos=1, properties={"topic_alias": 1})[0].reason == 0x10


def test_a_publish_that_has_begun_was_allowed_and_the_next_is_asked_about(connect, rules):
    listener, peer = opened(connect, "listener"), opened(connect)
    subscribe(listener, "a")
    packet = codec.publish(V5, "a", b"x" * 40_000, qos=1, packet_id=5)
    peer.feed(packet[:20_000])
    rules(deny(b"a", "write"))
    peer.feed(packet[20_000:])
    assert [(each.name, each.reason) for each in peer.heard()] == [("puback", 0)]
    assert len(got(listener)) == 1
    assert publish(peer, "a", qos=1)[0].reason == NOT_AUTHORIZED


@pytest.mark.parametrize("version", [V311, V5])
def test_the_clients_of_a_deleted_user_are_sent_away(connect, core, version):
    core.broker.access.add_user("ann", b"x")
    core.broker.access.set_permission("/", "ann", ".*", ".*", ".*")
    peer, other = opened(connect, version=version, user="ann", password="x"), opened(connect, "other")
    core.broker.access.delete_user("ann")
    said = [(each.name, each.reason) for each in peer.heard()]
    assert said == ([("disconnect", ADMINISTRATIVE_ACTION)] if version == V5 else [])
    assert peer.connection.output.is_closed
    assert other.heard() == []
    assert core.broker.presence.of_user == {"guest": 1}


def test_a_stored_session_of_a_deleted_user_gets_nothing_more(connect, core):
    core.broker.access.add_user("ann", b"x")
    core.broker.access.set_permission("/", "ann", ".*", ".*", ".*")
    peer = opened(connect, user="ann", password="x", properties={"session_expiry": 100})
    subscribe(peer, "a", qos=1)
    session = peer.connection.session
    peer.connection.lost("cut")
    core.broker.access.delete_user("ann")
    publish(opened(connect, "other"), "a", qos=1)
    assert session.subscriptions == {}
    assert session.queue is not None
    assert session.queue.ready_count == 0


def test_who_may_not_enter_the_vhost_any_more_is_sent_away(connect, core):
    peer = opened(connect)
    core.broker.access.clear_permission("/", "guest")
    assert [(each.name, each.reason) for each in peer.heard()] == [("disconnect", NOT_AUTHORIZED)]


def test_another_user_who_takes_a_session_over_gets_what_it_may(connect, core, rules):
    core.broker.access.add_user("ann", b"x")
    core.broker.access.set_permission("/", "ann", ".*", ".*", ".*")
    rules(deny(b"a", "read", "ann"))
    options: dict[str, Any] = {"clean": False, "properties": {"session_expiry": 100}}
    subscribe(opened(connect, **options), "a", "b")
    peer = opened(connect, user="ann", password="x", **options)
    for topic in ("a", "b"):
        publish(opened(connect, "other"), topic)
    assert got(peer) == [("b", b"m")]


def test_a_restart_judges_by_the_user_who_was_connected_last(make_core, connect, core, rules):
    peer = opened(connect, properties={"session_expiry": 100})
    subscribe(peer, "a", "b", qos=1)
    core.commit()
    state = core.stop()
    again = make_core(MemoryStore(state=state))
    endpoint = Endpoint(again.broker, again.limits, Mqtt(acls=[MqttAcl(permission="deny", topic="a")]))
    endpoint.restore()
    (session,) = endpoint.sessions.by_name.values()
    assert [held.topic_filter for held in session.subscriptions.values()] == [b"b"]


# ── client identifiers ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "client_id", "reason"),
    [
        ("any", "whoever", 0),
        ("any", "", 0),
        ("user", "guest", 0),
        ("user", "guest-1", 0x85),
        ("user", "", 0x85),
        ("user-prefix", "guest", 0),
        ("user-prefix", "guest-1", 0),
        ("user-prefix", "guest/kitchen", 0),
        ("user-prefix", "guesthouse", 0x85),
        ("user-prefix", "other", 0x85),
    ],
)
def test_a_client_identifier_is_the_users_where_that_is_asked(core, rule, client_id, reason):
    peers = MqttPeers(core, client_id=rule)
    assert peers.connect(client_id).heard()[0].reason == reason


def test_a_client_of_another_user_cannot_take_a_session_over(core):
    core.broker.access.add_user("ann", b"x")
    core.broker.access.set_permission("/", "ann", ".*", ".*", ".*")
    peers = MqttPeers(core, client_id="user-prefix")
    mine = peers.enter("guest-1")
    assert peers.connect("guest-1", user="ann", password="x").heard()[0].reason == 0x85
    assert peers.connect("guest-1", V311, user="ann", password="x").heard()[0].reason == 2
    assert mine.heard() == []
