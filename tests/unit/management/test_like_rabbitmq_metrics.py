"""What a real RabbitMQ 3.10.8 showed (`rabbitmq-3.10-metrics.json`), beside what is shown here.

Each name, with its type, its help and its labels, is here too, or stands in MISSING with the reason. Recorded from its
three pages, and `/metrics/detailed` family by family, after AMQP and MQTT clients had published, got, dead-lettered and
failed to log in. Left out of the record are names that begin with `erlang_` and `telemetry_`: the Erlang machine's, and
the scrape's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.peer import Peer
from tests.unit.management.conftest import Client, ObservedCore, login

pytestmark = pytest.mark.asyncio(loop_scope="function")

RECORD: dict[str, dict[str, dict[str, str | list[str]]]] = json.loads(
    (Path(__file__).parent / "rabbitmq-3.10-metrics.json").read_text()
)
ERLANG = "Erlang's processes, memory and schedulers: there are none here"
RAFT = "quorum queues and streams replicate by Raft: a queue is one here, on one node"
ONE_FILE = "files that are reopened and sought in: the store has one journal, and LMDB's map"
COSTS = "which of a queue's messages are persistent would have to be counted with each message"
CONTENT = "it would have to read a message of each queue for every scrape"
FRAMES = "frames are counted as they come, not as they go; what waits is hubbub_output_pending_bytes"
BY_EXCHANGE = "a channel counts what it publishes, not where to: exchange_metrics has it by exchange"
BY_QUEUE = "a channel does not count by queue what it gets: queue_delivery_metrics has it by queue"

MISSING = {
    r"erlang_(?!uptime)\w+|\w+_process_reductions_total": ERLANG,
    r"raft_\w+|global_messages_dead_lettered_confirmed_total": RAFT,
    r"io_(seek|reopen)\w+|queue_index_\w+|schema_db_\w+": ONE_FILE,
    r"queue_messages_persistent(_bytes)?": COSTS,
    r"queue_head_message_timestamp": CONTENT,
    r"queue_disk_(reads|writes)_total": "a message's slot is not read and written for one queue: msg_store_… counts",
    r"connection_(outgoing|pending)_packets(_total)?": FRAMES,
    r"channel_messages_unroutable_\w+": BY_EXCHANGE,
}
"""Of every page; a pattern, behind the page's prefix."""
MISSING_BY_OBJECT = {
    r"channel_(get|messages_(delivered|redelivered|acked))\w*": BY_QUEUE,
}
"""… of pages that show single objects."""
OTHER_LABELS = {
    "connection": "RabbitMQ has `channel` there, and Erlang's process number: here a connection's name is `connection`",
    "channel_messages_published_total": BY_EXCHANGE,
    "channel_messages_confirmed_total": BY_EXCHANGE,
    "queue_messages_published_total": "a queue counts what it takes, not from which channel and exchange",
    "identity_info": "newer ones have rabbitmq_endpoint",
    "build_info": "newer ones have product_name and product_version",
}
"""By how the name begins."""
PREFIX = re.compile(r"rabbitmq_(detailed_)?")


def shown(text: str) -> dict[str, tuple[str, str, set[str]]]:
    """Type, help and labels of each name of a page."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for name, words in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        labels.setdefault(re.sub(r"_(bucket|sum|count)$", "", name) if name not in kinds else name, set()).update(
            re.findall(r'(\w+)="', words)
        )
    return {name: (kinds[name], helps.get(name, ""), labels[name]) for name in kinds}


def reasons(page: str, name: str) -> Iterator[str]:
    """Why a name may be missing on a page."""
    bare = PREFIX.sub("", name)
    for patterns in (MISSING, {} if page == "/metrics" else MISSING_BY_OBJECT):
        yield from (why for pattern, why in patterns.items() if re.fullmatch(pattern, bare))


@pytest.fixture
def busy(server: ObservedCore, peer: Peer) -> ObservedCore:
    """Something of everything."""
    peer.declare("q")
    for _ in range(3):
        peer.publish("q", b"12345")
    peer.consume("q", "c")
    server.core.broker.access.add_user("else", b"where")
    return server


@pytest.mark.parametrize("page", RECORD)
async def test_what_rabbitmq_shows_is_shown_or_missing_for_a_reason(
    client: Client, busy: ObservedCore, page: str
) -> None:
    text = await (await client.get(page, headers=login())).text()
    ours = shown(text)

    for name, theirs in RECORD[page].items():
        why = list(reasons(page, name))
        if name not in ours:
            assert why, f"{name} is not on {page}"
            continue
        assert not why, f"{name} is on {page} after all"
        kind, said, labels = ours[name]
        assert kind == ("gauge" if theirs["type"] == "untyped" else theirs["type"]), name
        assert said == theirs["help"], name
        excused = any(PREFIX.sub("", name).startswith(each) for each in OTHER_LABELS)
        assert labels == set(theirs["labels"]) or not theirs["labels"] or excused, (name, labels, theirs["labels"])


async def test_every_reason_is_needed() -> None:
    for page_of_reasons in (MISSING, MISSING_BY_OBJECT):
        for pattern in page_of_reasons:
            assert any(re.fullmatch(pattern, PREFIX.sub("", name)) for names in RECORD.values() for name in names), (
                pattern
            )
    for begins in OTHER_LABELS:
        assert any(PREFIX.sub("", name).startswith(begins) for names in RECORD.values() for name in names), begins
