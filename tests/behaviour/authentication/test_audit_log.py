"""The audit log of a running broker: logins over every protocol, changes over the HTTP API, rotation, no secret."""

from __future__ import annotations

import base64
import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest

from tests.support.entrances import ENTRANCES, RefusedError, enter, server_with_entrances
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, serving

pytestmark = pytest.mark.hubbub_only
SECRETS = ["an0ther-s3cret", "n3w-s3cret", "shov3l-s3cret"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.json"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Iterator[HubbubServer]:
    running = server_with_entrances(tmp_path_factory.mktemp("audited"), {"audit.file": file})
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


def lines(file: Path, **wanted: Any) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in file.read_text().splitlines()]
    return [line for line in told if wanted.items() <= line.items()]


def call(broker: HubbubServer, method: str, path: str, body: object = None, login: str = "guest:guest") -> None:
    data = json.dumps(body).encode() if body is not None else None
    url = f"http://{HOST}:{broker.settings['management.port']}/api/{path}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=10):
        pass


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_login_is_told(broker: HubbubServer, file: Path, entrance: str) -> None:
    enter(broker, entrance, "guest", "guest")

    eventually(lambda: lines(file, event="user.authentication.success", name="guest", peer_host=HOST))


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_refused_login_is_told_with_its_reason(broker: HubbubServer, file: Path, entrance: str) -> None:
    name = f"eve-{entrance}"
    with pytest.raises(RefusedError):
        enter(broker, entrance, name, SECRETS[0])

    (told,) = eventually(lambda: lines(file, event="user.authentication.failure", name=name, peer_host=HOST))
    assert "invalid credentials" in told["error"]


def test_changes_are_told_with_who_made_them(broker: HubbubServer, file: Path) -> None:
    call(broker, "PUT", "users/bob", {"password": SECRETS[1], "tags": "monitoring"})
    call(broker, "PUT", "permissions/%2F/bob", {"configure": "", "write": ".*", "read": ".*"})
    call(broker, "PUT", "policies/%2F/p", {"pattern": ".*", "definition": {"max-length": 10}})
    call(broker, "PUT", "parameters/shovel/%2F/s", {"value": {"src-uri": f"amqp://u:{SECRETS[2]}@h"}})
    call(broker, "DELETE", "users/bob")

    for event in ("user.created", "permission.created", "policy.set", "parameter.set", "user.deleted"):
        assert eventually(lambda event=event: lines(file, event=event, by="guest")), event  # type: ignore[misc]
    assert lines(file, event="policy.set")[0]["definition"] == {"max-length": 10}


def test_each_request_that_is_to_change_something_is_told_with_what_came_of_it(
    broker: HubbubServer, file: Path
) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    call(broker, "DELETE", "connections/username/guest")
    with pytest.raises(pika.exceptions.AMQPError):
        connection.process_data_events(time_limit=10)
    call(broker, "POST", "hubbub/reload")
    call(broker, "PUT", "users/looker", {"password": SECRETS[1], "tags": "monitoring"})
    with pytest.raises(urllib.error.HTTPError):
        call(broker, "PUT", "users/eve", {"password": SECRETS[1], "tags": ""}, login=f"looker:{SECRETS[1]}")
    with pytest.raises(urllib.error.HTTPError):
        call(broker, "PUT", "users/eve", {"password": SECRETS[1], "tags": 7})
    call(broker, "GET", "users")

    def told(**wanted: Any) -> list[tuple[Any, ...]]:
        found = lines(file, **wanted)
        return [(each["by"], each["peer_host"], each["path"], each["about"], each["status"]) for each in found]

    closed = ("guest", HOST, "/api/connections/username/{user}", {"user": "guest"}, 204)
    eventually(lambda: closed in told(event="api.changed", method="DELETE"))
    assert ("guest", HOST, "/api/hubbub/reload", {}, 200) in told(event="api.changed")
    refusals = eventually(lambda: len(told(event="api.refused")) == 2 and told(event="api.refused"))
    path, about = "/api/users/{user}", {"user": "eve"}
    assert refusals == [("looker", HOST, path, about, 401), ("guest", HOST, path, about, 400)]
    assert not lines(file, method="GET")


def test_after_sighup_a_new_file_is_written(broker: HubbubServer, file: Path) -> None:
    moved = file.with_suffix(".1")
    file.rename(moved)
    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)
    eventually(file.exists)

    enter(broker, "amqp", "guest", "guest")

    eventually(lambda: lines(file, name="guest"))
    for each in (file, moved):
        for secret in [*SECRETS, "argon2"]:
            assert secret not in each.read_text()


def test_no_secret_is_in_the_brokers_log(broker: HubbubServer) -> None:
    assert not re.search("|".join(SECRETS), broker.log)
