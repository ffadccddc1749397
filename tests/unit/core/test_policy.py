"""Policies: RabbitMQ's rules of which one applies, and what it changes on queues and exchanges that are in use."""

from __future__ import annotations

import pytest

from broker.core.broker import Broker
from broker.core.errors import NotFound, PreconditionFailed
from broker.core.policy import Policy
from broker.limits import Limits


def policy(name, pattern=".*", *, apply_to="all", priority=0, operator=False, **definition):
    words = {word.replace("_", "-"): value for word, value in definition.items()}
    return Policy(name, pattern, words, apply_to=apply_to, priority=priority, operator=operator)


@pytest.fixture
def vhost(core):
    return core.vhost


def test_the_matching_policy_of_the_highest_priority_applies(vhost):
    vhost.policies.put(policy("weak", "^orders", max_length=10))
    vhost.policies.put(policy("strong", "^orders", priority=1, max_length=20))
    vhost.policies.put(policy("other", "^bills", priority=2, max_length=30))

    assert vhost.declare_queue("orders.eu").settings.max_length == 20
    assert vhost.declare_queue("else").settings.max_length is None
    assert vhost.policies.for_queue("orders.eu", "classic").name == "strong"


def test_limits_combine_to_the_stricter_one_and_declared_words_win(vhost):
    vhost.policies.put(policy("p", max_length=10, message_ttl=1000, overflow="reject-publish"))
    queue = vhost.declare_queue("q", arguments={"x-max-length": 20, "x-message-ttl": 500, "x-overflow": "drop-head"})

    assert (queue.settings.max_length, queue.settings.message_ttl_ms) == (10, 500)
    assert queue.settings.overflow == "drop-head"


def test_an_operators_word_wins_over_all(vhost):
    vhost.policies.put(policy("p", overflow="drop-head", max_length=5))
    vhost.policies.put(policy("o", operator=True, overflow="reject-publish", max_length=7))
    queue = vhost.declare_queue("q", arguments={"x-overflow": "drop-head"})

    assert queue.settings.overflow == "reject-publish"
    assert queue.settings.max_length == 5


def test_a_change_takes_effect_on_what_is_there(core, peer, vhost):
    queue = vhost.declare_queue("q")
    for index in range(5):
        peer.publish("q", b"%d" % index)

    vhost.policies.put(policy("p", "^q$", max_length=2))
    assert queue.ready_count == 2
    assert queue.counts["dropped_maxlen"] == 3

    vhost.policies.remove("p")
    peer.publish("q", b"more")
    assert queue.ready_count == 3
    assert queue.counts["unaccounted"] == 0


def test_policies_tell_queue_types_and_exchanges_apart(vhost):
    vhost.policies.put(policy("c", apply_to="classic_queues", max_length=1))
    vhost.policies.put(policy("x", apply_to="exchanges", priority=9, alternate_exchange="amq.fanout"))

    assert vhost.declare_queue("c").settings.max_length == 1
    quorum = vhost.declare_queue("u", durable=True, arguments={"x-queue-type": "quorum"})
    assert quorum.settings.max_length is None
    assert vhost.declare_exchange("e", "direct").alternate == "amq.fanout"


def test_an_alternate_exchange_by_policy_routes_and_goes_again(core, peer, vhost):
    caught = vhost.declare_queue("caught")
    exchange = vhost.declare_exchange("e", "direct")
    vhost.bind(vhost.exchange("amq.fanout"), caught, "queue", b"")
    assert not exchange.resolve([b"nowhere"], None).targets

    vhost.policies.put(policy("x", "^e$", apply_to="exchanges", alternate_exchange="amq.fanout"))
    assert exchange.resolve([b"nowhere"], None).targets == [caught]
    vhost.policies.remove("x")
    assert not exchange.resolve([b"nowhere"], None).targets


@pytest.mark.parametrize(
    ("pattern", "words", "kind", "text"),
    [
        ("(", {"max-length": 1}, "all", "regular expression"),
        (".*", {}, "all", "no policy provided"),
        (".*", {"max-lenght": 1}, "all", "max-lenght"),
        (".*", {"max-length": -1}, "all", "-1 is not a valid maximum length"),
        (".*", {"max-length": "5"}, "all", '"5" is not a valid maximum length'),
        (".*", {"max-length": 1}, "cows", "apply-to"),
    ],
)
def test_what_is_wrong_is_said(pattern, words, kind, text):
    with pytest.raises(PreconditionFailed, match="Validation failed") as refused:
        Policy("p", pattern, words, apply_to=kind, priority=0, operator=False)
    assert text in refused.value.text


@pytest.mark.parametrize("operator", [False, True])
def test_what_rabbitmq_knows_is_taken_and_what_means_nothing_here_changes_nothing(vhost, operator):
    """The words that RabbitMQ 4's `rabbit_policies` and its queue types register."""
    limits = {"expires": 1, "message-ttl": 1, "max-length": 1, "max-length-bytes": 1, "delivery-limit": 1}
    words = {"overflow": "reject-publish", "max-in-memory-length": 1, "max-in-memory-bytes": 1, "target-group-size": 3}
    if not operator:
        words |= {
            "alternate-exchange": "x", "dead-letter-exchange": "x", "dead-letter-routing-key": "k",
            "dead-letter-strategy": "at-least-once", "consumer-timeout": 1, "queue-mode": "lazy", "queue-version": 2,
            "max-age": "1D", "stream-max-segment-size-bytes": 1, "stream-filter-size-bytes": 16,
            "queue-leader-locator": "balanced", "initial-cluster-size": 3,
        }  # fmt: skip
    rule = Policy("p", "^q$", {**limits, **words}, apply_to="queues", priority=0, operator=operator)
    vhost.policies.put(rule)

    settings = vhost.declare_queue("q").settings

    assert rule.value()["definition"] == {**limits, **words}
    assert (settings.max_length, settings.delivery_limit, settings.overflow) == (1, 1, "reject-publish")
    assert settings.max_priority is None
    with pytest.raises(PreconditionFailed, match="max-priority"):
        Policy("p", "^q$", {"max-priority": 3}, apply_to="queues", priority=0, operator=operator)


def test_operators_may_only_limit():
    with pytest.raises(PreconditionFailed, match="dead-letter-exchange"):
        policy("o", operator=True, dead_letter_exchange="x")


def test_forgetting_what_is_not_there(vhost):
    with pytest.raises(NotFound):
        vhost.policies.remove("none")


def test_policies_survive_a_restart_and_apply_to_what_is_restored(core, vhost):
    vhost.declare_queue("q", durable=True)
    vhost.policies.put(policy("p", max_length=3))
    vhost.policies.put(policy("o", operator=True, max_length=2))
    core.store.sync()

    restored = Broker(core.store, core.clock, Limits())
    restored.restore()

    queue = restored.vhost(vhost.name).queue("q")
    assert queue.settings.max_length == 2
    assert queue.arguments == {}


def test_a_change_in_steps_leaves_room_for_others_and_ends_the_same(core, peer, vhost):
    queues = [vhost.declare_queue(f"q{number}") for number in range(3)]

    steps = vhost.policies.putting(policy("p", "^q", max_length=2))
    next(steps)
    late = vhost.declare_queue("q-late")
    vhost.remove_queue(queues[2])
    others = vhost.policies.putting(policy("p", "^q", max_length=1))
    assert [queue.settings.max_length for queue in queues[:2]] == [2, None]
    for _ in others:
        pass
    for _ in steps:
        pass

    assert [queue.settings.max_length for queue in (*queues[:2], late)] == [1, 1, 1]


def test_the_same_policy_again_is_no_work(vhost):
    vhost.declare_queue("q")
    vhost.policies.put(policy("p", max_length=2))

    assert list(vhost.policies.putting(policy("p", max_length=2))) == []


def test_an_alternate_by_policy_is_seen_through_exchanges_that_route_to_it(core, vhost):
    caught = vhost.declare_queue("caught")
    first, second = vhost.declare_exchange("first", "fanout"), vhost.declare_exchange("second", "direct")
    vhost.bind(first, second, "exchange", b"")
    vhost.bind(vhost.exchange("amq.fanout"), caught, "queue", b"")
    assert not first.resolve([b"nowhere"], None).targets

    vhost.policies.put(policy("x", "^second$", apply_to="exchanges", alternate_exchange="amq.fanout"))

    assert first.resolve([b"nowhere"], None).targets == [caught]


def test_a_pattern_without_end_applies_to_nothing_and_keeps_nobody_waiting(vhost):
    queue = vhost.declare_queue("a" * 200 + "!")

    vhost.policies.put(policy("p", "^(a|aa)+$", max_length=1))

    assert queue.settings.max_length is None


def test_a_priority_that_cannot_be_kept_is_refused():
    with pytest.raises(PreconditionFailed, match="priority should be"):
        policy("p", priority=1 << 63, max_length=1)
