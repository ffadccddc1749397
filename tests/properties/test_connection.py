"""A connection does the same however its bytes are cut: whole, byte by byte, or anywhere.

What may differ is only how confirms are gathered: several publishes of one read are confirmed by one `multiple`.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.conversations import Author, method, scene
from tests.fuzz.mutation import mutate_frame
from tests.support import amqp_codec as codec
from tests.support.in_process import CHANNEL_MAX, Client, InProcess, Said, handshake, watched

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
OPEN = method(1, "channel.open") + method(2, "channel.open")


@pytest.fixture(scope="module")
def inside() -> Iterator[InProcess]:
    broker = InProcess()
    yield broker
    broker.close()


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """What one client says: mostly sense, sometimes damaged, sometimes with confirms from the start."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    author = Author(chance)
    frames = scene(chance, author) if author.flip() else []
    frames += author.frames(draw(st.integers(1, 20)))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(frames) - 1))
        frames[at] = mutate_frame(chance, frames[at])
    confirms = method(1, "confirm.select") if draw(st.booleans()) else b""
    return OPEN + confirms + b"".join(frames)


def cut(said: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % len(said) for place in places} | {len(said)})
    return [said[start:end] for start, end in itertools.pairwise([0, *ends])]


def play(inside: InProcess, pieces: Iterable[bytes]) -> tuple[list[Said], dict[int, set[tuple[str, int]]]]:
    """What the broker answers to a client that says this: frames without confirms, and the confirms by channel."""
    inside.clear()
    inside.clock.now_ms = 1_700_000_000_000
    tokens = itertools.count()
    with watched(), patch("secrets.token_urlsafe", lambda _size: f"token{next(tokens)}"):
        client = inside.connect()
        before = client.connection.bytes_received
        heard = 0
        for piece in pieces:
            client.hear(piece)
            heard += len(piece)
            assert client.is_over or client.connection.bytes_received - before + len(client.kept) == heard
        inside.commit()
        said = client.talk()
        client.lose()
        inside.commit()
        inside.check_account()
    return without_confirms(said)


def without_confirms(said: list[Said]) -> tuple[list[Said], dict[int, set[tuple[str, int]]]]:
    others: list[Said] = []
    confirmed: dict[int, dict[int, str]] = defaultdict(dict)
    for each in said:
        if each.name not in ("basic.ack", "basic.nack"):
            others.append(each)
            continue
        tag = each.content["delivery_tag"]
        known = confirmed[each.channel]
        for number in range(1 if each.content["multiple"] else tag, tag + 1):
            assert number != tag or number not in known, f"{tag} is confirmed twice"
            known.setdefault(number, each.name)
    return others, {channel: {(name, tag) for tag, name in known.items()} for channel, known in confirmed.items()}


@SLOW
@given(conversations(), st.lists(st.integers(0, 2**20), max_size=12))
def test_a_conversation_is_answered_alike_however_it_is_cut(inside: InProcess, said: bytes, places: list[int]) -> None:
    whole, whole_confirms = play(inside, [said])
    pieces, pieces_confirms = play(inside, cut(said, places))
    octets, octets_confirms = play(inside, (said[at : at + 1] for at in range(len(said))))
    assert pieces == whole
    assert octets == whole
    # A channel that closes takes the confirms of that very read with it.
    for channel, confirms in whole_confirms.items():
        assert confirms <= octets_confirms[channel]
    for channel, confirms in pieces_confirms.items():
        assert confirms <= octets_confirms[channel]


@SLOW
@given(st.integers(0, 2**32), st.lists(st.integers(0, 2**20), max_size=6))
def test_content_arrives_whole_however_it_is_cut(inside: InProcess, seed: int, places: list[int]) -> None:
    """Bodies around the size from which frames are taken in pieces, and several frames long."""
    chance = random.Random(seed)
    bodies = [chance.randbytes(chance.choice([0, 1, 8191, 8192, 8193, 131_064, 131_065, 300_000])) for _ in range(3)]
    said = OPEN + method(1, "queue.declare", queue="q") + method(1, "basic.consume", queue="q", no_ack=True)
    for body in bodies:
        said += method(2, "basic.publish", routing_key="q")
        said += codec.encode_frame(codec.FRAME_HEADER, 2, codec.encode_header(len(body)))
        at = 0
        while at < len(body):
            size = chance.choice([131_064, 131_064, 8192, 100, len(body)])
            size = min(size, 131_064, len(body) - at)
            said += codec.encode_frame(codec.FRAME_BODY, 2, body[at : at + size])
            at += size
    answered, _ = play(inside, cut(said, places))
    parts: list[bytes] = []
    for each in answered:
        if each.name == "basic.deliver":
            parts.append(b"")
        elif each.name == "body":
            parts[-1] += each.content
    assert parts == bodies


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_a_stranger_who_says_anything_is_refused_in_words_or_waited_for(
    inside: InProcess, said: bytes, places: list[int]
) -> None:
    for start in (b"", codec.PROTOCOL_HEADER, handshake()):
        with watched():
            client = inside.accept()
            for piece in cut(start + said, places) if start + said else []:
                client.hear(piece)
            client.talk()
            client.lose()
            inside.check_account()
    assert not inside.endpoint.connections


@given(st.integers(8, 2**32 - 1), st.integers(0, 255), st.integers(0, 65535))
def test_a_frame_that_is_too_large_is_refused_by_its_head(
    inside: InProcess, size: int, kind: int, channel: int
) -> None:
    client: Client = inside.connect(frame_max=4096)
    client.hear(bytes([kind]) + channel.to_bytes(2, "big") + size.to_bytes(4, "big"))
    names = [(said.name, said.content["reply_code"]) for said in client.talk()]
    assert names == ([("connection.close", 501)] if size > 4096 - 8 else [])
    client.lose()


@given(st.integers(0, 65535))
def test_only_channels_within_the_agreed_number_open(inside: InProcess, channel: int) -> None:
    client = inside.connect()
    client.hear(method(channel, "channel.open"))
    (said,) = client.talk()
    if 1 <= channel <= CHANNEL_MAX:
        assert (said.name, said.channel) == ("channel.open-ok", channel)
    else:
        assert (said.name, said.content["reply_code"]) == ("connection.close", 504)
    client.lose()
