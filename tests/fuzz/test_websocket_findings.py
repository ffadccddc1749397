"""What was found once over WebSocket: each message here got no answer, but an exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.in_process import watched
from tests.support.websocket_frames import TEXT, frame, request
from tests.support.websocket_in_process import WebSocketClient, WebSocketInProcess


@pytest.fixture
def inside() -> Iterator[WebSocketInProcess]:
    broker = WebSocketInProcess()
    with watched():
        yield broker
        for connection in list(broker.websockets.connections):
            connection.output.abort()
            connection.lost("closed by peer")
    broker.close()


@pytest.fixture
def client(inside: WebSocketInProcess) -> WebSocketClient:
    """Of the native dialect, in JSON, logged in."""
    made = inside.arrive_by_http()
    made.hear(request("/hubbub"))
    assert [each["type"] for each in say(made, type="hello")] == ["welcome"]
    return made


def say(client: WebSocketClient, **message: Any) -> list[dict[str, Any]]:
    client.hear(frame(TEXT, json.dumps(message).encode()))
    return [json.loads(each.payload) for each in client.talk()]


@pytest.mark.parametrize("value", [2**64, 2**70, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("name", [
    "x-max-length", "x-max-length-bytes", "x-message-ttl", "x-expires", "x-delivery-limit", "x-max-priority", "odd",
])  # fmt: skip
@pytest.mark.parametrize("durable", [True, False])
def test_an_argument_larger_than_any_of_amqp(client: WebSocketClient, name: str, value: int, durable: bool) -> None:
    """JSON's integers have any size."""
    answers = say(client, type="declare", id=1, queue="q", durable=durable, arguments={name: value})

    assert [(each["type"], each["code"]) for each in answers] in ([("error", "conflict")], [("error", "invalid")])
    assert [each["type"] for each in say(client, type="declare", id=2, queue="q")] == ["declared"]


@pytest.mark.parametrize("value", [2**64, 10**30])
def test_a_header_larger_than_any_of_amqp(client: WebSocketClient, value: int) -> None:
    answers = say(client, type="publish", id=1, topic="t", properties={"headers": {"n": value, "m": [{"n": value}]}})

    assert [(each["type"], each["code"]) for each in answers] == [("error", "invalid")]
