"""The history of a dead-lettered message, entry by entry, and when a queue is in its own cycle."""

from typing import Any

import pytest

from broker.core import dead_letter
from broker.core.message import Message
from broker.core.properties import decode_properties, encode_properties, replace_headers
from tests.oracles import field_table
from tests.support.mqtt_peer import MqttPeers

NOW_MS = 1_700_000_000_999


def published(routing_key: bytes = b"key", exchange: bytes = b"work", body: bytes = b"body", **properties: object):
    return Message(exchange, routing_key, encode_properties(properties), body)


def died(
    message: Message, queue: str = "q", reason: str = "expired", *, key: bytes | None = None, now_ms: int = NOW_MS
) -> Message:
    return dead_letter.letter(
        message,
        queue=queue,
        reason=reason,
        exchange="dlx",
        routing_key=message.routing_key if key is None else key,
        now_ms=now_ms,
    )


def headers(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = decode_properties(message.raw_properties)["headers"]
    return found


def test_the_first_death_is_told_whole():
    letter = died(published())
    assert (letter.exchange, letter.routing_key, letter.body) == (b"dlx", b"key", b"body")
    assert headers(letter) == {
        "x-death": [
            {
                "count": 1,
                "reason": "expired",
                "queue": "q",
                "time": 1_700_000_000,
                "exchange": "work",
                "routing-keys": ["key"],
            }
        ],
        "x-first-death-reason": "expired",
        "x-first-death-queue": "q",
        "x-first-death-exchange": "work",
        "x-last-death-reason": "expired",
        "x-last-death-queue": "q",
        "x-last-death-exchange": "work",
    }


def test_a_first_death_says_the_same_with_headers_and_without():
    plain = died(published(message_id="1", content_type="text/plain"))
    with_headers = died(published(message_id="1", content_type="text/plain", headers={"own": 1}))

    assert {**headers(plain), "own": 1} == headers(with_headers)
    rest = [{**decode_properties(each.raw_properties), "headers": None} for each in (plain, with_headers)]
    assert rest[0] == rest[1] == {"message_id": "1", "content_type": "text/plain", "headers": None}


def test_first_deaths_at_different_times_of_different_messages_are_told_apart():
    first = died(published(b"a"), now_ms=1_000)
    later = died(published(b"b"), now_ms=2_000)

    assert [headers(each)["x-death"][0]["time"] for each in (first, later)] == [1, 2]
    assert [headers(each)["x-death"][0]["routing-keys"] for each in (first, later)] == [["a"], ["b"]]


def test_field_types_are_rabbitmqs_on_the_first_and_on_later_deaths():
    letter = died(died(died(published(expiration="5"))), "other")
    table = field_table.read_properties(letter.raw_properties)["headers"]
    kind, deaths = table["x-death"]
    assert kind == "A"
    for kind, death in deaths:
        assert kind == "F"
        types = {name: value[0] for name, value in death.items() if name != "original-expiration"}
        assert types == {"count": "l", "reason": "S", "queue": "S", "time": "T", "exchange": "S", "routing-keys": "A"}
        assert [key[0] for key in death["routing-keys"][1]] == ["S"]
    assert deaths[1][1]["original-expiration"] == ("S", "5")
    assert all(table[f"x-{which}-death-reason"][0] == "S" for which in ("first", "last"))


def test_the_same_queue_and_reason_count_on_and_come_to_the_front():
    message = published()
    for queue, reason in [("a", "expired"), ("b", "rejected"), ("a", "rejected"), ("a", "expired")]:
        message = died(message, queue, reason)
    deaths = headers(message)["x-death"]
    assert [(death["queue"], death["reason"], death["count"]) for death in deaths] == [
        ("a", "expired", 2), ("a", "rejected", 1), ("b", "rejected", 1),
    ]  # fmt: skip


def test_entries_of_one_queue_and_reason_become_one():
    """RabbitMQ: brokers before 3.5 wrote one per death, without a count."""
    old = [{"queue": name, "reason": "expired", "n": n} for n, name in enumerate("aabqaq")]
    deaths = headers(died(published(headers={"x-death": old})))["x-death"]
    assert [(each["queue"], each["count"], each["n"]) for each in deaths] == [("q", 3, 3), ("a", 3, 0), ("b", 1, 2)]


def test_an_entry_keeps_its_first_time_exchange_and_keys():
    first = died(published(), key=b"dead")
    again = died(first, now_ms=NOW_MS + 50_000)
    death = headers(again)["x-death"][0]
    assert (death["count"], death["time"], death["exchange"]) == (2, 1_700_000_000, "work")
    assert death["routing-keys"] == ["key"]


def test_first_death_is_written_once_and_last_death_each_time():
    letter = died(died(published(), "a", "maxlen"), "b", "delivery_limit")
    told = headers(letter)
    assert [told[f"x-first-death-{what}"] for what in ("reason", "queue", "exchange")] == ["maxlen", "a", "work"]
    assert [told[f"x-last-death-{what}"] for what in ("reason", "queue", "exchange")] == ["delivery_limit", "b", "dlx"]


@pytest.mark.parametrize("reason", ["expired", "rejected", "maxlen", "delivery_limit"])
def test_the_messages_own_expiration_is_removed_and_remembered(reason):
    letter = died(published(expiration="60000", app_id="a"), reason=reason)
    assert "expiration" not in decode_properties(letter.raw_properties)
    assert headers(letter)["x-death"][0]["original-expiration"] == "60000"
    assert decode_properties(letter.raw_properties)["app_id"] == "a"


def test_other_headers_and_properties_stay_byte_for_byte():
    raw = field_table.write_properties({"headers": {"n": ("b", 1), "f": ("f", 0.5)}, "priority": 3, "user_id": "guest"})
    letter = died(Message(b"work", b"key", raw, b""))
    found = field_table.read_properties(letter.raw_properties)
    assert (found["headers"]["n"], found["headers"]["f"]) == (("b", 1), ("f", 0.5))
    assert (found["priority"], found["user_id"]) == (3, "guest")


def test_carbon_copies_are_told_and_are_keys_of_the_letter():
    message = published(headers={"CC": ["second", "third"], "BCC": "no array"})
    assert dead_letter.routing_keys(message, None) == [b"key", b"second", b"third"]
    letter = died(message)
    assert headers(letter)["x-death"][0]["routing-keys"] == ["key", "second", "third"]
    assert headers(letter)["CC"] == ["second", "third"]


def test_the_queues_own_routing_key_replaces_key_and_carbon_copies():
    message = published(headers={"CC": ["second"]})
    assert dead_letter.routing_keys(message, "dead") == [b"dead"]
    letter = died(message, key=b"dead")
    assert letter.routing_key == b"dead"
    assert "CC" not in headers(letter)
    assert dead_letter.routing_keys(letter, None) == [b"dead"]


@pytest.mark.parametrize("copies", ["second", 1, [1, None], {}, None])
def test_carbon_copies_that_are_no_texts_are_no_keys(copies):
    message = published(headers={"CC": copies})
    assert dead_letter.routing_keys(message, None) == [b"key"]
    assert headers(died(message))["x-death"][0]["routing-keys"] == ["key"]


def test_names_that_are_not_utf8_survive():
    letter = died(published(routing_key=b"\xff", exchange=b"\xfe"), queue="\udcfd")
    death = headers(letter)["x-death"][0]
    assert (death["routing-keys"], death["exchange"], death["queue"]) == ([b"\xff"], b"\xfe", b"\xfd")
    again = died(letter, queue="\udcfd")
    assert headers(again)["x-death"][0]["count"] == 2
    assert dead_letter.would_cycle(letter.raw_properties, "\udcfd")


@pytest.mark.parametrize("garbage", ["a text", 1, None, {}])
def test_an_x_death_that_is_no_array_begins_anew(garbage):
    assert [death["count"] for death in headers(died(published(headers={"x-death": garbage})))["x-death"]] == [1]


def test_entries_that_a_client_made_up_are_kept_behind():
    made_up = ["text", {"queue": "q"}, {"queue": "q", "reason": "expired", "count": "many"}]
    deaths = headers(died(published(headers={"x-death": made_up})))["x-death"]
    assert deaths[0] == {"queue": "q", "reason": "expired", "count": 2}
    assert deaths[1:] == ["text", {"queue": "q", "count": 1}]


# ── cycles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def after(*deaths: tuple[str, str]) -> bytes:
    message = published()
    for queue, reason in deaths:
        message = died(message, queue, reason)
    raw: bytes = message.raw_properties
    return raw


@pytest.mark.parametrize(
    ("deaths", "queue", "expected"),
    [
        ([], "a", False),
        ([("a", "expired")], "a", True),
        ([("a", "maxlen")], "a", True),
        ([("a", "delivery_limit")], "a", True),
        ([("a", "expired")], "b", False),
        ([("a", "rejected")], "a", False),
        ([("a", "expired"), ("b", "expired")], "a", True),
        ([("a", "expired"), ("b", "rejected")], "a", False),
        ([("a", "rejected"), ("b", "expired")], "b", True),
        ([("a", "rejected"), ("b", "expired")], "a", False),
        ([("a", "expired"), ("b", "rejected"), ("a", "expired")], "a", True),
    ],
)
def test_a_queue_is_in_its_own_cycle_where_nobody_rejected_the_message_since(deaths, queue, expected):
    assert dead_letter.would_cycle(after(*deaths), queue) == expected


@pytest.mark.parametrize("garbage", ["text", ["text"], [1, {"queue": "a", "reason": "expired"}]])
def test_what_a_client_made_up_is_no_automatic_cycle(garbage):
    raw = replace_headers(b"\0\0", {"x-death": garbage})
    assert not dead_letter.would_cycle(raw, "a")


def test_headers_that_the_core_does_not_look_at_go_with_the_letter(core, peer):
    """MQTT's user properties: a message whose flags deny that it has headers."""
    writer = MqttPeers(core).enter("writer")
    peer.declare("dead")
    peer.declare("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    peer.call("queue.bind", queue="q", exchange="amq.topic", routing_key="a.b")
    writer.publish("a/b", properties={"user": [("tenant", "7")]})
    peer.consume("q")
    peer.send("basic.reject", delivery_tag=1, requeue=False)
    found = peer.get("dead")
    assert found.properties["headers"]["tenant"] == "7"
    assert found.properties["headers"]["x-first-death-queue"] == "q"
