"""The headers exchange's matching: x-match in its four forms, and which values are equal."""

import pytest

from broker.core.errors import BindingInvalid
from broker.core.headers_match import HeadersBindings
from broker.core.properties import Timestamp


def matches(arguments: dict[str, object], headers: dict[str, object]) -> bool:
    bindings = HeadersBindings()
    bindings.add(arguments, "destination")
    found = bindings.match(headers)
    assert found in ([], ["destination"])
    return bool(found)


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({}, {}, True),
        ({}, {"a": 1}, True),
        ({"a": 1}, {}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
        ({"x-match": "all", "a": 1}, {"a": 1}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "any"}, {}, False),
        ({"x-match": "any", "a": 1, "b": 2}, {"b": 2}, True),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 2, "b": 1}, False),
    ],
)
def test_amqp_0_9_1_3_1_3_4_all_needs_every_pair_and_any_needs_one(arguments, headers, expected):
    assert matches(arguments, headers) == expected


@pytest.mark.parametrize(
    ("x_match", "headers", "expected"),
    [
        ("all", {"a": 1}, True),
        ("all-with-x", {"a": 1}, False),
        ("all-with-x", {"a": 1, "x-b": 2}, True),
        ("any", {"x-b": 2}, False),
        ("any-with-x", {"x-b": 2}, True),
    ],
)
def test_headers_that_begin_with_x_count_only_in_the_with_x_forms(x_match, headers, expected):
    assert matches({"x-match": x_match, "a": 1, "x-b": 2}, headers) == expected


def test_an_all_binding_of_x_headers_alone_matches_everything():
    assert matches({"x-match": "all", "x-b": 2}, {})


@pytest.mark.parametrize("x_match", ["all", "any"])
def test_a_value_of_no_type_asks_only_for_presence(x_match):
    assert matches({"x-match": x_match, "a": None}, {"a": "whatever"})
    assert matches({"x-match": x_match, "a": None}, {"a": None})
    assert not matches({"x-match": x_match, "a": None}, {"b": 1})


@pytest.mark.parametrize(
    ("bound", "sent", "expected"),
    [
        (1, 1, True), (1, Timestamp(1), True), (1, 1.0, False), (1, True, False), (0, False, False), (1, "1", False),
        (1.5, 1.5, True), ("é", "é", True), ("é", "é".encode(), True), ("é", bytearray("é".encode()), True),
        ("a", "A", False), (["a", 1], ["a", 1], True), (["a", 1], ["a", 1.0], False), ({"k": [1]}, {"k": [1]}, True),
        ({"k": 1}, {"k": True}, False), (True, True, True),
    ],
)  # fmt: skip
def test_values_are_equal_in_kind_and_value(bound, sent, expected):
    assert matches({"h": bound}, {"h": sent}) == expected
    assert matches({"h": bound, "x-match": "any"}, {"h": sent}) == expected


@pytest.mark.parametrize(
    ("x_match", "text"),
    [
        ("some", 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x'),
        (1, "Invalid x-match field type signedint (value 1); expected longstr"),
        (True, "Invalid x-match field type bool (value true); expected longstr"),
    ],
)
def test_an_x_match_that_does_not_exist_is_refused_in_rabbitmqs_words(x_match, text):
    with pytest.raises(BindingInvalid) as refused:
        HeadersBindings().add({"x-match": x_match}, "destination")
    assert refused.value.text == text


def test_a_destination_that_matches_in_several_ways_is_found_once():
    bindings = HeadersBindings()
    queue, other = object(), object()
    bindings.add({"x-match": "any", "a": 1, "b": 2}, queue)
    bindings.add({"a": 1}, queue)
    bindings.add({}, queue)
    bindings.add({"b": 2}, other)
    found = bindings.match({"a": 1, "b": 2})
    assert len(found) == 2
    assert {id(destination) for destination in found} == {id(queue), id(other)}


def test_removing_takes_one_binding_and_leaves_equal_ones():
    bindings = HeadersBindings()
    queue, other = object(), object()
    for destination in (queue, queue, other):
        bindings.add({"x-match": "any", "a": 1, "b": None}, destination)
    assert bindings.remove({"b": None, "a": 1, "x-match": "any"}, queue)
    assert len(bindings.match({"a": 1})) == 2
    assert bindings.remove({"x-match": "any", "a": 1, "b": None}, queue)
    assert not bindings.remove({"x-match": "any", "a": 1, "b": None}, queue)
    assert bindings.match({"b": 0}) == [other]
    assert bindings.remove({"x-match": "any", "a": 1, "b": None}, other)
    assert bindings.match({"a": 1, "b": 2}) == []
    assert bindings.by_condition == {}


def test_removing_what_matches_everything():
    bindings = HeadersBindings()
    bindings.add({}, "all")
    assert not bindings.remove({"x-match": "any"}, "all")
    assert bindings.remove({}, "all")
    assert bindings.match({"a": 1}) == []


def test_thousands_of_bindings_cost_only_those_that_the_message_selects():
    bindings = HeadersBindings()
    for number in range(5000):
        bindings.add({"kind": "order", "number": number}, f"q{number}")
    assert bindings.match({"kind": "order", "number": 4711}) == ["q4711"]
    assert max(len(rows) for rows in bindings.by_condition.values()) < 3
