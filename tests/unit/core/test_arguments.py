"""Arguments of declarations and consumers: RabbitMQ's texts word for word, typed values, equivalence."""

from types import SimpleNamespace
from typing import Any

import pytest

from broker.core import arguments as rules
from broker.core.errors import NotImplementedHere, PreconditionFailed, ResourceLocked
from broker.core.properties import Long, Timestamp

DLX = {"x-dead-letter-exchange": "dlx"}


def refused(arguments: dict[str, Any], **flags: bool) -> str:
    with pytest.raises(PreconditionFailed) as error:
        rules.queue_arguments("q", "/", arguments, **flags)
    return error.value.text


def test_no_arguments_are_a_classic_queue_without_limits():
    settings = rules.queue_arguments("q", "/", {})
    assert settings == rules.QueueArguments()
    assert (settings.queue_type, settings.max_length, settings.delivery_limit) == ("classic", None, None)


def test_every_argument_of_a_classic_queue_arrives_typed():
    settings = rules.queue_arguments(
        "q",
        "/",
        {
            "x-message-ttl": 0,
            "x-expires": 1,
            "x-max-length": 10,
            "x-max-length-bytes": Long(20),
            "x-overflow": "reject-publish-dlx",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": b"\xff",
            "x-max-priority": 255,
            "x-single-active-consumer": True,
            "x-queue-mode": "lazy",
            "x-queue-version": 2,
            "x-unknown": [1],
        },
    )
    assert settings == rules.QueueArguments(
        message_ttl_ms=0,
        expires_ms=1,
        max_length=10,
        max_length_bytes=20,
        overflow="reject-publish-dlx",
        dead_letter_exchange="",
        dead_letter_routing_key="\udcff",
        max_priority=255,
        single_active_consumer=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("x-message-ttl", -1, "{value_negative,-1}"),
        ("x-message-ttl", 315_360_000_001, "{value_too_large,315360000001}"),
        ("x-message-ttl", "1000", '"expected integer, got longstr"'),
        ("x-message-ttl", True, '"expected integer, got bool"'),
        ("x-message-ttl", 1.5, '"expected integer, got double"'),
        ("x-message-ttl", Timestamp(1), '"expected integer, got timestamp"'),
        ("x-expires", 0, "{value_zero,0}"),
        ("x-expires", -1, "{value_negative,-1}"),
        ("x-expires", None, '"expected integer, got void"'),
        ("x-max-length", -5, "{value_negative,-5}"),
        ("x-max-length", {}, '"expected integer, got table"'),
        ("x-max-length-bytes", [], '"expected integer, got array"'),
        ("x-max-priority", -1, "{value_negative,-1}"),
        ("x-max-priority", 256, "{max_value_exceeded,256}"),
        ("x-overflow", "drop-middle", "invalid_overflow"),
        ("x-overflow", 1, "{unacceptable_type,signedint}"),
        ("x-overflow", 2**40, "{unacceptable_type,long}"),
        ("x-queue-mode", "eager", "\"unsupported queue mode 'eager'\""),
        ("x-queue-version", 3, "\"unsupported queue version '3'\""),
        ("x-single-active-consumer", "true", "{unacceptable_type,longstr}"),
        ("x-queue-type", "fast", "\"unsupported queue type 'fast'\""),
        ("x-queue-type", 1, "{unacceptable_type,signedint}"),
        ("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
        ("x-dead-letter-routing-key", 1, "{unacceptable_type,signedint}"),
        ("x-queue-leader-locator", "nearby", "invalid_queue_locator_arg"),
    ],
)
def test_a_wrong_value_is_refused_in_rabbitmqs_words(name, value, wrong):
    assert refused({name: value}) == f"invalid arg '{name}' for queue 'q' in vhost '/': {wrong}"


def test_a_dead_letter_exchange_that_is_no_name_has_its_own_text():
    assert refused({"x-dead-letter-exchange": 1}) == (
        "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    )


def test_of_several_wrong_arguments_the_first_in_rabbitmqs_order_is_named():
    assert "x-expires" in refused({"x-overflow": "no", "x-max-length": -1, "x-expires": 0})


# ── quorum and stream ─────────────────────────────────────────────────────────────────────────────────────────────────

QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize(
    ("limit", "expected"), [({}, 20), ({"x-delivery-limit": 3}, 3), ({"x-delivery-limit": -1}, None)]
)
def test_a_quorum_queue_has_a_delivery_limit(limit, expected):
    settings = rules.queue_arguments("q", "/", QUORUM | limit, durable=True)
    assert (settings.queue_type, settings.delivery_limit) == ("quorum", expected)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"durable": False}, "non-durable"),
        ({"exclusive": True}, "exclusive-owner"),
        ({"auto_delete": True}, "auto-delete"),
        ({"auto_delete": True, "exclusive": True, "durable": False}, "auto-delete"),
    ],
)
def test_a_quorum_queue_is_durable_and_belongs_to_nobody(flags, word):
    assert refused(QUORUM, **flags) == f"invalid property '{word}' for queue 'q' in vhost '/'"
    assert rules.queue_arguments("q", "/", {}, **flags).queue_type == "classic"


@pytest.mark.parametrize(
    ("queue_type", "name", "value"),
    [("quorum", "x-max-priority", 5), ("quorum", "x-queue-mode", "lazy"), ("classic", "x-quorum-initial-group-size", 3),
     ("classic", "x-max-age", "1h")],
)  # fmt: skip
def test_an_argument_of_another_queue_type_is_refused(queue_type, name, value):
    assert refused({"x-queue-type": queue_type, name: value}) == (
        f"invalid arg '{name}' for queue 'q' in vhost '/' of queue type rabbit_{queue_type}_queue"
    )


def test_a_stream_is_refused_clearly():
    with pytest.raises(NotImplementedHere) as error:
        rules.queue_arguments("q", "/", {"x-queue-type": "stream"})
    assert error.value.text == ("queue 'q' in vhost '/' cannot be declared: queues of type 'stream' are not supported")


# ── consumers and exchanges ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("value", "expected"), [(5, 5), (-3, -3), (2**40, 2**31 - 1), (-(2**40), -(2**31) + 1)])
def test_a_consumers_priority_is_any_integer_and_kept_within_32_bits(value, expected):
    assert rules.consume_arguments("q", "/", {"x-priority": value}).priority == expected


def test_a_consumer_without_priority_has_zero():
    assert rules.consume_arguments("q", "/", {"x-cancel-on-ha-failover": True}).priority == 0


@pytest.mark.parametrize(
    ("arguments", "queue_type", "text"),
    [
        ({"x-priority": "high"}, "classic",
         "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\""),
        ({"x-cancel-on-ha-failover": 1}, "classic",
         "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': {unacceptable_type,signedint}"),
        ({"x-stream-offset": "first"}, "classic",
         "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type rabbit_classic_queue"),
        ({"x-cancel-on-ha-failover": True}, "quorum",
         "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"),
    ],
)  # fmt: skip
def test_a_consumers_wrong_arguments_are_refused_in_rabbitmqs_words(arguments, queue_type, text):
    with pytest.raises(PreconditionFailed) as error:
        rules.consume_arguments("q", "/", arguments, queue_type)
    assert error.value.text == text


def test_an_alternate_exchange_is_a_name():
    rules.check_exchange_arguments("x", "/", {"alternate-exchange": "ae", "other": 1})
    with pytest.raises(PreconditionFailed) as error:
        rules.check_exchange_arguments("x", "/", {"alternate-exchange": 1})
    assert error.value.text == "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"


# ── equivalence ───────────────────────────────────────────────────────────────────────────────────────────────────────


def queue(arguments: dict[str, object] | None = None, **changed: object) -> SimpleNamespace:
    arguments = arguments or {}
    fields = {"name": "q", "durable": True, "auto_delete": False, "exclusive_owner": None, "arguments": arguments}
    settings = rules.queue_arguments("q", "/", arguments)
    return SimpleNamespace(**(fields | {"settings": settings} | changed))


def queue_difference(existing: object, arguments: dict[str, object] | None = None, *, durable=True, auto_delete=False):
    with pytest.raises(PreconditionFailed) as error:
        rules.check_queue_equivalence(existing, durable, False, auto_delete, arguments or {}, "/")
    return error.value.text


def test_a_declaration_that_is_the_same_passes():
    arguments = {"x-max-length": 5, "x-message-ttl": 7, "x-overflow": "drop-head", "x-unknown": 1}
    same = {"x-max-length": Long(5), "x-message-ttl": 7, "x-overflow": "drop-head", "x-unknown": 2}
    rules.check_queue_equivalence(queue(arguments), True, False, False, same, "/")


def test_flags_that_differ_are_named_with_both_values():
    assert queue_difference(queue(), durable=False) == (
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
    )
    assert queue_difference(queue(), auto_delete=True) == (
        "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'"
    )


@pytest.mark.parametrize(
    ("current", "received", "text"),
    [
        ({}, {"x-max-length": 2},
         "'x-max-length' for queue 'q' in vhost '/': received the value '2' of type 'signedint' but current is none"),
        ({"x-max-length": 2}, {},
         "'x-max-length' for queue 'q' in vhost '/': received none but current is the value '2' of type 'signedint'"),
        ({"x-max-length": 2}, {"x-max-length": 3},
         "'x-max-length' for queue 'q' in vhost '/': received '3' but current is '2'"),
        (DLX, {"x-dead-letter-exchange": "other"},
         "'x-dead-letter-exchange' for queue 'q' in vhost '/': received 'other' but current is 'dlx'"),
        ({}, DLX, "'x-dead-letter-exchange' for queue 'q' in vhost '/': received the value 'dlx' of type 'longstr' "
                  "but current is none"),
        ({"x-single-active-consumer": True}, {"x-single-active-consumer": 1},
         "'x-single-active-consumer' for queue 'q' in vhost '/': received '1' but current is 'true'"),
        ({}, QUORUM, "'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type 'longstr' "
                     "but current is none"),
    ],
)  # fmt: skip
def test_arguments_that_differ_are_named_with_both_values(current, received, text):
    assert queue_difference(queue(current), received) == f"inequivalent arg {text}"


@pytest.mark.parametrize(
    ("current", "received"), [({}, {"x-queue-type": "classic"}), ({"x-queue-type": "classic"}, {})]
)
def test_classic_is_what_a_queue_is_anyway(current, received):
    rules.check_queue_equivalence(queue(current), True, False, False, received, "/")


@pytest.mark.parametrize(("owner", "exclusive"), [(None, True), (object(), False)])
def test_exclusive_differs_is_resource_locked(owner, exclusive):
    with pytest.raises(ResourceLocked) as error:
        rules.check_queue_equivalence(queue(exclusive_owner=owner), True, exclusive, False, {}, "/")
    assert error.value.text == (
        "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another "
        "connection or the exclusive property value does not match that of the original declaration."
    )


EXCHANGE: dict[str, Any] = {
    "type_name": "direct",
    "durable": True,
    "auto_delete": False,
    "internal": False,
    "arguments": {},
}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"type_name": "fanout"}, "'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'"),
        ({"durable": False}, "'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'"),
        ({"auto_delete": True}, "'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'"),
        ({"internal": True}, "'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'"),
        ({"arguments": {"alternate-exchange": "ae"}},
         "'alternate-exchange' for exchange 'x' in vhost '/': received the value 'ae' of type 'longstr' but current is "
         "none"),
    ],
)  # fmt: skip
def test_an_exchange_that_differs_is_named_with_both_values(changed, text):
    existing = SimpleNamespace(
        name="x", type="direct", durable=True, auto_delete=False, internal=False, arguments={"other": 1}
    )
    rules.check_exchange_equivalence(existing, **EXCHANGE, vhost="/")
    with pytest.raises(PreconditionFailed) as error:
        rules.check_exchange_equivalence(existing, **(EXCHANGE | changed), vhost="/")
    assert error.value.text == f"inequivalent arg {text}"
