"""The operator's commands against the HTTP API of a real core."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from click.testing import Result

from broker.cli import main
from broker.management.app import Management
from tests.support.peer import Core, Peer
from tests.unit.management.conftest import ObservedCore

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def server(core: Core) -> ObservedCore:
    core.broker.access.add_user("guest", b"guest", tags=("administrator",))
    return ObservedCore(core)


@pytest_asyncio.fixture
async def run(server: ObservedCore) -> AsyncIterator[Run]:
    """Runs `hubbub …` in a thread of its own: it blocks, and the API answers in this one."""
    from click.testing import CliRunner

    async with TestServer(Management(server).api()) as api:

        async def invoke(*arguments: str, status: int = 0, given: str | None = None) -> Result:
            url = str(api.make_url("/"))
            result = await asyncio.to_thread(
                CliRunner().invoke, main, list(arguments), env={"HUBBUB_URL": url}, input=given
            )
            assert result.exit_code == status, result.output
            return result

        yield invoke


async def test_status_says_how_the_broker_is(run: Run, core: Core) -> None:
    core.broker.raise_alarm("disk", "the disk is full")
    text = (await run("status")).output

    assert "durability:   fsync" in text
    assert "alarms:       the disk is full" in text
    assert "unaccounted:  0" in text
    assert json.loads((await run("status", "--json")).output)["product_name"] == "Hubbub"


async def test_lists_are_tables_or_json(run: Run, core: Core, peer: Peer) -> None:
    peer.declare("orders")
    peer.publish("orders", b"m")
    table = (await run("list", "queues")).output.splitlines()
    assert table[0].split()[:3] == ["vhost", "name", "type"]
    assert table[1].split()[:6] == ["/", "orders", "classic", "no", "1", "0"]
    rows = json.loads((await run("list", "queues", "--vhost", "/", "--json")).output)
    assert [row["name"] for row in rows] == ["orders"]
    for what in ("exchanges", "bindings", "connections", "channels", "consumers", "vhosts", "users", "permissions",
                 "policies", "operator-policies", "parameters"):  # fmt: skip
        await run("list", what)


async def test_topic_permissions(run: Run, core: Core) -> None:
    await run("topic-permission", "set", "guest", "amq.topic", "^a", "^b")
    await run("topic-permission", "set", "guest", "events", "^a", "^b")
    assert "amq.topic" in (await run("list", "topic-permissions")).output
    await run("topic-permission", "clear", "guest", "events")
    (left,) = core.broker.access.topics.of_user("guest")
    assert left == ("/", "amq.topic", ("^a", "^b"))
    await run("topic-permission", "clear", "guest")
    assert core.broker.access.topics.permissions == {}


async def test_access_rules_of_mqtt(run: Run, core: Core) -> None:
    await run("acl", "add", "deny", "publish", "a/#")
    await run("acl", "add", "allow", "all", "dev/%c/#", "--for", "guest", "--before", "1")
    lines = (await run("acl", "list")).output.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["1", "allow", "all", "dev/%c/#"], ["2", "deny", "publish", "a/#"],
    ]  # fmt: skip
    assert lines[3] == "otherwise: allow"
    await run("acl", "remove", "1")
    assert [each["topic"] for each in json.loads((await run("acl", "list", "--json")).output)["rules"]] == ["a/#"]
    await run("acl", "add", "deny", "all", "a/#/b", status=1)


async def test_explain_says_what_would_become_of_a_message(run: Run, core: Core) -> None:
    core.broker.access.add_user("ann", b"x")
    core.vhost.declare_queue("q")
    core.vhost.bind(core.vhost.exchanges["amq.topic"], core.vhost.queues["q"], "queue", b"a.#")
    text = (await run("explain", "publish", "amqp", "amq.topic", "a.1")).output
    assert "+ permission: allows, write '.*' matches the exchange 'amq.topic'" in text
    assert "+ 'a.#' to queue q" in text
    assert "waits" in text
    text = (await run("explain", "publish", "--as", "ann", "mqtt", "a/1", "--client-id", "c")).output
    assert "refused" in text
    assert "nobody gets it" in text
    found = json.loads((await run("explain", "publish", "--vhost", "/", "mqtt", "b", "--qos", "1", "--json")).output)
    assert (found["topic"], found["routed"]) == ("b", False)


async def test_users_vhosts_and_permissions(run: Run, core: Core) -> None:
    await run("vhost", "add", "shop")
    await run("user", "add", "ann", "--tag", "monitoring", "--new-password", "secret")
    await run("permission", "set", "ann", "^a", "^b", "", "--vhost", "shop")
    ann = core.broker.access.users["ann"]
    assert (ann.tags, ann.may_write("shop", "b1"), ann.may_read("shop", "b1")) == (("monitoring",), True, False)

    await run("user", "tags", "ann", "policymaker", "management")
    assert ann.tags == ("policymaker", "management")
    await run("permission", "clear", "ann", "--vhost", "shop")
    assert not ann.may_access("shop")
    await run("user", "delete", "ann")
    await run("vhost", "delete", "shop", "--yes")
    assert "shop" not in core.broker.vhosts


async def test_policies(run: Run, core: Core) -> None:
    queue = core.vhost.declare_queue("q")
    await run("policy", "set", "p", "^q$", '{"max-length": 3}', "--apply-to", "queues", "--priority", "2")
    assert queue.settings.max_length == 3
    await run("policy", "set", "o", ".*", '{"max-length": 2}', "--operator")
    assert queue.settings.max_length == 2
    await run("policy", "clear", "o", "--operator")
    await run("policy", "clear", "p")
    assert queue.settings.max_length is None
    assert "expected a JSON object" in (await run("policy", "set", "p", ".*", "{", status=1)).output


async def test_messages_are_published_seen_taken_and_purged(run: Run, core: Core) -> None:
    core.vhost.declare_queue("q")
    assert (await run("publish", "amq.default", "q", "hello")).output == "published\n"
    assert "nobody wanted it" in (await run("publish", "amq.topic", "x", "hello")).output
    assert "hello" in (await run("get", "q", "--keep")).output
    assert json.loads((await run("get", "q", "--json")).output)[0]["redelivered"] is True
    await run("publish", "amq.default", "q", "again")
    assert (await run("purge", "q")).output == "1 messages removed\n"


async def test_a_connection_is_closed_with_a_reason(run: Run, core: Core, peer: Peer) -> None:
    name = json.loads((await run("list", "connections", "--json")).output)[0]["name"]
    await run("close-connection", name, "--reason", "maintenance")
    assert "maintenance" in peer.take()[-1].fields["reply_text"]


async def test_definitions_are_imported_as_a_difference(run: Run, core: Core, tmp_path: Path) -> None:
    vhost = core.vhost
    kept = vhost.declare_queue("kept", durable=True)
    vhost.bind(vhost.exchange("amq.topic"), kept, "queue", b"k")
    file = tmp_path / "definitions.json"
    await run("definitions", "export", str(file))
    extra = vhost.declare_queue("extra", durable=True)
    vhost.bind(vhost.exchange("amq.topic"), extra, "queue", b"e")
    vhost.remove_queue(kept)

    plan = (await run("definitions", "import", str(file), "--dry-run", "--prune")).output.splitlines()
    assert plan == [
        "+ queue kept in /",
        "+ binding amq.topic → kept by 'k' in /",
        "- queue extra in /",
        "- binding amq.topic → extra by 'e' in /",
    ]
    assert "kept" not in vhost.queues
    await run("definitions", "import", str(file), "--prune")
    assert set(vhost.queues) == {"kept"}
    assert len(vhost.exchange("amq.topic").bindings) == 1
    assert "nothing to change" in (await run("definitions", "import", str(file), "--prune")).output


async def test_what_goes_wrong_is_one_line_and_exit_code_1(run: Run, core: Core, tmp_path: Path) -> None:
    refused = await run("purge", "none", status=1)
    assert refused.output == "hubbub: the broker refused (404): Not Found\n"
    wrong = await run("status", "--password", "wrong", status=1)
    assert wrong.output.startswith("hubbub: the broker refused (401)")
    nowhere = await run("status", "--url", "http://127.0.0.1:1", status=1)
    assert nowhere.output.startswith("hubbub: no broker answers on http://127.0.0.1:1")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "expected JSON" in (await run("definitions", "import", str(broken), status=1)).output
