"""Field tables and content properties against the slow oracle, on whatever Hypothesis thinks of."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.errors import TableError
from broker.core.properties import (
    check_properties,
    decode_properties,
    decode_table,
    encode_properties,
    encode_table,
    header_value,
    replace_headers,
    replace_properties,
)
from tests.oracles import field_table

NAMES = st.text(max_size=20)


def integers(kind: str, low: int, high: int) -> st.SearchStrategy:
    return st.tuples(st.just(kind), st.integers(low, high))


SCALARS = st.one_of(
    st.tuples(st.just("t"), st.booleans()),
    integers("b", -128, 127), integers("B", 0, 255), integers("s", -(2**15), 2**15 - 1), integers("u", 0, 2**16 - 1),
    integers("I", -(2**31), 2**31 - 1), integers("i", 0, 2**32 - 1), integers("l", -(2**63), 2**63 - 1),
    integers("L", -(2**63), 2**63 - 1), integers("T", 0, 2**64 - 1),
    st.tuples(st.just("f"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just("d"), st.floats(allow_nan=False)),
    st.tuples(st.just("S"), st.text(max_size=30)),
    st.tuples(st.just("x"), st.binary(max_size=30).map(bytearray)),
    st.tuples(st.just("D"), st.tuples(st.integers(0, 255), st.integers(-(2**31), 2**31 - 1))),
    st.just(("V", None)),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.tuples(st.just("F"), st.dictionaries(NAMES, inner, max_size=4)),
        st.tuples(st.just("A"), st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=6)
SHORT = st.text(max_size=40)
BY_KIND = {"short": SHORT, "octet": st.integers(0, 255), "longlong": st.integers(0, 2**64 - 1), "table": TABLES}
SHORT_NAMES = st.sampled_from([name for name, kind in field_table.PROPERTIES if kind == "short"])
PROPERTIES = st.fixed_dictionaries({}, optional={name: BY_KIND[kind] for name, kind in field_table.PROPERTIES})
NOT_UTF8 = st.binary(max_size=8).filter(lambda content: isinstance(field_table.text(content), bytes))
PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=20),
        st.binary(max_size=20).map(bytearray), NOT_UTF8,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def show(properties: dict[str, object]) -> dict[str, object]:
    return {name: field_table.plain(("F", value)) if name == "headers" else value for name, value in properties.items()}


@given(TABLES)
def test_every_field_type_decodes_to_what_the_oracle_reads(table):
    raw = field_table.write_table(table)
    assert decode_table(raw) == field_table.plain(("F", table))
    assert decode_table(raw) == field_table.plain(("F", field_table.read_table(raw[4:])))


@given(st.dictionaries(NAMES, PLAIN, max_size=6))
def test_a_table_that_python_encoded_decodes_to_itself_and_the_oracle_agrees(table):
    raw = encode_table(table)
    assert decode_table(raw) == table
    assert field_table.plain(("F", field_table.read_table(raw[4:]))) == table


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_table_exactly_when_the_oracle_can_read_them(content):
    raw = len(content).to_bytes(4, "big") + content
    try:
        expected = field_table.plain(("F", field_table.read_table(content)))
    except field_table.MalformedError:
        expected = None
    try:
        found = decode_table(raw)
    except TableError:
        found = None
    assert (found is None) == (expected is None)
    assert repr(found) == repr(expected)  # not ==, because of NaN


@given(TABLES, st.data())
def test_a_table_with_one_byte_changed_or_cut_never_reads_wrongly(table, data):
    raw = bytearray(field_table.write_table(table)[4:])
    if raw:
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
        raw = raw[: data.draw(st.integers(0, len(raw)))]
    try:
        field_table.read_table(bytes(raw))
        expected = True
    except field_table.MalformedError:
        expected = False
    try:
        check_properties(b"\x20\x00" + len(raw).to_bytes(4, "big") + bytes(raw))
        found = True
    except TableError:
        found = False
    assert found == expected


@given(PROPERTIES)
def test_properties_decode_to_what_the_oracle_reads(properties):
    raw = field_table.write_properties(properties)
    assert decode_properties(raw) == show(properties)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_properties_exactly_when_the_oracle_can_read_them(raw):
    try:
        field_table.read_properties(raw)
        expected = True
    except field_table.MalformedError:
        expected = False
    try:
        check_properties(raw)
        found = True
    except TableError:
        found = False
    assert found == expected


@given(PROPERTIES, st.dictionaries(NAMES, SCALARS, max_size=3), st.lists(NAMES, max_size=2))
def test_replacing_headers_leaves_every_other_field_with_its_type(properties, changes, remove):
    raw = field_table.write_properties(properties)
    names = [*list(properties.get("headers", {}))[:1], *remove]
    plain_changes = dict.fromkeys(changes, 7)
    found = field_table.read_properties(replace_headers(raw, plain_changes, names))
    expected = {n: v for n, v in properties.get("headers", {}).items() if n not in names and n not in plain_changes}
    expected |= {name: ("I", 7) for name in plain_changes if name not in names}
    assert found.pop("headers", {}) == expected
    assert found == {name: value for name, value in properties.items() if name != "headers"}


@given(PROPERTIES, SHORT_NAMES, SHORT | st.none())
def test_replacing_one_property_leaves_the_others_byte_for_byte(properties, name, value):
    raw = field_table.write_properties(properties)
    changed = {k: v for k, v in properties.items() if k != name} | ({} if value is None else {name: value})
    assert replace_properties(raw, **{name: value}) == field_table.write_properties(changed)


@given(PROPERTIES)
def test_one_header_is_found_as_the_whole_decoding_finds_it(properties):
    raw = field_table.write_properties(properties)
    headers = properties.get("headers", {})
    for name, value in headers.items():
        assert header_value(raw, name, "missing") == field_table.plain(value)
    assert header_value(raw, "not there" * 9, "missing") == "missing"


@given(PROPERTIES.map(show))
def test_encoded_properties_decode_to_themselves(properties):
    properties.pop("headers", None)
    assert decode_properties(encode_properties(properties)) == properties
