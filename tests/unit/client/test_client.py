"""The in-process client: acceptance, credit, settling, rights, and what is left after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.client import (
    COMPLETE,
    DISCARD,
    REQUEUE,
    AccessRefused,
    BlockedError,
    Client,
    InvalidPath,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
    Received,
    RefusedError,
    ResourceLocked,
    admit,
    log_in,
)
from tests.support.peer import Core

PERSISTENT = {"delivery_mode": 2}


@pytest.fixture
def client(core: Core) -> Client:
    return Client(core.broker)


def _bodies(received: list[Received]) -> list[bytes]:
    return [each.message.body for each in received]


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_persistent_message_is_accepted_only_when_the_store_has_it(core: Core, client: Client) -> None:
    client.declare_queue("q")
    told: list[str] = []
    client.publish("", "q", b"one", PERSISTENT, told=told.append)
    assert told == []
    assert client.awaited_count == 1
    core.commit()

    assert told == ["accepted"]
    assert client.awaited_count == 0


def test_a_transient_message_is_accepted_at_once_but_in_order(core: Core, client: Client) -> None:
    client.declare_queue("q")
    told: list[str] = []
    client.publish("", "q", b"first", told=lambda outcome: told.append(f"first {outcome}"))
    client.publish("", "q", b"second", PERSISTENT, told=lambda outcome: told.append(f"second {outcome}"))
    client.publish("", "q", b"third", told=lambda outcome: told.append(f"third {outcome}"))
    assert told == ["first accepted"]
    core.commit()

    assert told == ["first accepted", "second accepted", "third accepted"]


def test_what_nobody_gets_is_unroutable_only_to_who_asks(core: Core, client: Client) -> None:
    told: list[str] = []
    client.publish("amq.topic", "nowhere", b"", told=told.append)
    client.publish("amq.topic", "nowhere", b"", told=told.append, mandatory=True)

    assert told == ["accepted", "unroutable"]
    assert core.vhost.exchanges["amq.topic"].counts["returned"] == 1


def test_a_full_queue_refuses(core: Core, client: Client) -> None:
    client.declare_queue("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    told: list[str] = []
    for body in (b"one", b"two"):
        client.publish("", "q", body, PERSISTENT, told=told.append)
    core.commit()

    assert sorted(told) == ["accepted", "refused"]


def test_a_store_that_fails_refuses(core: Core, client: Client) -> None:
    client.declare_queue("q")
    told: list[str] = []
    client.publish("", "q", b"one", PERSISTENT, told=told.append)
    client._publisher.tell_refused(1)

    assert told == ["refused"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"exchange": "none"}, NotFound),
        ({"body": bytes(101)}, LimitExceeded),
        ({"properties": {"expiration": "soon"}}, PreconditionFailed),
        ({"routing_key": b"k" * 65_536}, PreconditionFailed),
    ],
)
def test_what_cannot_be_published_raises_and_changes_nothing(
    make_core: Callable[..., Core], arguments: dict[str, Any], error: type[Exception]
) -> None:
    core = make_core(message_bytes_max=100)
    client = Client(core.broker)
    told: list[str] = []
    with pytest.raises(error):
        client.publish(**{"exchange": "", "routing_key": "q", "body": b"", **arguments}, told=told.append)

    assert told == []
    assert client.awaited_count == 0


def test_publishing_is_refused_while_an_alarm_stands(core: Core, client: Client) -> None:
    core.broker.raise_alarm("disk", "the disk is full")
    with pytest.raises(BlockedError, match="the disk is full"):
        client.publish("", "q", b"")
    core.broker.clear_alarm("disk")

    client.publish("", "q", b"")


async def test_publish_and_wait_returns_when_the_store_has_it(core: Core, client: Client) -> None:
    client.declare_queue("q")
    waiting = asyncio.create_task(client.publish_and_wait("", "q", b"one", PERSISTENT))
    await asyncio.sleep(0)
    assert not waiting.done()
    core.commit()
    await asyncio.wait_for(waiting, 1)

    with pytest.raises(RefusedError, match="unroutable"):
        await client.publish_and_wait("", "nobody", b"", mandatory=True)


async def test_who_gives_up_waiting_disturbs_nobody(core: Core, client: Client) -> None:
    client.declare_queue("q")
    waiting = asyncio.create_task(client.publish_and_wait("", "q", b"one", PERSISTENT))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    core.commit()

    assert core.queue().ready_count == 1


def test_what_is_retained_is_there_for_those_who_come_later(client: Client) -> None:
    client.publish("amq.topic", "a.b", b"kept", retain=True)
    client.publish("amq.topic", "a.c", b"not kept")

    assert [each.body for each in client.retained(b"a.*")] == [b"kept"]
    assert [each.is_retained for each in client.retained(b"#")] == [True]
    client.publish("amq.topic", "a.b", b"", retain=True)
    assert list(client.retained(b"#")) == []


# ── consuming ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_than_the_credit_is_unsettled(client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []
    client.consume("q", received.append, credit=2)
    for body in (b"1", b"2", b"3", b"4"):
        client.publish("", "q", body)
    assert _bodies(received) == [b"1", b"2"]
    client.settle(received[0].tag)
    assert _bodies(received) == [b"1", b"2", b"3"]
    assert client.settle(received[2].tag, COMPLETE, multiple=True) == 2

    assert _bodies(received) == [b"1", b"2", b"3", b"4"]
    assert client.unsettled_count == 1


def test_a_delivery_may_be_settled_while_it_is_given(core: Core, client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []

    def deal_with(each: Received) -> None:
        received.append(each)
        client.settle(each.tag)

    for body in (b"1", b"2", b"3"):
        client.publish("", "q", body)
    client.consume("q", deal_with, credit=1)
    client.publish("", "q", b"4")

    assert _bodies(received) == [b"1", b"2", b"3", b"4"]
    assert core.queue().counts["acknowledged"] == 4
    assert core.queue().counts["unaccounted"] == 0


def test_without_acknowledgements_what_is_given_is_settled(core: Core, client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []
    client.consume("q", received.append, no_ack=True)
    for body in (b"1", b"2"):
        client.publish("", "q", body, PERSISTENT)

    assert _bodies(received) == [b"1", b"2"]
    assert client.unsettled_count == core.queue().unacked_count == 0
    with pytest.raises(NotFound):
        client.settle(received[0].tag)


def test_what_is_requeued_comes_again_and_says_so_what_is_discarded_does_not(core: Core, client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []
    client.publish("", "q", b"1")
    client.consume("q", received.append)
    client.settle(received[0].tag, REQUEUE)
    client.settle(received[1].tag, DISCARD)

    assert [(each.message.body, each.redelivered) for each in received] == [(b"1", False), (b"1", True)]
    assert core.queue().counts["rejected"] == 1
    assert core.queue().counts["unaccounted"] == 0


def test_held_consumers_get_nothing_until_they_go_on(client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []
    client.consume("q", received.append, no_ack=True)
    client.hold()
    client.publish("", "q", b"1")
    assert received == []
    client.go_on()

    assert _bodies(received) == [b"1"]


def test_a_cancelled_consumer_gets_nothing_and_may_still_settle(client: Client) -> None:
    client.declare_queue("q")
    received: list[Received] = []
    tag = client.consume("q", received.append)
    client.publish("", "q", b"1")
    client.cancel(tag)
    client.publish("", "q", b"2")
    client.settle(received[0].tag)

    assert _bodies(received) == [b"1"]
    with pytest.raises(NotFound):
        client.cancel(tag)


def test_a_consumer_hears_that_its_queue_is_gone(client: Client) -> None:
    client.declare_queue("q")
    cancelled: list[str] = []
    tag = client.consume("q", cancelled.append, on_cancelled=lambda: cancelled.append("gone"))  # type: ignore[arg-type]
    client.delete_queue("q")

    assert cancelled == ["gone"]
    assert tag not in client.consumers


def test_a_consumer_that_fails_hurts_no_publisher(core: Core, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.declare_queue("q")

    def fail(_received: Received) -> None:
        raise RuntimeError("a bug")

    client.consume("q", fail)
    client.publish("", "q", b"1")
    assert "a bug" in caplog.text
    client.close()

    assert core.queue().ready_count == 1


# ── rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login_is_checked_and_its_rights_count(core: Core) -> None:
    core.broker.access.add_user("ann", b"secret")
    core.broker.access.set_permission("/", "ann", "^mine", "^mine", "^mine")
    ann = log_in(core.broker, "ann", b"secret", vhost="/", peer="10.0.0.1:9")
    ann.declare_queue("mine")
    core.vhost.declare_queue("theirs")
    ann.consume("mine", print)

    for attempt in (
        lambda: ann.declare_queue("theirs"),
        lambda: ann.declare_queue(),
        lambda: ann.consume("theirs", print),
        lambda: ann.publish("", "mine", b""),
        lambda: ann.bind("mine", "amq.topic", b"#"),
        lambda: ann.delete_queue("theirs"),
        lambda: ann.retained(b"#"),
    ):
        with pytest.raises(AccessRefused):
            attempt()
    with pytest.raises(AccessRefused):
        log_in(core.broker, "ann", b"wrong", vhost="/", peer="10.0.0.1:9")
    with pytest.raises(AccessRefused, match="localhost"):
        log_in(core.broker, "guest", b"guest", vhost="/", peer="10.0.0.1:9")
    with pytest.raises(InvalidPath):
        log_in(core.broker, "ann", b"secret", vhost="none", peer="10.0.0.1:9")
    core.broker.add_vhost("other")
    with pytest.raises(AccessRefused):
        log_in(core.broker, "ann", b"secret", vhost="other", peer="10.0.0.1:9")
    assert admit(core.broker, "guest", vhost="/", peer="127.0.0.1:9").user is not None


def test_nobody_speaks_in_another_user_s_name(core: Core) -> None:
    guest = log_in(core.broker, "guest", b"guest", vhost="/", peer="127.0.0.1:9")
    guest.publish("", "q", b"", {"user_id": "guest"})
    with pytest.raises(PreconditionFailed):
        guest.publish("", "q", b"", {"user_id": "root"})


def test_an_exclusive_queue_is_its_client_s_own(core: Core, client: Client) -> None:
    name = client.declare_queue(exclusive=True)
    with pytest.raises(ResourceLocked):
        Client(core.broker).consume(name, print)
    client.consume(name, print)
    client.close()

    assert name not in core.vhost.queues


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_settled_goes_back_in_order_and_nothing_is_told(core: Core, client: Client) -> None:
    told: list[str] = []
    received: list[Received] = []
    client.declare_queue("q")
    for body in (b"1", b"2", b"3"):
        client.publish("", "q", body, PERSISTENT, told=told.append)
    client.consume("q", received.append, credit=2)
    client.close()
    client.close()
    core.commit()
    again: list[Received] = []
    Client(core.broker).consume("q", again.append, credit=0)

    assert told == []
    assert _bodies(received) == [b"1", b"2"]
    assert [(each.message.body, each.redelivered) for each in again] == [(b"1", True), (b"2", True), (b"3", False)]
    assert core.queue().counts["unaccounted"] == 0


def test_who_is_outside_a_turn_enters_one(core: Core) -> None:
    entered: list[int] = []
    client = Client(core.broker, enter=lambda: entered.append(1))
    client.declare_queue("q")
    client.publish("", "q", b"")

    assert len(entered) == 2
