"""The HTTP API asked by tools that were written for RabbitMQ's: rabbitmqadmin, amqpstorm, Flower, KEDA's questions."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from amqpstorm import Connection as StormConnection
from amqpstorm.management import ApiError, ManagementApi
from flower.utils.broker import Broker as FlowerBroker

from tests.support.pika_client import connect
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port, serving
from tests.support.skipping import skip_unless_ci

pytestmark = pytest.mark.hubbub_only


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path_factory.mktemp("tools"), {"management.port": free_port()})
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def url(broker: HubbubServer, login: str = "") -> str:
    return f"http://{login}{HOST}:{broker.settings['management.port']}"


def publish(broker: HubbubServer, queue: str, count: int) -> None:
    connection = connect(broker.url)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(queue, durable=True)
    for _ in range(count):
        channel.basic_publish("", queue, b"m")
    connection.close()


# ── rabbitmqadmin 1, of Debian's rabbitmq-server ──────────────────────────────────────────────────────────────────────


def admin(broker: HubbubServer, *words: str, status: int = 0) -> str:
    """What the script says; JSON where it lists."""
    script = shutil.which("rabbitmqadmin")
    if script is None:
        skip_unless_ci("rabbitmqadmin is not installed (it is in Debian's rabbitmq-server)")
    port = str(broker.settings["management.port"])
    done = subprocess.run(
        [sys.executable, script, "-H", HOST, "-P", port, "-u", "guest", "-p", "guest", *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def listed(broker: HubbubServer, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(admin(broker, "-f", "raw_json", *words))
    return found


def test_rabbitmqadmin_declares_publishes_gets_and_deletes(broker: HubbubServer) -> None:
    admin(broker, "declare", "queue", "name=admin.q", "durable=true")
    admin(broker, "declare", "exchange", "name=admin.x", "type=topic")
    admin(broker, "declare", "binding", "source=admin.x", "destination=admin.q", "routing_key=a.#")
    admin(broker, "publish", "exchange=admin.x", "routing_key=a.b", "payload=hello", 'properties={"delivery_mode":2}')

    (got,) = listed(broker, "get", "queue=admin.q", "count=5")
    assert (got["payload"], got["routing_key"], got["message_count"]) == ("hello", "a.b", 0)
    assert {"name": "admin.q", "messages": 1} in listed(broker, "list", "queues", "name", "messages")
    admin(broker, "purge", "queue", "name=admin.q")
    admin(
        broker, "delete", "binding", "source=admin.x", "destination_type=queue", "destination=admin.q",
        "properties_key=a.%23",
    )  # fmt: skip
    admin(broker, "delete", "queue", "name=admin.q")
    admin(broker, "delete", "exchange", "name=admin.x")
    assert "Not found" in admin(broker, "delete", "queue", "name=admin.q", status=1)


@pytest.mark.parametrize(
    "what",
    [
        "users", "vhosts", "connections", "channels", "consumers", "exchanges", "bindings", "queues", "permissions",
        "policies", "operator_policies", "parameters", "nodes", "vhost_limits",
    ],
)  # fmt: skip
def test_rabbitmqadmin_lists_everything(broker: HubbubServer, what: str) -> None:
    assert isinstance(listed(broker, "list", what), list)
    admin(broker, "list", what)  # as a table: of the columns that it expects
    admin(broker, "show", "overview")


def test_rabbitmqadmin_administers_and_carries_definitions(broker: HubbubServer, tmp_path: Any) -> None:
    exported = tmp_path / "definitions.json"
    admin(broker, "declare", "vhost", "name=admin.v")
    admin(broker, "declare", "user", "name=admin.u", "password=x", "tags=management")
    admin(broker, "declare", "permission", "vhost=admin.v", "user=admin.u", "configure=.*", "write=.*", "read=.*")
    admin(
        broker, "--vhost=admin.v", "declare", "policy", "name=p", "pattern=^q", 'definition={"max-length":5}',
        "apply-to=queues",
    )  # fmt: skip
    admin(broker, "declare", "vhost_limit", "vhost=admin.v", "name=max-queues", "value=7")
    admin(broker, "export", str(exported))
    admin(broker, "delete", "vhost", "name=admin.v")
    admin(broker, "delete", "user", "name=admin.u")
    admin(broker, "import", str(exported))

    assert {"vhost": "admin.v", "value": {"max-queues": 7}} in listed(broker, "list", "vhost_limits")
    assert "admin.u" in [row["user"] for row in listed(broker, "list", "permissions") if row["vhost"] == "admin.v"]


# ── libraries ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def storm(broker: HubbubServer) -> ManagementApi:
    return ManagementApi(url(broker), "guest", "guest")


def test_amqpstorms_client_asks_for_the_broker(broker: HubbubServer, storm: ManagementApi) -> None:
    assert storm.overview()["product_name"] == "Hubbub"
    assert storm.aliveness_test("/") == {"status": "ok"}
    assert storm.cluster_name() == {"name": "hubbub@localhost"}
    (node,) = storm.nodes()
    assert node["running"] is True
    assert storm.node(node["name"])["name"] == node["name"]
    assert storm.whoami()["name"] == "guest"
    assert storm.healthchecks.get() == {"status": "ok"}
    assert storm.healthchecks.get(node["name"]) == {"status": "ok"}


def test_amqpstorms_client_works_with_queues_and_exchanges(storm: ManagementApi) -> None:
    storm.queue.declare("storm", durable=True, arguments={"x-max-length": 5})
    storm.queue.declare("storm", passive=True)
    storm.exchange.declare("storm.x", exchange_type="topic")
    storm.exchange.declare("storm.y", exchange_type="fanout", durable=True, arguments={"alternate-exchange": "storm.x"})
    storm.exchange.bind("storm.x", "storm.y", "k2", arguments=None)
    storm.queue.bind("storm", "storm.x", "k", arguments=None)
    assert storm.basic.publish("hello", "k", exchange="storm.x", properties={"delivery_mode": 2}) == {"routed": True}

    (message,) = storm.basic.get("storm", requeue=True)
    assert message.body == "hello"
    assert storm.basic.get("storm", requeue=False, to_dict=True)[0]["redelivered"] is True
    assert storm.queue.get("storm")["arguments"] == {"x-max-length": 5}
    assert storm.exchange.get("storm.x")["type"] == "topic"
    assert [each["name"] for each in storm.queue.list(name="^storm$", use_regex=True)] == ["storm"]
    assert "storm.y" in [each["name"] for each in storm.exchange.list(show_all=True)]
    assert {each["source"] for each in storm.queue.bindings("storm")} == {"", "storm.x"}
    assert [each["destination"] for each in storm.exchange.bindings("storm.y")] == ["storm.x"]
    storm.exchange.unbind("storm.x", "storm.y", "k2")
    storm.queue.unbind("storm", "storm.x", "k")
    storm.queue.purge("storm")
    for name in ("storm.x", "storm.y"):
        storm.exchange.delete(name)
    storm.queue.delete("storm")
    with pytest.raises(ApiError) as refused:
        storm.queue.get("storm")
    assert refused.value.error_code == 404


def test_amqpstorms_client_administers(storm: ManagementApi) -> None:
    storm.virtual_host.create("storm.v")
    storm.user.create("storm.u", "secret", tags="management")
    storm.user.set_permission("storm.u", "storm.v", configure_regex="^a")

    assert storm.virtual_host.get("storm.v")["name"] == "storm.v"
    assert "storm.v" in [each["name"] for each in storm.virtual_host.list()]
    assert storm.virtual_host.get_permissions("storm.v")[-1]["user"] == "storm.u"
    assert storm.user.get("storm.u")["tags"] == ["management"]
    assert "storm.u" in [each["name"] for each in storm.user.list()]
    assert storm.user.get_permission("storm.u", "storm.v")["configure"] == "^a"
    assert storm.user.get_permissions("storm.u")[0]["vhost"] == "storm.v"
    storm.user.delete_permission("storm.u", "storm.v")
    storm.user.create("storm.w", "secret")
    storm.user.delete(["storm.u", "storm.w"])
    storm.virtual_host.delete("storm.v")


def test_amqpstorms_client_sees_and_closes_connections(broker: HubbubServer, storm: ManagementApi) -> None:
    connection = StormConnection(HOST, "guest", "guest", port=broker.port)
    connection.channel()

    (name,) = (each["name"] for each in storm.connection.list())
    assert storm.connection.get(name)["user"] == "guest"
    assert [each["number"] for each in storm.channel.list()] == [1]
    assert storm.channel.get(f"{name} (1)")["number"] == 1
    storm.connection.close(name, "enough")
    eventually(lambda: not connection.is_open)


def test_flower_sees_how_long_celerys_queues_are(broker: HubbubServer) -> None:
    """With the vhost `/` it asks for `/api/queues//`."""
    publish(broker, "celery", 3)
    flower = FlowerBroker(broker.url.replace("%2F", "/"), http_api=url(broker, "guest:guest@") + "/api/")
    (row,) = asyncio.run(flower.queues(["celery"]))

    assert (row["name"], row["messages"], row["messages_ready"]) == ("celery", 3, 3)


def test_flowers_own_page_of_the_broker_shows_queues_and_counts(broker: HubbubServer) -> None:
    """As its users run it: a process, which asks the HTTP API, and a page in HTML."""
    publish(broker, "celery", 3)
    port = free_port()
    amqp = broker.url.replace("%2F", "/")
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "--broker", amqp, "flower", f"--address={HOST}", f"--port={port}",
         f"--broker-api={url(broker, 'guest:guest@')}/api/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        def page(path: str) -> str:
            try:
                return str(urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=10).read().decode())
            except OSError:
                return ""

        eventually(lambda: page("/broker"), timeout_s=30)
        shown = " ".join(page("/broker").split())
        assert "amqp://" in shown
        celery = re.search(r"<td[^>]*>\s*celery\s*</td>(.*?)</tr>", shown)
        assert celery is not None, shown[-3000:]
        assert re.findall(r"<td[^>]*>\s*(\d+)\s*</td>", celery.group(1))[0] >= "3"
    finally:
        process.terminate()
        process.wait(10)


# ── KEDA's scaler asks by two paths: https://keda.sh/docs/scalers/rabbitmq-queue/ ─────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/api/queues/%2F/work.1", False),
        ("/api/queues?page=1&use_regex=true&pagination=false&name=%5Ework%5C..%2A%24&page_size=100", True),
        ("/api/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Ework%5C..%2A%24&page_size=100", True),
    ],
)
def test_what_keda_scales_by_is_there(broker: HubbubServer, path: str, is_page: bool) -> None:
    publish(broker, "work.1", 2)
    password = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    password.add_password(None, url(broker), "guest", "guest")
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(password))
    found = json.loads(opener.open(url(broker) + path, timeout=10).read())
    rows = found["items"] if is_page else [found]

    for row in rows:
        assert row["name"] == "work.1"
        assert row["messages"] >= 2
        assert row["messages_unacknowledged"] == 0
        assert row["message_stats"]["publish_details"]["rate"] >= 0
