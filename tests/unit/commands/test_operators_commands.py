"""What users of rabbitmqctl, rabbitmq-diagnostics and rabbitmqadmin look for, as commands of `hubbub`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli import main
from broker.commands.definitions import pieces
from tests.support.peer import Core, Peer
from tests.unit.commands.test_commands import Run, run, server

__all__ = ["run", "server"]  # fixtures


async def test_objects_are_declared_and_deleted(run: Run, core: Core) -> None:
    await run("declare", "queue", "q", "--type", "quorum", "--arguments", '{"x-max-length": 5}')
    await run("declare", "exchange", "x", "--type", "topic", "--auto-delete")
    await run("declare", "binding", "x", "q", "a.*")
    await run("declare", "binding", "x", "amq.fanout", "b", "--to-exchange")
    queue = core.vhost.queues["q"]
    assert (queue.settings.queue_type, queue.settings.max_length, queue.durable) == ("quorum", 5, True)
    assert {each.key for each in core.vhost.exchange("x").bindings.values()} == {b"a.*", b"b"}

    await run("delete", "binding", "x", "q", "a.*")
    assert "is not bound" in (await run("delete", "binding", "x", "q", "a.*", status=1)).output
    await run("delete", "binding", "x", "amq.fanout", "b", "--to-exchange")
    await run("declare", "queue", "q2", "--transient")
    await run("delete", "queue", "q2", "--if-empty", "--if-unused")
    await run("delete", "queue", "q")
    assert not core.vhost.queues
    assert "JSON" in (await run("declare", "queue", "q", "--arguments", "{", status=1)).output


async def test_parameters_and_limits(run: Run, core: Core) -> None:
    parameters = core.broker.parameters
    await run("declare", "parameter", "federation", "p", '{"a": 1}')
    await run("declare", "vhost-limit", "/", "max-queues", "7")
    await run("declare", "user-limit", "guest", "max-channels", "3")
    assert parameters.get("federation", "/", "p") == {"a": 1}
    assert (parameters.vhost_limit("/", "max-queues"), parameters.user_limit("guest", "max-channels")) == (7, 3)

    await run("delete", "parameter", "federation", "p")
    await run("delete", "vhost-limit", "/", "max-queues")
    await run("delete", "user-limit", "guest", "max-channels")
    assert (parameters.vhost_limit("/", "max-queues"), parameters.user_limit("guest", "max-channels")) == (None, None)


async def test_a_password_changes_and_the_tags_stay(run: Run, core: Core) -> None:
    await run("user", "add", "ann", "--tag", "monitoring", "--new-password", "old")
    await run("user", "password", "ann", "--new-password", "new")

    assert core.broker.access.authenticate("ann", b"new", True).tags == ("monitoring",)


async def test_messages_move_and_what_is_refused_is_said(run: Run, core: Core, peer: Peer) -> None:
    for name in ("from", "to"):
        peer.declare(name)
    core.vhost.declare_queue("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    for body in (b"1", b"2", b"3"):
        peer.publish("from", body)

    assert (await run("move", "from", "to", "--count", "1")).output == "1 messages moved, 2 left\n"
    refused = await run("move", "from", "full", status=1)
    assert refused.output.splitlines() == [
        "1 messages moved, 1 left",
        "hubbub: 'full' takes no more: 1 were to follow",
    ]
    assert json.loads((await run("move", "from", "to", "--json")).output) == {"moved": 1, "left": 0}
    assert (core.queue("to").ready_count, core.queue("full").ready_count) == (2, 1)


async def test_connections_of_a_user_are_closed(run: Run, core: Core, peer: Peer) -> None:
    await run("close-connection", "--of-user", "guest", "--reason", "enough")
    assert "enough" in peer.take()[-1].fields["reply_text"]
    assert "expected NAME, or --of-user" in (await run("close-connection", status=2)).output


async def test_checks_are_exit_codes(run: Run, core: Core) -> None:
    assert (await run("ping")).output == "it runs\n"
    for words in (
        ["alarms"],
        ["virtual-hosts"],
        ["in-service"],
        ["connections"],
        ["port", "5672"],
        ["protocol", "amqp"],
    ):
        assert (await run("check", *words)).output == "ok\n"
    await run("check", "certificates", "1", "months")
    assert (await run("check", "port", "1", status=1)).output.startswith("hubbub: No active listener (missing=1;")
    core.broker.raise_alarm("disk", "the disk is full")
    failed = await run("check", "alarms", status=1)
    assert failed.output.startswith("hubbub: There are alarms in effect")
    assert json.loads((await run("check", "alarms", "--json", status=1)).output)["status"] == "failed"
    assert "the disk is full" in (await run("alarms")).output
    await run("check", "port", "x", status=2)
    nowhere = await run("check", "alarms", "--url", "http://127.0.0.1:1", status=1)
    assert nowhere.output.startswith("hubbub: no broker answers")
    assert (await run("ping", "--url", "http://127.0.0.1:1", status=1)).output.startswith("hubbub: no broker answers")


async def test_the_node_is_looked_at(run: Run, core: Core) -> None:
    assert "amqp" in (await run("listeners")).output
    assert (await run("alarms")).output == "none\n"
    assert "messages ready" in (await run("memory")).output
    assert "total" in json.loads((await run("memory", "--json")).output)
    assert (await run("whoami")).output == "guest: administrator\n"
    assert (await run("cluster-name", "shop")).output == "shop\n"


async def test_lists_are_chosen_from(run: Run, core: Core) -> None:
    for name in ("a1", "a2", "b1"):
        core.vhost.declare_queue(name)

    rows = json.loads(
        (await run("list", "queues", "--name", "^a", "--sort", "-name", "--columns", "name", "--json")).output
    )
    assert rows == [{"name": "a2"}, {"name": "a1"}]
    table = (await run("list", "queues", "--columns", "name,messages", "--sort", "name")).output.splitlines()
    assert [line.split() for line in table] == [["name", "messages"], ["a1", "0"], ["a2", "0"], ["b1", "0"]]


async def test_many_definitions_go_in_slice_by_slice(run: Run, core: Core, tmp_path: Path) -> None:
    queues = [{"vhost": "v", "name": f"q{index}", "durable": True, "arguments": {}} for index in range(2500)]
    binding = {
        "vhost": "v", "source": "amq.direct", "destination": "q2499", "destination_type": "queue",
        "routing_key": "k", "arguments": {},
    }  # fmt: skip
    document = {"vhosts": [{"name": "v"}], "queues": queues, "bindings": [binding]}
    assert [count for _, count in pieces(document)] == [1, 1000, 1000, 500, 1]
    file = tmp_path / "many.json"
    file.write_text(json.dumps(document))
    await run("definitions", "import", str(file))

    assert len(core.broker.vhosts["v"].queues) == 2500
    assert len(core.broker.vhosts["v"].exchange("amq.direct").bindings) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])

    assert done.exit_code == 0
    assert "_HUBBUB_COMPLETE" in done.output


@pytest.mark.parametrize(("words", "expected"), [("hubbub che", "check"), ("hubbub check a", "alarms")])
def test_bash_is_told_what_fits(words: str, expected: str) -> None:
    environment = {"_HUBBUB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = CliRunner().invoke(main, [], env=environment, prog_name="hubbub", complete_var="_HUBBUB_COMPLETE")

    assert expected in done.output


async def test_scripts_get_json_from_what_changes_something(run: Run, core: Core, tmp_path: Path) -> None:
    await run("declare", "queue", "q")
    published = json.loads((await run("publish", "amq.default", "q", "m", "--json")).output)
    assert published == {"published": True, "routed": True}
    assert json.loads((await run("publish", "amq.topic", "x", "m", "--json")).output)["routed"] is False
    assert json.loads((await run("purge", "q", "--json")).output) == {"removed": 1}
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps({"queues": [{"vhost": "/", "name": "new", "durable": True, "arguments": {}}]}))
    plan = json.loads((await run("definitions", "import", str(file), "--dry-run", "--json")).output)

    assert [row["queues"]["name"] for row in plan["added"]] == ["new"]
    assert [row["queues"]["name"] for row in plan["kept"]] == ["q"]
    assert plan["changed"] == plan["removed"] == []
