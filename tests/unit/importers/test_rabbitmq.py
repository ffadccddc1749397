"""RabbitMQ's definitions for Hubbub. The sample is what `rabbitmqctl export_definitions` of RabbitMQ 3.10.8 wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broker.importers.findings import ImportFailedError
from broker.importers.rabbitmq import read
from tests.support.peer import Core
from tests.unit.commands.test_commands import Run, run, server

__all__ = ["run", "server"]  # fixtures

SAMPLE = Path(__file__).parent / "rabbitmq-3.10.json"


def imported_of(tmp_path: Path, **sections: Any) -> tuple[dict[str, Any], list[str]]:
    """What is taken of a document, and what is said."""
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(sections))
    imported = read(path)
    return imported.definitions, list(map(str, imported.findings))


def test_of_a_real_export_everything_that_will_differ_is_said() -> None:
    imported = read(SAMPLE)

    assert sorted(map(str, imported.findings)) == sorted(
        (
            "vhosts: described: metadata is not kept",
            "users: keyed: has no password: a certificate, or no login",
            "parameters: federation-upstream far: there is no federation here: kept, and not obeyed",
            "parameters: shovel move: no shovel runs here: kept, and not obeyed",
            "policies: fed in /: federation-upstream-set means nothing on one node: kept, and not obeyed",
            "policies: ha in /: ha-mode means nothing on one node: kept, and not obeyed",
            "exchanges: dice in /: unknown exchange type 'x-random': not taken",
            "queues: lazy in /: x-queue-mode means nothing on one node: kept, and not obeyed",
            "queues: safe in /: a quorum queue is a durable queue of this one node; its delivery limit is 20 where it "
            "names none",
            "queues: log in /: streams are not there: not taken",
            "bindings: dice to orders in /: exchange 'dice' is not taken, nor is this",
            "bindings: topics to log in /: queue 'log' is not taken, nor is this",
        )
    )
    assert {each["name"] for each in imported.definitions["queues"]} == {"orders", "lazy", "safe", "ranked"}


async def test_what_comes_out_is_taken_by_a_running_broker(run: Run, core: Core, tmp_path: Path) -> None:
    said = (await run("import", "rabbitmq", str(SAMPLE), "--to", str(tmp_path))).output
    path = tmp_path / "definitions.json"
    assert f"written: {path}; take it into a running broker with: hubbub definitions import {path}" in said
    await run("definitions", "import", str(path))

    vhost, access = core.broker.vhosts["/"], core.broker.access
    assert set(core.broker.vhosts) == {"/", "other", "described"}
    assert vhost.queues["orders"].arguments["x-max-length"] == 1000
    assert {each.name for each in vhost.exchanges.values()} >= {"dead", "topics", "hashed"}
    assert len([each for each in vhost.bindings() if each.destination.name == "orders"]) == 2
    assert set(access.users) >= {"guest", "limited", "actor", "keyed"}
    assert access.authenticate("limited", b"limited", True).may("/", "write", "limited-queue")
    assert access.topics.permissions["limited", "/"]["topics"].write == "^order"
    assert set(vhost.policies.by_name) == {"ha", "dlx", "fed"}
    assert core.broker.parameters.vhost_limits["/"] == {"max-connections": 100, "max-queues": 50}
    assert "nothing to change" in (await run("definitions", "import", str(path), "--dry-run")).output


@pytest.mark.parametrize(
    ("section", "row", "said"),
    [
        ("users", {"name": "old", "password_hash": "x", "hashing_algorithm": "rabbit_password_hashing_md5"},
         "users: old: hashed by rabbit_password_hashing_md5: not taken, give it a password anew"),
        ("queues", {"name": "q", "vhost": "/", "arguments": {"x-queue-type": "mqtt"}},
         "queues: q in /: there is no queue type mqtt: not taken"),
        ("policies", {"name": "p", "vhost": "/", "pattern": "", "definition": {"colour": "red"}},
         "policies: p in /: nothing of it is left: not taken"),
        ("policies", {"name": "p", "vhost": "/", "pattern": ""}, "policies: p: has no definition: not taken"),
        ("exchanges", {"name": "e", "vhost": "/", "type": "x-jms-topic"},
         "exchanges: e in /: unknown exchange type 'x-jms-topic': not taken"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_left_out_and_said(
    tmp_path: Path, section: str, row: dict[str, Any], said: str
) -> None:
    definitions, findings = imported_of(tmp_path, **{section: [row]})

    assert definitions[section] == []
    assert said in findings


def test_a_limit_that_is_not_there_is_left_out_of_the_others(tmp_path: Path) -> None:
    row = {"component": "vhost-limits", "name": "limits", "vhost": "/", "value": {"max-queues": 1, "max-x": 2}}
    definitions, findings = imported_of(tmp_path, parameters=[row])

    assert definitions["parameters"][0]["value"] == {"max-queues": 1}
    assert findings == ["parameters: vhost-limits limits: there is no limit max-x: not taken"]


def test_a_section_that_nobody_knows_is_said(tmp_path: Path) -> None:
    assert imported_of(tmp_path, users=[], plugins=[])[1] == ["plugins: section: unknown: not taken"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"users": 1}', '{"users": [1]}'])
def test_what_is_no_definitions_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "definitions.json"
    path.write_text(text)
    with pytest.raises(ImportFailedError, match="expected"):
        read(path)


async def test_a_file_that_is_there_is_not_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "definitions.json").write_text("mine")
    said = (await run("import", "rabbitmq", str(SAMPLE), "--to", str(tmp_path), status=1)).output

    assert f"hubbub: {tmp_path}/definitions.json is there already" in said
    assert (tmp_path / "definitions.json").read_text() == "mine"


async def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    said = (await run("import", "rabbitmq", str(SAMPLE), "--dry-run", "--to", str(tmp_path / "new"))).output

    assert "taken: 3 vhosts, 4 users" in said
    assert not (tmp_path / "new").exists()
