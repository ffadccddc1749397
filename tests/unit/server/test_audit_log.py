"""The audit log: what is written, what is not, and what happens when it cannot be written."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.audit_log import AuditLog
from broker.core.clock import ManualClock
from broker.core.events import Events


class Audited:
    """An audit log, its events, and what is in the file."""

    def __init__(self, path: Path, *, objects: bool = False) -> None:
        self.path = path
        self.clock = ManualClock()
        self.events = Events(self.clock)
        self.audit = AuditLog(str(path), self.clock, objects=objects)
        self.events.listen(self.audit.on_event)

    def lines(self) -> list[dict[str, Any]]:
        self.clock.pass_ms(1)
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    made = Audited(tmp_path / "audit.json")
    yield made
    made.audit.close()


def test_a_change_says_who_and_when(audited: Audited) -> None:
    audited.clock.pass_ms(1_767_225_600_123 - audited.clock.now_ms)
    audited.events.act_as("admin", audited.events.tell, "user.deleted", name="bob")

    (line,) = audited.lines()

    assert line == {"time": "2026-01-01T00:00:00.123Z", "event": "user.deleted", "by": "admin", "name": "bob"}


def test_what_the_broker_does_by_itself_names_nobody(audited: Audited) -> None:
    audited.events.tell("vhost.created", name="/")

    assert "by" not in audited.lines()[0]


def test_objects_are_told_where_that_is_asked_for(tmp_path: Path) -> None:
    few, many = Audited(tmp_path / "few"), Audited(tmp_path / "many", objects=True)
    for each in (few, many):
        for event in ("queue.created", "connection.created", "consumer.deleted", "mqtt.session.created"):
            each.events.tell(event, name="x")

    assert few.lines() == []
    assert [line["event"] for line in many.lines()] == ["queue.created"]


def test_no_secret_is_in_a_line(audited: Audited) -> None:
    value = {"uri": "amqp://u:s3cret@h"}
    audited.events.tell("parameter.set", component="shovel", name="s", value=value, password_hash="s3cret")

    (line,) = audited.lines()

    assert line["name"] == "s"
    assert "s3cret" not in audited.path.read_text()


def test_a_name_cannot_break_a_line_or_make_it_endless(audited: Audited) -> None:
    audited.events.tell("user.authentication.failure", name='x\n{"event":"user.created"}\u2028' + "y" * 5000)

    (line,) = audited.lines()

    assert line["event"] == "user.authentication.failure"
    assert len(line["name"]) == 1024


def test_requests_over_http_log_in_once_a_minute(audited: Audited) -> None:
    def log_in(outcome: str, name: str) -> None:
        fields = {"name": name, "peer_host": "10.0.0.1", "connection_type": "http"}
        audited.events.tell(f"user.authentication.{outcome}", **fields)

    for _ in range(3):
        log_in("success", "ann")
        log_in("failure", "eve")
    log_in("success", "bob")
    audited.clock.pass_ms(60_001)
    log_in("success", "ann")

    names = [line["name"] for line in audited.lines()]
    assert names.count("ann") == 2
    assert names.count("eve") == 3
    assert names.count("bob") == 1


def test_a_file_that_was_moved_away_is_begun_anew(audited: Audited) -> None:
    audited.events.tell("user.created", name="one")
    audited.clock.pass_ms(1)
    audited.path.rename(audited.path.with_suffix(".1"))
    audited.events.tell("user.created", name="two")

    audited.audit.reopen()
    audited.events.tell("user.created", name="three")

    assert [line["name"] for line in audited.lines()] == ["three"]
    old = audited.path.with_suffix(".1").read_text().splitlines()
    assert [json.loads(line)["name"] for line in old] == ["one", "two"]


def test_a_full_disk_is_one_warning_and_a_count(audited: Audited, caplog: pytest.LogCaptureFixture) -> None:
    audited.audit.close()
    audited.audit.path = "/dev/full"
    for _ in range(3):
        audited.events.tell("user.created", name="lost")
        audited.clock.pass_ms(1)

    assert (audited.audit.written, audited.audit.lost) == (0, 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]

    audited.audit.path = str(audited.path)
    audited.audit.reopen()
    audited.events.tell("user.created", name="kept")

    assert [line["name"] for line in audited.lines()] == ["kept"]
    assert "written again" in caplog.text


def test_what_was_written_in_part_is_taken_back(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    audited.events.tell("user.created", name="before")
    audited.lines()
    write = os.write

    def half(file: int, text: bytes) -> int:
        if len(text) < 40:
            raise OSError(28, "No space left on device")
        return write(file, text[:30])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        audited.events.tell("user.created", name="cut")
        audited.clock.pass_ms(1)
    audited.events.tell("user.created", name="after")

    assert [line["name"] for line in audited.lines()] == ["before", "after"]


def test_others_may_not_read_it(audited: Audited) -> None:
    assert audited.path.stat().st_mode & 0o007 == 0
