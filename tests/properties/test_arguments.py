"""Method arguments and frames: what one codec writes, the other reads, for every method of the specification."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.amqp.codec import SyntaxFault, arguments_of, frame, method_frame
from broker.amqp.methods import BY_NAME, METHODS, Method
from tests.oracles import field_table
from tests.support import amqp_codec as codec
from tests.support.in_process import parse

TEXTS = st.text(max_size=60)
TABLES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "o": st.integers(0, 2**8 - 1),
    "s": st.integers(0, 2**16 - 1),
    "l": st.integers(0, 2**32 - 1),
    "L": st.integers(0, 2**64 - 1),
    "S": TEXTS,
    "B": st.binary(max_size=300),
    "F": st.dictionaries(TEXTS, TABLES, max_size=4),
    "b": st.booleans(),
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[Method, list[Any]]:
    """A method and a value for each of its arguments."""
    method = draw(st.sampled_from(sorted(METHODS.values(), key=lambda each: each.number)))
    return method, [draw(VALUES[chr(kind)]) for kind in method.signature]


def test_both_codecs_know_the_same_methods() -> None:
    assert set(BY_NAME) == set(codec.BY_NAME)


@given(calls(), st.integers(0, 65535))
def test_what_the_broker_encodes_another_codec_decodes(call: tuple[Method, list[Any]], channel: int) -> None:
    method, values = call
    (said,) = parse(method_frame(channel, method.name, *values), 0)
    assert (said.channel, said.name) == (channel, method.name)
    assert list(said.content.values()) == values


@given(calls())
def test_what_another_codec_encodes_the_broker_decodes(call: tuple[Method, list[Any]]) -> None:
    method, values = call
    names = [name for name, _ in codec.BY_NAME[method.name].fields]
    payload = codec.encode_method(method.name, **dict(zip(names, values, strict=True)))
    assert arguments_of(payload, method.signature) == values


@given(calls(), st.data())
def test_arguments_that_are_cut_or_too_long_are_refused(call: tuple[Method, list[Any]], data: st.DataObject) -> None:
    method, values = call
    payload = method_frame(1, method.name, *values)[7:-1]
    with pytest.raises(SyntaxFault):
        arguments_of(payload + data.draw(st.binary(min_size=1, max_size=9)), method.signature)
    if len(payload) > 4:
        with pytest.raises(SyntaxFault):
            arguments_of(payload[: data.draw(st.integers(4, len(payload) - 1))], method.signature)


@given(st.binary(max_size=120))
def test_arbitrary_arguments_are_decoded_or_refused(payload: bytes) -> None:
    for method in METHODS.values():
        try:
            values = arguments_of(b"\0\0\0\0" + payload, method.signature)
        except SyntaxFault:
            continue
        again = arguments_of(method_frame(1, method.name, *values)[7:-1], method.signature)
        assert repr(again) == repr(values)  # not ==, because of NaN


@given(st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=300))
def test_a_frame_is_its_head_its_payload_and_its_end(frame_type: int, channel: int, payload: bytes) -> None:
    assert (
        frame(frame_type, channel, payload)
        == struct.pack(">BHI", frame_type, channel, len(payload)) + payload + b"\xce"
    )


@given(st.integers(100, 129))
def test_tables_nest_128_deep_and_no_deeper(depth: int) -> None:
    content = b""
    for _ in range(depth - 1):
        content = b"\x01nF" + struct.pack(">I", len(content)) + content
    payload = b"\0\x32\0\x0a\0\0\0\0" + struct.pack(">I", len(content)) + content
    signature = BY_NAME["queue.declare"].signature
    padded = payload[:4] + b"\0\0" + b"\x01q" + b"\0" + payload[8:]
    if depth <= 128:
        assert len(field_table.read_table(content)) == (1 if depth > 1 else 0)
        arguments_of(padded, signature)
    else:
        with pytest.raises(SyntaxFault):
            arguments_of(padded, signature)
