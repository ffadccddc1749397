"""The table of methods, against two lists that others wrote: the tests' own codec and pika's."""

from __future__ import annotations

import pika.spec
import pytest

from broker.amqp.codec import SyntaxFault, arguments_of, frame, method_frame
from broker.amqp.dispatch import HANDLED
from broker.amqp.methods import BY_NAME, METHODS
from tests.support import amqp_codec as codec

LETTERS = {"o": "o", "h": "s", "l": "l", "L": "L", "s": "S", "S": "B", "t": "b", "F": "F"}  # the codec's -> the table's

FROM_SERVER = {
    "connection.start",
    "connection.secure",
    "connection.tune",
    "connection.open-ok",
    "connection.blocked",
    "connection.unblocked",
    "connection.update-secret-ok",
    "channel.open-ok",
    "exchange.declare-ok",
    "exchange.delete-ok",
    "exchange.bind-ok",
    "exchange.unbind-ok",
    "queue.declare-ok",
    "queue.bind-ok",
    "queue.unbind-ok",
    "queue.purge-ok",
    "queue.delete-ok",
    "basic.qos-ok",
    "basic.consume-ok",
    "basic.return",
    "basic.deliver",
    "basic.get-ok",
    "basic.get-empty",
    "basic.recover-ok",
    "confirm.select-ok",
    "tx.select-ok",
    "tx.commit-ok",
    "tx.rollback-ok",
}
"""What a server may never be sent (basic.cancel-ok and flow-ok go both ways)."""
READ_BY_THE_HOT_HALF = {"basic.publish", "basic.ack", "basic.nack", "basic.reject"}


def test_it_has_the_same_methods_as_the_other_lists():
    ours = {(number >> 16, number & 0xFFFF): method.name for number, method in METHODS.items()}
    assert ours == {(each.class_id, each.method_id): each.name for each in codec.SPECS}
    # Class 30, access, is of AMQP 0-8: RabbitMQ answers it still, 0-9-1 does not know it.
    pikas = {(number >> 16, number & 0xFFFF) for number in pika.spec.methods if number >> 16 != 30}
    assert set(ours) >= pikas
    assert {ours[each] for each in set(ours) - pikas} <= {"connection.update-secret", "connection.update-secret-ok"}


@pytest.mark.parametrize("spec", codec.SPECS, ids=lambda spec: spec.name)
def test_each_method_has_the_arguments_that_the_other_list_has(spec):
    method = BY_NAME[spec.name]
    assert method.number == spec.class_id << 16 | spec.method_id
    assert [name.replace("global", "global_") for name in method.arguments] == [name for name, _ in spec.fields]
    assert method.signature.decode() == "".join(LETTERS[kind] for _, kind in spec.fields)


def test_every_method_that_a_client_may_send_on_a_channel_has_its_function():
    wanted = {name for name in BY_NAME if not name.startswith("connection.")} - FROM_SERVER - READ_BY_THE_HOT_HALF
    assert set(HANDLED) == wanted


SAMPLES = {"o": 7, "h": 65535, "l": 2**32 - 1, "L": 2**63, "s": "shört", "S": b"\0long", "F": {"k": ["v", 1, None]}}


def values_of(spec):
    """One value per field; every other bit is set."""
    return {name: SAMPLES[kind] if kind != "t" else index % 2 == 0 for index, (name, kind) in enumerate(spec.fields)}


@pytest.mark.parametrize("spec", codec.SPECS, ids=lambda spec: spec.name)
def test_what_the_other_codec_encodes_is_decoded_and_encoded_the_same(spec):
    values = values_of(spec)
    payload = codec.encode_method(spec.name, **values)
    assert arguments_of(payload, BY_NAME[spec.name].signature) == list(values.values())
    encoded = method_frame(9, spec.name, *values.values())
    assert codec.decode_method(encoded[7:-1]) == (spec.name, values)
    assert encoded[:7] + encoded[-1:] == codec.encode_frame(1, 9, encoded[7:-1])[:7] + b"\xce"


@pytest.mark.parametrize("spec", [spec for spec in codec.SPECS if spec.fields], ids=lambda spec: spec.name)
def test_arguments_that_end_early_or_late_are_refused(spec):
    payload = codec.encode_method(spec.name, **values_of(spec))
    for end in range(4, len(payload)):
        with pytest.raises(SyntaxFault):
            arguments_of(payload[:end], BY_NAME[spec.name].signature)
    with pytest.raises(SyntaxFault):
        arguments_of(payload + b"\0", BY_NAME[spec.name].signature)


def test_bits_share_octets_by_eight():
    assert arguments_of(b"\0\0\0\0\xff\x01", b"bbbbbbbbb") == [True] * 9
    assert arguments_of(b"\0\0\0\0\x02\x05\x01", b"bbob") == [False, True, 5, True]


def test_a_text_that_is_too_long_is_cut_at_a_character():
    payload = method_frame(0, "connection.blocked", "é" * 200)[7:-1]
    assert codec.decode_method(payload)[1]["reason"] == "é" * 127


def test_a_shortstr_must_be_utf_8():
    with pytest.raises(SyntaxFault):
        arguments_of(b"\0\0\0\0\x02\xff\xfe", b"S")


def test_a_frame():
    assert frame(8, 0, b"") == b"\x08\0\0\0\0\0\0\xce"
    assert frame(3, 258, b"ab") == b"\x03\x01\x02\0\0\0\x02ab\xce"
