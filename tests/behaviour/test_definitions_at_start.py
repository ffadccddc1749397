"""`definitions_file`: what it names is there before the first client comes, at every start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pika_client import connect
from tests.support.server import HubbubServer, ServerExitedError

pytestmark = pytest.mark.hubbub_only

DOCUMENT: dict[str, Any] = {
    "users": [{"name": "ann", "password": "secret", "tags": "management", "limits": {"max-channels": 5}}],
    "vhosts": [{"name": "shop"}],
    "permissions": [{"vhost": "shop", "user": "ann", "configure": ".*", "write": ".*", "read": ".*"}],
    "queues": [{"vhost": "/", "name": "orders", "durable": True, "auto_delete": False, "arguments": {}}],
    "mqtt_acls": [{"vhost": "/", "permission": "deny", "action": "publish", "topic": "secret/#"}],
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HubbubServer]:
    (tmp_path / "definitions.json").write_text(json.dumps(DOCUMENT))
    running = HubbubServer(tmp_path, {"definitions_file": str(tmp_path / "definitions.json")})
    try:
        yield running
    finally:
        running.kill()


def test_what_the_file_names_is_there_after_every_start(broker: HubbubServer) -> None:
    for _ in range(2):
        broker.start()
        connection = connect(broker.url)
        channel = connection.channel()
        channel.queue_declare("orders", passive=True)
        channel.queue_delete("orders")  # the next start makes it again
        connection.close()
        assert broker.stop() == 0
    broker.assert_clean()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "definitions_file"),
        ("[]", "expected an object"),
        ('{"queues": [{"vhost": "none", "name": "q"}]}', "vhost 'none' not found"),
        ('{"policies": [{"vhost": "/", "name": "p", "pattern": "q", "definition": {"cow": 1}}]}', "[cow]"),
    ],
)
def test_a_start_with_a_wrong_file_fails_and_says_why(broker: HubbubServer, text: str, said: str) -> None:
    Path(str(broker.settings["definitions_file"])).write_text(text)
    with pytest.raises(ServerExitedError, match="exited with 1"):
        broker.start()

    assert said in broker.log
    assert "Traceback" not in broker.log
