"""What is fuzzed: each target takes bytes and raises `BrokenBrokerError` where the broker does what it never may.

    table        a field table: decoded, compared with the oracle, encoded again
    properties   a content header's property list: scanned, decoded, changed
    arguments    a method frame's payload, for every method that it may be
    mqtt_…       MQTT's pure halves (`mqtt_targets`)
    mqtt_3_1 …   MQTT's connections (`mqtt_connection`), of each version
    websocket    WebSocket's frames, the native dialect, and what else is carried (`websocket_connection`)
    connection   a script (`script`): two clients and a stranger, time, sockets that break

A target returns what was seen, a set of short words: an input that shows something new is worth keeping.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from broker.amqp.codec import SyntaxFault, arguments_of, method_frame
from broker.amqp.methods import METHODS
from broker.core.errors import TableError
from broker.core.properties import (
    check_properties,
    decode_properties,
    decode_table,
    encode_table,
    expiration_ms,
    header_value,
    replace_headers,
    replace_properties,
)
from tests.fuzz import mqtt_connection, mqtt_targets, script, websocket_connection
from tests.fuzz.conversations import method
from tests.oracles import field_table
from tests.support import mqtt_codec
from tests.support.in_process import BrokenBrokerError, Client, InProcess, Said, watched

Seen = set[str]
VERSIONS = {mqtt_codec.V31: "3_1", mqtt_codec.V311: "3_1_1", mqtt_codec.V5: "5"}
CONVERSATIONS_PER_BROKER = 500
"""A broker hashes a password to begin with; so one serves many conversations, and is emptied between them."""


def require(truth: object, text: str) -> None:
    if not truth:
        raise BrokenBrokerError(text)


def table(content: bytes) -> Seen:
    """The codec and the oracle agree, and what was decoded can be encoded and decoded to the same."""
    raw = len(content).to_bytes(4, "big") + content
    try:
        expected = repr(field_table.plain(("F", field_table.read_table(content))))
    except field_table.MalformedError:
        expected = None
    try:
        found = decode_table(raw)
    except TableError as error:
        require(expected is None, f"refused, though well-formed: {error}")
        return {str(error)}
    require(repr(found) == expected, f"{found!r}, and the oracle says {expected}")
    again = decode_table(encode_table(found))
    require(repr(again) == repr(found), f"{found!r} comes back as {again!r}")
    return {type(value).__name__ for value in found.values()} | {f"{len(found)} fields"}


def properties(raw: bytes) -> Seen:
    """What the scan accepts can be decoded and changed, and stays acceptable; what it refuses, the oracle refuses."""
    try:
        field_table.read_properties(raw)
        expected = True
    except field_table.MalformedError:
        expected = False
    try:
        check_properties(raw)
    except TableError as error:
        require(not expected, f"refused, though well-formed: {error}")
        return {str(error)}
    require(expected, "accepted, though malformed")
    decoded = decode_properties(raw)
    expiration_ms(raw)
    headers = decoded.get("headers", {})
    for name, value in list(headers.items())[:4]:
        found = header_value(raw, name)
        require(repr(found) == repr(value), f"header {name}: {found!r} instead of {value!r}")
    changed = replace_headers(raw, {"x-new": 1}, list(headers)[:1])
    require(header_value(changed, "x-new") == 1, "a header that was set is not there")
    check_properties(replace_properties(changed, expiration=None, reply_to="a"))
    return {f"{name}:{type(value).__name__}" for name, value in decoded.items()}


def arguments(payload: bytes) -> Seen:
    """Arguments are decoded or refused; what was decoded makes a frame from which the same is decoded."""
    seen = set()
    for each in METHODS.values():
        try:
            values = arguments_of(b"\0\0\0\0" + payload, each.signature)
        except SyntaxFault as fault:
            seen.add(str(fault)[:40])
            continue
        made = method_frame(1, each.name, *values)
        again = arguments_of(made[7:-1], each.signature)
        require(repr(again) == repr(values), f"{each.name}: {values!r} comes back as {again!r}")
        seen.add(each.name)
    return seen


class Stage:
    """A broker that is used again for many conversations."""

    def __init__(self) -> None:
        self.inside: InProcess | None = None
        self.used = 0

    def broker(self, *, fresh: bool) -> InProcess:
        if self.inside is not None and (fresh or self.used >= CONVERSATIONS_PER_BROKER):
            self.inside.close()
            self.inside = None
        if self.inside is None:
            self.inside = InProcess()
            self.used = 0
        self.used += 1
        return self.inside


STAGE = Stage()


def words(said: list[Said]) -> Seen:
    """What a client was told, without what differs from one time to the next."""
    names = [each.name for each in said if each.name not in ("header", "body")]
    pairs = {f"{one}>{other}" for one, other in itertools.pairwise(names)}
    closes = {f"{each.name} {each.content['reply_text'][:60]}" for each in said if each.name.endswith(".close")}
    return {*names, *pairs, *closes}


def connection(raw: bytes, *, fresh: bool = False) -> Seen:
    """No script makes the broker fail, say a broken frame, lose count, or hold on to what its clients left."""
    inside = STAGE.broker(fresh=fresh)
    seen: Seen = set()
    try:
        with watched():
            clients: dict[int, Client] = {}
            for kind, content in script.read(raw):
                play(inside, clients, kind, content)
                for number, client in clients.items():
                    seen |= answer(number, client)
            for client in clients.values():
                client.lose()
            inside.commit()
            require(not inside.endpoint.connections, "a connection that is gone is still listed")
            inside.check_account()
            inside.clear()
            for word, count in inside.broker.deleted_counts.items():
                require(word != "unaccounted" or count == 0, f"{count} messages unaccounted for")
    except BaseException:
        with suppress(Exception):
            inside.close()
        STAGE.inside = None  # what broke once is not to be trusted
        raise
    return seen


def answer(number: int, client: Client) -> Seen:
    """Read what a client was told; a channel that was closed is opened again, so that the conversation goes on."""
    said = client.talk()
    for each in said:
        if each.name == "channel.close" and number != script.STRANGER and not client.is_over:
            client.hear(method(each.channel, "channel.close-ok") + method(each.channel, "channel.open"))
    return words(said)


def play(inside: InProcess, clients: dict[int, Client], kind: int, content: bytes) -> None:
    """One step."""
    if kind == script.WAIT:
        inside.pass_ms(min(int.from_bytes(content[:4], "big"), script.WAIT_MS_MAX))
        return
    if kind == script.LOSE:
        lost = clients.pop(content[0] if content else 0, None)
        if lost is not None:
            lost.lose()
        return
    kind = script.CLIENT_A if kind == script.OTHER else kind
    client = clients.get(kind)
    if client is None or client.is_over:
        if client is not None:
            client.lose()
        client = clients[kind] = inside.accept() if kind == script.STRANGER else inside.connect()
        if kind != script.STRANGER:
            client.hear(method(1, "channel.open") + method(2, "channel.open"))
    client.hear(content)


TARGETS: dict[str, Callable[[bytes], Seen]] = {
    "table": table,
    "properties": properties,
    "arguments": arguments,
    **mqtt_targets.TARGETS,
    **{f"mqtt_{name}": partial(mqtt_connection.mqtt, version) for version, name in VERSIONS.items()},
    "websocket": websocket_connection.websocket,
    "connection": connection,
}
