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
    assert core.broker.vhosts["described"].description == "orders of the shop"
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


HASH = "s6zvI8goBNHiQoFuEF1nlVV5PMEk0hzUjZ9IOH4d4x4RB5Dd"
OTHER_VERSIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "3.8": (
        {
            "rabbit_version": "3.8.34",
            "rabbitmq_version": "3.8.34",
            "product_name": "RabbitMQ",
            "product_version": "3.8.34",
            "users": [{"name": "ann", "password_hash": HASH, "hashing_algorithm": "rabbit_password_hashing_sha256",
                       "tags": "administrator,monitoring", "limits": {}}],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": "ann", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
            "queues": [{"name": "mirrored", "vhost": "/", "durable": True, "auto_delete": False,
                        "arguments": {"x-queue-mode": "lazy", "x-queue-master-locator": "min-masters"}}],
            "policies": [{"vhost": "/", "name": "ha", "pattern": ".*", "apply-to": "queues", "priority": 0,
                          "definition": {"ha-mode": "all", "ha-sync-mode": "automatic", "max-length": 5}}],
        },
        {
            "queues: mirrored in /: x-queue-mode means nothing on one node: kept, and not obeyed",
            "queues: mirrored in /: x-queue-master-locator means nothing on one node: kept, and not obeyed",
            "policies: ha in /: ha-mode means nothing on one node: kept, and not obeyed",
            "policies: ha in /: ha-sync-mode means nothing on one node: kept, and not obeyed",
        },
    ),
    "3.13": (
        {
            "rabbitmq_version": "3.13.7",
            "users": [{"name": "ann", "password_hash": HASH, "hashing_algorithm": "rabbit_password_hashing_sha512",
                       "tags": ["management"], "limits": {"max-connections": 5}}],
            "vhosts": [{"name": "/", "description": "Default virtual host", "tags": [],
                        "default_queue_type": "undefined", "limits": [],
                        "metadata": {"description": "Default virtual host", "tags": []}}],
            "parameters": [{"component": "federation-upstream", "vhost": "/", "name": "up",
                            "value": {"uri": "amqp://far"}}],
            "queues": [
                {"name": "log", "vhost": "/", "durable": True, "auto_delete": False, "type": "stream",
                 "arguments": {"x-queue-type": "stream", "x-max-age": "7D"}},
                {"name": "safe", "vhost": "/", "durable": True, "auto_delete": False, "type": "quorum",
                 "arguments": {"x-queue-type": "quorum", "x-quorum-initial-group-size": 3}},
            ],
            "exchanges": [{"name": "late", "vhost": "/", "type": "x-delayed-message", "durable": True,
                           "auto_delete": False, "internal": False, "arguments": {"x-delayed-type": "topic"}}],
        },
        {
            "parameters: federation-upstream up: there is no federation here: kept, and not obeyed",
            "queues: log in /: streams are not there: not taken",
            "queues: safe in /: a quorum queue is a durable queue of this one node; its delivery limit is 20 where it "
            "names none",
            "queues: safe in /: x-quorum-initial-group-size means nothing on one node: kept, and not obeyed",
        },
    ),
    "4.1": (
        {
            "rabbitmq_version": "4.1.4",
            "rabbitmq_definition_format": "cluster",
            "original_cluster_name": "rabbit@one",
            "explanation": "Definitions of cluster 'rabbit@one'",
            "users": [{"name": "token", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256",
                       "tags": [], "limits": {}}],
            "vhosts": [{"name": "shop", "description": "orders", "tags": ["live"], "default_queue_type": "quorum",
                        "metadata": {"description": "orders", "tags": ["live"], "default_queue_type": "quorum"},
                        "protected_from_deletion": True, "colour": "red"}],
            "parameters": [{"component": "shovel", "vhost": "shop", "name": "move",
                            "value": {"src-protocol": "local"}}],
            "global_parameters": [{"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-x"}],
            "exchanges": [{"name": "near", "vhost": "shop", "type": "x-local-random", "durable": True,
                           "auto_delete": False, "internal": False, "arguments": {}}],
        },
        {
            "users: token: has no password: a certificate, or no login",
            "vhosts: colour: is not known: not taken",
            "vhosts: shop: default_queue_type quorum: a queue that names no type is a classic one here",
            "vhosts: shop: protected_from_deletion is not kept",
            "parameters: shovel move: no shovel runs here: kept, and not obeyed",
            "exchanges: near in shop: unknown exchange type 'x-local-random': not taken",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", OTHER_VERSIONS)
async def test_exports_of_other_versions_are_told_and_taken(run: Run, core: Core, tmp_path: Path, version: str) -> None:
    document, findings = OTHER_VERSIONS[version]
    taken, said = imported_of(tmp_path, **document)
    (tmp_path / "taken.json").write_text(json.dumps(taken))
    await run("definitions", "import", str(tmp_path / "taken.json"))

    assert set(said) == findings
    assert {each["name"] for each in document["users"]} <= set(core.broker.access.users)
    if version == "4.1":
        assert (core.broker.vhosts["shop"].description, list(core.broker.vhosts["shop"].tags)) == ("orders", ["live"])
