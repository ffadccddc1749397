"""The HTTP API asked by Schemathesis, which makes requests of the OpenAPI document: whatever comes, no failure.

A short, repeatable run: two requests of each operation. At length, by hand: `--max-examples 100`, another `--seed`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXCLUDED = (
    "hubbub/(backup|drain)"  # they write where they are told, and end the broker
    "|/users/"  # the login would go
    "|(port|protocol)-listener"  # 503 is what they say of a port that nobody listens on
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HubbubServer]:
    running = HubbubServer(tmp_path, {"management.port": free_port()})
    running.start()
    try:
        eventually(lambda: "is ready" in running.log)
        yield running
        assert running.stop() == 0
        running.assert_clean()
    finally:
        running.kill()


def test_requests_made_of_the_document_are_answered_as_it_says(broker: HubbubServer, tmp_path: Path) -> None:
    url = f"http://{HOST}:{broker.settings['management.port']}/api/hubbub/openapi.json"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", url, "--auth", "guest:guest", "--checks", CHECKS,
            "--phases", "fuzzing", "--max-examples", "2", "--seed", "1", "--exclude-path-regex", EXCLUDED,
            "--generation-database", "none", "--no-color", "--continue-on-failure",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated.group(1)) > 250
