"""The native dialect: when it takes no request, and when it delivers nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.websocket.paced import PER_TURN_MAX
from tests.support.peer import Core
from tests.support.websocket_frames import TEXT, frame
from tests.unit.websocket.native_peer import MakeNative, Native


def test_one_turn_takes_and_gives_a_bounded_share(core: Core, native: Native) -> None:
    native.say({"type": "declare", "queue": "q", "durable": False})
    core.pass_ms(0)
    published = frame(TEXT, b'{"type":"publish","queue":"q","body":"x"}') * (2 * PER_TURN_MAX)
    native.feed(published)
    assert core.queue().ready_count < PER_TURN_MAX
    while native.kept:
        core.pass_ms(0)
        native.feed()
    assert core.queue().ready_count == 2 * PER_TURN_MAX
    core.pass_ms(0)
    assert len(native.say({"type": "subscribe", "id": "s", "queue": "q"})) == 1 + PER_TURN_MAX
    core.pass_ms(0)
    assert len(native.heard()) == PER_TURN_MAX


def test_a_client_that_does_not_read_gets_no_more_and_is_not_read(core: Core, make_native: MakeNative) -> None:
    native = make_native(high_bytes=2000)
    native.say({"type": "declare", "queue": "q", "durable": False})
    for _ in range(100):
        core.vhost.exchange("")
        native.say({"type": "publish", "queue": "q", "body": "x" * 100})
    core.pass_ms(0)
    native.feed(frame(TEXT, b'{"type":"subscribe","id":"s","queue":"q"}'))
    assert 2000 < native.output.pending_bytes < 3000
    assert native.output.paused
    native.heard()
    native.connection.carried.on_writable()  # type: ignore[union-attr]

    assert not native.output.paused
    assert native.output.pending_bytes > 2000


def test_reading_stops_while_too_much_waits_for_the_disk(make_core: Callable[..., Core]) -> None:
    core = make_core(websocket_awaited_max=3)
    native = Native(core)
    native.hello()
    core.vhost.declare_queue("q", durable=True)
    for number in range(5):
        native.say({"type": "publish", "id": number, "queue": "q", "body": ""})
    assert native.output.paused
    assert core.queue().ready_count == 3
    core.commit()
    native.feed()
    core.commit()

    assert [each["id"] for each in native.heard()] == [0, 1, 2, 3, 4]


def test_reading_stops_while_the_disk_is_behind(make_core: Callable[..., Core]) -> None:
    core = make_core(open_batch_bytes_max=1000)
    native = Native(core)
    native.hello()
    core.vhost.declare_queue("q", durable=True)
    native.say({"type": "publish", "persistent": True, "queue": "q", "body": "x" * 2000})
    assert native.output.paused
    core.commit()

    assert not native.output.paused


def test_retained_messages_come_no_faster_than_the_client_reads_and_before_newer_ones(
    make_native: MakeNative,
) -> None:
    """A filter that matches all that is retained filled the output without a bound."""
    native = make_native(high_bytes=4096)
    for number in range(100):
        native.say({"type": "publish", "topic": f"t/{number}", "body": "x" * 500, "retain": True})
    other = make_native()

    native.say_only({"type": "subscribe", "id": "s", "topic": "t/+"}, {"type": "ping", "id": 1})
    other.say({"type": "publish", "topic": "t/0", "body": "newer", "retain": True})

    pending: list[int] = []
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["type"] != "pong":
        pending.append(native.output.pending_bytes)
        heard += native.read()
    assert max(pending) < 4096 + 1024
    assert [each["type"] for each in heard] == ["subscribed", *["message"] * 101, "pong"]
    assert [each.get("retained", False) for each in heard[1:-1]] == [True] * 100 + [False]
    assert heard[-2]["body"] == "newer"


def test_many_retained_messages_are_sent_in_several_turns(core: Core, make_native: MakeNative) -> None:
    native = make_native()
    for number in range(PER_TURN_MAX + 10):
        native.say({"type": "publish", "topic": f"t/{number}", "body": "x", "retain": True})
        core.pass_ms(1)

    assert len(native.say({"type": "subscribe", "id": "s", "topic": "t/+"})) == 1 + PER_TURN_MAX
    core.pass_ms(1)
    assert len(native.heard()) == 10


def test_a_client_that_publishes_too_fast_is_read_more_slowly(core: Core, native: Native) -> None:
    core.broker.parameters.set_user_limit("guest", "max-messages-per-second", 2)
    core.vhost.declare_queue("q")
    native.say(*({"type": "publish", "queue": "q", "body": "m"} for _ in range(6)))
    assert core.vhost.queues["q"].ready_count < 6
    for _ in range(4):
        core.pass_ms(1_000)
        native.feed()
    assert core.vhost.queues["q"].ready_count == 6
    native.connection.lost("closed")
    assert core.broker.publish_rates.resting == 0
