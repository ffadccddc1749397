"""The x-consistent-hash exchange: what is hashed, how evenly, and how little moves when destinations come and go."""

import random
from collections import Counter

import pytest

from broker.core.errors import BindingInvalid, PreconditionFailed
from broker.core.hash_ring import HashRing


class Destination:
    def __init__(self, name: str) -> None:
        self.name = name


def ring_of(*weights: int, order: list[int] | None = None, arguments: dict[str, object] | None = None):
    destinations = [Destination(f"queue {number}") for number in range(len(weights))]
    ring = HashRing(arguments or {})
    for number in order or range(len(weights)):
        ring.add(str(weights[number]).encode(), destinations[number])
    return ring, destinations


def spread(ring: HashRing, messages: int = 20_000) -> dict[str, str]:
    found = {str(number): ring.find(b"key %d" % number, {}) for number in range(messages)}
    return {number: destination.name for number, destination in found.items() if destination is not None}


def test_equal_weights_share_within_a_few_percent():
    ring, _ = ring_of(1, 1, 1, 1)
    for count in Counter(spread(ring).values()).values():
        assert count == pytest.approx(5000, rel=0.06)


def test_weights_are_proportions():
    ring, _ = ring_of(1, 3)
    counts = Counter(spread(ring).values())
    assert counts["queue 1"] / counts["queue 0"] == pytest.approx(3, rel=0.08)


def test_the_choice_does_not_depend_on_the_order_of_binding_nor_on_the_process():
    order = list(range(5))
    expected = spread(ring_of(*range(1, 6))[0], 500)
    random.Random(1).shuffle(order)
    assert spread(ring_of(*range(1, 6), order=order)[0], 500) == expected
    # A fixed sample: these came out of another process.
    assert [expected[str(number)][-1] for number in range(12)] == list("141232432333")


def test_a_new_destination_takes_only_its_own_share():
    ring, _ = ring_of(1, 1, 1, 1)
    before = spread(ring)
    ring.add(b"1", Destination("new"))
    after = spread(ring)
    moved = [key for key in before if before[key] != after[key]]
    assert {after[key] for key in moved} == {"new"}
    assert len(moved) == pytest.approx(4000, rel=0.08)


def test_a_destination_that_goes_leaves_the_others_alone():
    ring, destinations = ring_of(1, 1, 1, 1)
    before = spread(ring)
    ring.remove(b"1", destinations[2])
    after = spread(ring)
    assert "queue 2" not in after.values()
    assert all(after[key] == before[key] for key in before if before[key] != "queue 2")


def test_two_bindings_of_one_destination_add_up_and_come_off_singly():
    ring, destinations = ring_of(1, 1)
    ring.add(b"2", destinations[1])
    counts = Counter(spread(ring).values())
    assert counts["queue 1"] / counts["queue 0"] == pytest.approx(3, rel=0.08)
    ring.remove(b"1", destinations[1])
    ring.remove(b"2", destinations[1])
    assert set(spread(ring, 200).values()) == {"queue 0"}


def test_without_bindings_there_is_no_destination():
    ring, destinations = ring_of(1)
    ring.remove(b"1", destinations[0])
    assert ring.find(b"key", {}) is None


@pytest.mark.parametrize(
    ("arguments", "properties_of"),
    [
        ({"hash-header": "id"}, lambda value: {"headers": {"id": value}}),
        ({"hash-property": "message_id"}, lambda value: {"message_id": value}),
        ({"hash-property": "correlation_id"}, lambda value: {"correlation_id": value}),
        ({"hash-property": "timestamp"}, lambda value: {"timestamp": value}),
    ],
)
def test_a_header_or_property_is_hashed_instead_of_the_routing_key(arguments, properties_of):
    ring, _ = ring_of(1, 1, 1, arguments=arguments)
    chosen = {ring.find(b"%d" % number, properties_of(7)).name for number in range(50)}
    assert len(chosen) == 1
    assert len({ring.find(b"same", properties_of(number)).name for number in range(50)}) == 3
    assert len({ring.find(b"%d" % number, {}).name for number in range(50)}) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-property": "app_id"}, "Unsupported property: app_id"),
        (
            {"hash-property": "message_id", "hash-header": "h"},
            "hash-header and hash-property are mutually exclusive",
        ),
    ],
)
def test_arguments_that_cannot_be_are_refused_in_rabbitmqs_words(arguments, text):
    with pytest.raises(PreconditionFailed) as refused:
        HashRing(arguments)
    assert refused.value.text == text


@pytest.mark.parametrize("arguments", [{"hash-header": 1}, {"hash-property": ["message_id"]}])
def test_arguments_must_be_text(arguments):
    with pytest.raises(PreconditionFailed, match="expected longstr"):
        HashRing(arguments)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"abc", 'The binding key must be an integer: <<"abc">>'),
        (b"", 'The binding key must be an integer: <<"">>'),
        (b"1_0", 'The binding key must be an integer: <<"1_0">>'),
        (b" 1", 'The binding key must be an integer: <<" 1">>'),
        (b"0", "The binding key must be greater than 0"),
        (b"-3", "The binding key must be greater than 0"),
        (b"65536", "The binding key must not exceed 65535"),
    ],
)
def test_a_weight_that_is_no_positive_integer_is_refused_in_rabbitmqs_words(key, text):
    ring, _ = ring_of(1)
    with pytest.raises(BindingInvalid) as refused:
        ring.add(key, Destination("other"))
    assert refused.value.text == text
    assert set(spread(ring, 50).values()) == {"queue 0"}
