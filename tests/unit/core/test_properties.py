"""AMQP 0-9-1 content properties and field tables: edges, errors, and what surgery leaves alone."""

import struct
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from broker.core.errors import TableError
from broker.core.properties import (
    PROPERTY_NAMES,
    Long,
    Timestamp,
    add_headers,
    check_properties,
    decode_properties,
    decode_table,
    encode_properties,
    encode_table,
    expiration_ms,
    header_value,
    replace_headers,
    replace_properties,
)
from tests.oracles import field_table

EVERYTHING = {
    "content_type": "text/plain",
    "content_encoding": "gzip",
    "headers": {"a": 1, "b": {"c": [True, None, "x"]}},
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "60000",
    "message_id": "m",
    "timestamp": 1_700_000_000,
    "type": "t",
    "user_id": "guest",
    "app_id": "a",
    "cluster_id": "",
}


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def test_names_are_the_specifications_in_the_order_of_the_flags():
    assert tuple(name for name, _ in field_table.PROPERTIES) == PROPERTY_NAMES


def test_all_properties_survive_encoding_and_decoding():
    assert decode_properties(encode_properties(EVERYTHING)) == EVERYTHING


def test_no_properties_are_two_zero_bytes():
    assert encode_properties({}) == b"\0\0"
    assert decode_properties(b"\0\0") == {}


def test_none_means_absent_and_an_empty_text_is_present():
    assert decode_properties(encode_properties({"app_id": None, "type": ""})) == {"type": ""}


@pytest.mark.parametrize("cut", range(len(encode_properties(EVERYTHING))))
def test_properties_cut_anywhere_are_malformed(cut):
    with pytest.raises(TableError):
        check_properties(encode_properties(EVERYTHING)[:cut])


def test_bytes_after_the_last_property_are_malformed():
    with pytest.raises(TableError, match="after the last property"):
        check_properties(encode_properties(EVERYTHING) + b"\0")


@pytest.mark.parametrize("flags", [b"\0\x02", b"\0\x01\0\x04", b"\0\x01\x80\0"])
def test_a_flag_that_stands_for_no_property_is_refused(flags):
    with pytest.raises(TableError, match="unknown property flag"):
        check_properties(flags)


def test_empty_further_flag_words_are_legal_and_survive_replace_headers():
    # AMQP 0-9-1 §4.2.6.1: bit 0 of a word says that another follows.
    raw = b"\x10\x01\0\x01\0\0\x02"
    assert decode_properties(raw) == {"delivery_mode": 2}
    changed = replace_headers(raw, {"a": 1})
    assert decode_properties(changed) == {"delivery_mode": 2, "headers": {"a": 1}}
    assert changed.startswith(b"\x30\x01\0\x01\0\0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("60000", 60000), ("+5", 5), ("007", 7), ("315360000000", 315_360_000_000), ("315360000001", -2),
        ("", -2), ("+", -2), ("-1", -2), ("1.5", -2), ("1e3", -2), (" 1", -2), ("9" * 19, -2), ("9" * 255, -2),
    ],
)  # fmt: skip
def test_expiration_is_a_decimal_number_of_milliseconds_up_to_ten_years(text, expected):
    assert expiration_ms(encode_properties({"expiration": text})) == expected


def test_an_absent_expiration_is_minus_one():
    assert expiration_ms(b"\0\0") == -1


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"t\x02", True), (b"t\0", False), (b"b\xff", -1), (b"B\xff", 255), (b"s\xff\xfe", -2), (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xff", -1), (b"i\xff\xff\xff\xff", 2**32 - 1), (b"l" + b"\xff" * 8, -1),
        (b"L" + b"\xff" * 8, -1), (b"T" + b"\xff" * 8, 2**64 - 1), (b"f\x3f\x80\0\0", 1.0),
        (b"d\x3f\xf0\0\0\0\0\0\0", 1.0), (b"D\x02\xff\xff\xff\x85", Decimal("-1.23")), (b"V", None),
        (b"S\0\0\0\x02\xc3\xa9", "é"), (b"S\0\0\0\x01\xff", b"\xff"), (b"x\0\0\0\x01a", bytearray(b"a")),
        (b"F\0\0\0\x03\x01aV", {"a": None}), (b"A\0\0\0\x01V", [None]), (b"A\0\0\0\0", []), (b"F\0\0\0\0", {}),
    ],
)  # fmt: skip
def test_each_field_type_has_rabbitmqs_meaning(field, expected):
    decoded = decode_table(table(b"\x01k" + field))
    assert decoded == {"k": expected}
    assert type(decoded["k"]) in (type(expected), Timestamp)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (True, b"t\x01"), (1, b"I\0\0\0\x01"), (-(2**31), b"I\x80\0\0\0"), (2**31, b"l\0\0\0\0\x80\0\0\0"),
        (Long(1), b"l\0\0\0\0\0\0\0\x01"), (Timestamp(1), b"T\0\0\0\0\0\0\0\x01"), (1.0, b"d\x3f\xf0\0\0\0\0\0\0"),
        ("é", b"S\0\0\0\x02\xc3\xa9"), (b"\xff", b"S\0\0\0\x01\xff"), (bytearray(b"a"), b"x\0\0\0\x01a"),
        (None, b"V"), ((1,), b"A\0\0\0\x05I\0\0\0\x01"), ({"a": None}, b"F\0\0\0\x03\x01aV"),
        (Decimal("-1.23"), b"D\x02\xff\xff\xff\x85"), (Decimal("1E+2"), b"D\0\0\0\0\x64"),
        (datetime(1970, 1, 2), b"T" + (86400).to_bytes(8, "big")),
        (datetime(1970, 1, 2, tzinfo=UTC), b"T" + (86400).to_bytes(8, "big")),
    ],
)  # fmt: skip
def test_each_python_type_is_encoded_as_clients_of_rabbitmq_expect(value, field):
    assert encode_table({"k": value}) == table(b"\x01k" + field)


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, Timestamp(2**64), Timestamp(-1), Decimal("NaN"), Decimal("1E-256"), Decimal(2**31), object()],
)
def test_what_no_field_type_carries_is_refused(value):
    with pytest.raises(TableError):
        encode_table({"k": value})


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, 1])
def test_a_field_name_is_text_of_at_most_255_bytes(name):
    with pytest.raises(TableError):
        encode_table({name: 1})
    assert decode_table(encode_table({"é" * 127: 1})) == {"é" * 127: 1}


def test_a_name_that_is_not_utf8_comes_back_as_it_was():
    raw = table(b"\x02\xff\xfeV")
    assert encode_table(decode_table(raw)) == raw


def test_a_name_that_is_there_twice_counts_as_its_last_occurrence_everywhere():
    headers = table(b"\x01kI\0\0\0\x01\x01kI\0\0\0\x02")
    assert decode_table(headers) == {"k": 2}
    raw = b"\x20\0" + headers
    assert header_value(raw, "k") == 2
    assert decode_properties(replace_headers(raw, {"k": 3})) == {"headers": {"k": 3}}
    assert replace_headers(raw, {"k": 3}) == b"\x20\0" + table(b"\x01kI\0\0\0\x03")


@pytest.mark.parametrize("kind", [b"F", b"A"])
def test_nesting_is_bounded_at_128(kind):
    def nested(depth: int) -> bytes:
        content = b""
        for _ in range(depth - 1):
            content = (b"\x01k" if kind == b"F" else b"") + kind + table(content)
        return content if kind == b"F" else b"\x01k" + content

    # An array needs a table around it, so that one more level is on the outside.
    deepest = 128
    assert decode_table(table(nested(deepest)))
    check_properties(b"\x20\0" + table(nested(deepest)))
    for check in (decode_table, lambda raw: check_properties(b"\x20\0" + raw)):
        with pytest.raises(TableError, match="nested more than 128 deep"):
            check(table(nested(deepest + 1)))


def test_a_dict_that_contains_itself_is_refused():
    endless: dict[str, object] = {}
    endless["again"] = endless
    with pytest.raises(TableError, match="deep"):
        encode_table(endless)


@pytest.mark.parametrize("raw", [b"", b"\0\0\0", b"\0\0\0\x01", b"\0\0\0\0\0", b"\xff\xff\xff\xff"])
def test_a_table_whose_size_is_wrong_is_refused(raw):
    with pytest.raises(TableError, match="size"):
        decode_table(raw)


@pytest.mark.parametrize(
    "content", [b"\x01", b"\x01k", b"\xffk", b"\x01kZ", b"\x01kI\0\0\0", b"\x01kS\0\0\0\x02a", b"\x01kF\0\0\0\x02\x01"]
)
def test_malformed_content_is_refused_whole_and_by_header(content):
    with pytest.raises(TableError):
        decode_table(table(content))
    with pytest.raises(TableError):
        header_value(b"\x20\0" + table(content), "other")


def test_tables_decode_from_any_buffer():
    raw = encode_table({"a": 1})
    assert decode_table(memoryview(raw)) == decode_table(bytearray(raw)) == {"a": 1}


# ── surgery ───────────────────────────────────────────────────────────────────────────────────────────────────────────

TYPED = {"byte": ("b", 1), "short": ("s", 2), "single": ("f", 0.5), "long": ("l", 3)}


def test_changing_one_header_keeps_the_others_types_and_places():
    raw = field_table.write_properties({"headers": TYPED, "delivery_mode": 2, "app_id": "a"})
    changed = field_table.read_properties(replace_headers(raw, {"short": "new", "x": [1]}, remove=["single", "absent"]))
    assert list(changed["headers"].items()) == [
        ("byte", ("b", 1)), ("short", ("S", "new")), ("long", ("l", 3)), ("x", ("A", [("I", 1)])),
    ]  # fmt: skip
    assert changed["delivery_mode"] == 2
    assert changed["app_id"] == "a"


def test_headers_are_added_where_there_were_none():
    raw = encode_properties({"content_type": "a", "priority": 1})
    assert decode_properties(replace_headers(raw, {"k": "v"})) == {
        "content_type": "a", "headers": {"k": "v"}, "priority": 1,
    }  # fmt: skip


def test_nothing_to_change_gives_the_same_bytes():
    for raw in (b"\0\0", encode_properties(EVERYTHING)):
        assert replace_headers(raw, {}, remove=("absent",)) == raw
        assert replace_properties(raw) == raw


def test_removing_a_property_leaves_the_others():
    raw = replace_properties(encode_properties(EVERYTHING), expiration=None, priority=3)
    assert decode_properties(raw) == {k: v for k, v in EVERYTHING.items() if k != "expiration"} | {"priority": 3}


@pytest.mark.parametrize(
    "changes",
    [
        {"no_such": 1}, {"priority": 256}, {"priority": -1}, {"priority": "1"}, {"app_id": 1}, {"app_id": "x" * 256},
        {"headers": 1}, {"headers": [1]}, {"timestamp": 2**64}, {"timestamp": 1.5},
    ],
)  # fmt: skip
def test_a_property_that_cannot_be_is_refused(changes):
    with pytest.raises(TableError):
        replace_properties(b"\0\0", **changes)


def test_a_header_is_found_without_the_properties_around_it():
    raw = encode_properties(EVERYTHING)
    assert header_value(raw, "b") == {"c": [True, None, "x"]}
    assert header_value(raw, "absent") is None
    assert header_value(b"\0\0", "a", "missing") == "missing"


def test_decoding_a_clients_properties_takes_microseconds():
    capabilities = dict.fromkeys(["publisher_confirms", "basic.nack", "connection.blocked", "a", "b"], True)
    client = dict.fromkeys(
        ["product", "version", "platform", "information", "copyright", "connection_name"], "pika 1.3"
    )
    raw = encode_table(client | {"capabilities": capabilities})
    best = min(timed(raw) for _ in range(5))
    assert best < 50e-6  # measured: 1.3 µs; the margin is for a busy machine


def timed(raw: bytes) -> float:
    started = time.perf_counter()
    for _ in range(200):
        decode_table(raw)
    return (time.perf_counter() - started) / 200


@pytest.mark.parametrize("properties", [{}, {"content_type": "text/plain"}, {"delivery_mode": 2, "message_id": "1"}])
def test_headers_are_added_to_a_list_without(properties):
    table = encode_table({"a": 1, "b": "c"})

    raw = add_headers(encode_properties(properties), table)

    assert raw == replace_headers(encode_properties(properties), {"a": 1, "b": "c"})
    assert decode_properties(raw) == {**properties, "headers": {"a": 1, "b": "c"}}


def test_headers_are_not_added_to_what_is_no_list():
    with pytest.raises(TableError):
        add_headers(b"\x80\0", encode_table({}))
