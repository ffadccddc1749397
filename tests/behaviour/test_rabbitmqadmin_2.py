"""rabbitmqadmin 2 (crates.io), RabbitMQ's own tool for its HTTP API, as it is: what it declares, shows and deletes.

It is looked for as `rabbitmqadmin-2`, or where RABBITMQADMIN_2 says: Debian has version 1 under its own name.
`cargo install rabbitmqadmin` makes it, in three minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pika import BlockingConnection
from pika.exceptions import AMQPError

from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only

BINARY = os.environ.get("RABBITMQADMIN_2") or shutil.which("rabbitmqadmin-2")
if BINARY is None:
    pytest.skip("rabbitmqadmin 2 is not here: cargo install rabbitmqadmin", allow_module_level=True)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path_factory.mktemp("admin2"), {"management.port": free_port()})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


def admin(broker: HubbubServer, *words: str, status: int = 0, typed: str = "") -> str:
    """What the tool says on standard output; on standard error, too, where it fails."""
    assert BINARY is not None
    port = str(broker.settings["management.port"])
    done = subprocess.run(
        [BINARY, "-H", HOST, "-P", port, "-u", "guest", "-p", "guest", "--non-interactive", *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, f"{words}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if status else "")


@pytest.mark.parametrize(
    "words",
    [
        *(f"list {what}" for what in (
            "nodes", "users", "vhosts", "permissions", "connections", "user_connections --username guest", "channels",
            "queues", "exchanges", "bindings", "consumers", "parameters --component shovel", "policies",
            "operator_policies", "vhost_limits", "user_limits", "feature_flags", "deprecated_features",
            "deprecated_features_in_use",
        )),
        "show overview", "show churn", "show endpoint",
        "show memory_breakdown_in_bytes --node hubbub@localhost",
        "show memory_breakdown_in_percent --node hubbub@localhost",
        "nodes list", "queues list", "channels list", "connections list", "policies list",
        "policies list_in --apply-to queues", "policies list_conflicting", "global_parameters list",
        "auth_attempts stats --node hubbub@localhost",
        "health_check local_alarms", "health_check cluster_wide_alarms", "health_check node_is_quorum_critical",
        "health_check protocol_listener --protocol amqp",
        "plugins list_all", "plugins list_on_node --node hubbub@localhost", "rebalance queues",
        "passwords salt_and_hash secret",
    ],
)  # fmt: skip
def test_what_it_lists_shows_and_checks(broker: HubbubServer, words: str) -> None:
    connection = connect(broker.url)  # so that there is something to list
    channel = connection.channel()
    channel.queue_declare("listed", durable=True)
    channel.basic_consume("listed", lambda *_: None)
    admin(broker, *words.split())
    connection.close()


def test_a_port_that_nobody_listens_on_fails_the_check(broker: HubbubServer) -> None:
    admin(broker, "health_check", "port_listener", "--port", str(broker.port))
    assert admin(broker, "health_check", "port_listener", "--port", "1", status=os.EX_UNAVAILABLE)


def test_it_declares_publishes_gets_purges_and_deletes(broker: HubbubServer) -> None:
    binding = ("--source", "two.x", "--destination-type", "queue", "--destination", "two.q", "--routing-key", "a.#")
    admin(broker, "declare", "queue", "--name", "two.q", "--arguments", '{"x-max-length": 10}')
    admin(broker, "declare", "exchange", "--name", "two.x", "--type", "topic", "--durable", "true")
    admin(broker, "declare", "binding", *binding)
    admin(broker, "publish", "message", "-e", "two.x", "-k", "a.b", "-m", "hello", "-p", '{"delivery_mode": 2}')

    assert "hello" in admin(broker, "get", "messages", "-q", "two.q", "-a", "ack_requeue_true")
    assert "two.q" in admin(broker, "queues", "show", "--name", "two.q")
    assert "two.x" in admin(broker, "list", "bindings")
    admin(broker, "purge", "queue", "--name", "two.q")
    assert "hello" not in admin(broker, "get", "messages", "-q", "two.q")
    admin(broker, "delete", "binding", *binding)
    admin(broker, "delete", "exchange", "--name", "two.x")
    admin(broker, "delete", "queue", "--name", "two.q")
    admin(broker, "delete", "queue", "--name", "two.q", "--idempotently")
    assert "404" in admin(broker, "delete", "queue", "--name", "two.q", status=os.EX_DATAERR)


def test_it_administers(broker: HubbubServer, tmp_path: Path) -> None:
    in_vhost = ("--vhost", "two.v")
    policy = ("--name", "p", "--pattern", "^q", "--apply-to", "queues", "--definition", '{"max-length": 5}')
    admin(broker, "declare", "vhost", "--name", "two.v", "--description", "second", "--default-queue-type", "classic")
    admin(broker, "declare", "user", "--name", "two.u", "--password", "x", "--tags", "management")
    admin(
        broker, *in_vhost, "declare", "permissions", "--user", "two.u", "--configure", ".*", "--read", ".*",
        "--write", ".*",
    )  # fmt: skip
    admin(broker, *in_vhost, "declare", "policy", *policy, "--priority", "1")
    admin(broker, *in_vhost, "declare", "operator_policy", *policy)
    admin(broker, *in_vhost, "policies", "patch", "--name", "p", "--definition", '{"message-ttl": 1000}')
    matching = admin(broker, *in_vhost, "policies", "list_matching_object", "--name", "q1", "--type", "queues")
    assert "1000" in matching
    admin(broker, *in_vhost, "declare", "vhost_limit", "--name", "max-queues", "--value", "7")
    admin(broker, "declare", "user_limit", "--user", "two.u", "--name", "max-channels", "--value", "9")
    admin(broker, *in_vhost, "declare", "parameter", "--component", "c", "--name", "n", "--value", '{"a": 1}')
    admin(broker, "global_parameters", "set", "--name", "g", "--value", '{"b": 2}')

    exported, of_vhost = tmp_path / "all.json", tmp_path / "vhost.json"
    admin(broker, "definitions", "export", "--file", str(exported))
    admin(broker, *in_vhost, "definitions", "export_from_vhost", "--file", str(of_vhost))
    assert {each["name"] for each in json.loads(exported.read_text())["users"]} >= {"two.u"}
    assert json.loads(of_vhost.read_text())["policies"][0]["definition"] == {"max-length": 5, "message-ttl": 1000}
    for words in (
        (*in_vhost, "delete", "operator_policy", "--name", "p"), (*in_vhost, "delete", "policy", "--name", "p"),
        (*in_vhost, "delete", "vhost_limit", "--name", "max-queues"),
        ("delete", "user_limit", "--user", "two.u", "--name", "max-channels"),
        (*in_vhost, "delete", "parameter", "--component", "c", "--name", "n"),
        (*in_vhost, "delete", "permissions", "--user", "two.u"),
        ("delete", "vhost", "--name", "two.v"), ("delete", "user", "--name", "two.u"),
    ):  # fmt: skip
        admin(broker, *words)
    admin(broker, "definitions", "import", "--file", str(exported))
    admin(broker, *in_vhost, "definitions", "import_into_vhost", "--file", str(of_vhost))

    assert "max-queues" in admin(broker, *in_vhost, "list", "vhost_limits")
    assert "max-channels" in admin(broker, "list", "user_limits")
    assert "two.u" in admin(broker, "list", "permissions")


def test_it_closes_connections(broker: HubbubServer) -> None:
    first, second = connect(broker.url), connect(broker.url)
    admin(broker, "connections", "close_of_user", "--username", "guest")

    for connection in (first, second):
        eventually(partial(is_closed, connection))


def is_closed(connection: BlockingConnection) -> bool:
    """Whether pika has heard of it, after a look at the socket."""
    try:
        connection.process_data_events(0)
    except AMQPError:
        return True
    return False
