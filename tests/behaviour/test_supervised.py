"""systemd is told that the broker is ready, that it lives, and that it goes (sd_notify(3))."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import STOP_TIMEOUT_S, HubbubServer

pytestmark = pytest.mark.hubbub_only


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Where the broker's words arrive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(STOP_TIMEOUT_S)
        yield listening


def lines(told: socket.socket) -> list[str]:
    return told.recv(4096).decode().split("\n")


def test_ready_alive_stopping(tmp_path: Path, told: socket.socket) -> None:
    broker = HubbubServer(tmp_path / "broker")
    broker.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    process = broker.spawn()
    try:
        assert lines(told) == ["READY=1", "STATUS=serving"]
        with socket.create_connection(broker.address, timeout=5):
            pass  # it listens when it says so
        assert [lines(told) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        process.send_signal(signal.SIGTERM)
        found = [["WATCHDOG=1"]]
        while found[-1] == ["WATCHDOG=1"]:
            found.append(lines(told))
        assert found[-1] == ["STOPPING=1", "STATUS=stopping"]
        assert process.wait(STOP_TIMEOUT_S) == 0
        broker.assert_clean()
    finally:
        broker.kill()


def test_without_a_watchdog_there_is_no_sign_of_life(tmp_path: Path, told: socket.socket) -> None:
    broker = HubbubServer(tmp_path / "broker")
    broker.environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    broker.start()
    try:
        assert broker.stop() == 0
        assert [lines(told)[0] for _ in range(2)] == ["READY=1", "STOPPING=1"]
    finally:
        broker.kill()


def test_a_supervisor_that_has_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    broker = HubbubServer(tmp_path / "broker")
    broker.environment |= {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000"}
    broker.start()
    try:
        assert broker.stop() == 0
        broker.assert_clean()
    finally:
        broker.kill()
