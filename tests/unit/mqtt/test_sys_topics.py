"""The broker about itself: Mosquitto's names, current values for who comes, changes while anybody is subscribed."""

from collections import Counter

import pytest

from broker.mqtt.sys_topics import COUNTS, LOADS, SysTopics, may_publish


class Scene:
    """The topics over a broker of the test's own, with figures set by hand."""

    def __init__(self, core, peer, interval_s: int = 10) -> None:
        self.core, self.peer = core, peer
        self.figures: Counter[str] = Counter()
        self.asked = 0
        self.topics = SysTopics(core.broker, core.clock, self.look, version="1.2.3", interval_s=interval_s)

    def look(self) -> Counter[str]:
        self.asked += 1
        return self.figures

    def now(self, topic_filter: bytes = b"$SYS.#") -> dict[str, str]:
        found = (each.message for each in self.topics.matches(topic_filter))
        return {message.routing_key.decode(): message.body.decode() for message in found}

    def subscribe(self, key: str = "$SYS.#") -> None:
        self.peer.declare("q")
        self.peer.bind("amq.topic", key)
        self.topics.matches(key.encode())

    def arrived(self) -> dict[str, str]:
        found = {}
        while (content := self.peer.get(no_ack=True)) is not None:
            found[content.fields["routing_key"]] = content.body.decode()
        return found


@pytest.fixture
def scene(core, peer):
    return Scene(core, peer)


def test_names_are_mosquittos(scene):
    scene.figures["bytes_received"] = 17
    values = scene.now()
    assert values["$SYS.broker.version"] == "hubbub version 1.2.3"
    assert values["$SYS.broker.uptime"] == "0 seconds"
    assert values["$SYS.broker.bytes.received"] == "17"
    assert len(values) == 2 + len(COUNTS) + 3 * len(LOADS)
    assert {"$SYS.broker.retained messages.count", "$SYS.broker.load.publish.dropped.15min"} <= set(values)


def test_a_new_subscriber_gets_what_its_filter_matches_flagged_as_retained(scene):
    assert set(scene.now(b"$SYS.broker.clients.*")) == {
        f"$SYS.broker.clients.{name}"
        for name in ("connected", "active", "disconnected", "inactive", "expired", "maximum", "total")
    }
    (uptime,) = scene.topics.matches(b"$SYS.broker.uptime")
    assert uptime.as_delivered(0).is_retained


@pytest.mark.parametrize("topic_filter", [b"#", b"*.broker.uptime", b"*.#", b"other.#", b"$sys.#"])
def test_mqtt_4_7_2_1_wildcards_in_front_do_not_see_them(scene, topic_filter):
    assert scene.topics.matches(topic_filter) == []
    assert scene.asked == 0


def test_while_somebody_is_subscribed_changes_arrive_each_interval_and_nothing_else(core, scene):
    scene.subscribe()
    core.pass_ms(9_999)
    assert scene.arrived() == {}
    core.pass_ms(1)
    assert scene.arrived()["$SYS.broker.uptime"] == "10 seconds"

    scene.figures["clients_connected"] = 3
    core.pass_ms(10_000)

    assert scene.arrived() == {
        "$SYS.broker.uptime": "20 seconds",
        "$SYS.broker.clients.connected": "3",
        "$SYS.broker.clients.active": "3",
    }


def test_with_nobody_subscribed_there_is_no_timer_and_nobody_is_asked(core, scene):
    assert scene.topics.timer is None
    scene.subscribe()
    core.vhost.remove_queue(core.queue())
    asked = scene.asked

    core.pass_ms(100_000)

    assert scene.asked == asked
    assert scene.topics.timer is None


def test_who_binds_everything_over_amqp_did_not_ask_for_it(core, peer, scene):
    peer.declare("all")
    peer.bind("amq.topic", "#", name="all")
    scene.subscribe("$SYS.broker.uptime")
    core.pass_ms(10_000)
    assert set(scene.arrived()) == {"$SYS.broker.uptime"}
    assert peer.get("all") is None


def test_interval_0_is_off(core, peer):
    scene = Scene(core, peer, interval_s=0)
    assert scene.now() == {}
    scene.subscribe()
    core.pass_ms(100_000)
    assert (scene.asked, scene.arrived()) == (0, {})


def test_a_load_comes_to_the_steady_rate_and_the_short_one_first(core, scene):
    scene.subscribe()
    for _ in range(6):  # one minute at 60 a minute
        scene.figures["publish_received"] += 10
        core.pass_ms(10_000)
    loads = [float(scene.now()[f"$SYS.broker.load.publish.received.{span}"]) for span in ("1min", "5min", "15min")]
    assert loads == pytest.approx([60 * (1 - 2.71828 ** (-1 / minutes)) for minutes in (1, 5, 15)], abs=0.01)


def test_a_load_after_an_hour_unobserved_is_the_hours_average(core, scene):
    scene.figures["bytes_sent"] = 600
    core.pass_ms(3_600_000)
    assert scene.now()["$SYS.broker.load.bytes.sent.1min"] == "10.00"


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        (b"$SYS/broker/uptime", False), (b"$SYS", False), (b"$SYS.x", False), (b"$SYSTEM/x", True), (b"a/$SYS", True),
        (b"$sys/x", True), (b"", True),
    ],
)  # fmt: skip
def test_clients_do_not_publish_below_it(topic, allowed):
    assert may_publish(topic) is allowed
