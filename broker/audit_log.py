"""The audit log: who logged in or was refused, and who changed what, as JSON lines in a file of its own.

    {"time":"2026-01-31T12:00:00.000Z","event":"user.authentication.failure","name":"eve","peer_host":"10.0.0.7",…}
    {"time":"2026-01-31T12:00:01.000Z","event":"permission.created","by":"admin","vhost":"/","user":"bob",…}

Owns the file, and which of core.events' events go into it. Refuses to know who tells them.

Invariants: a secret is in no line, whatever events have in them; what cannot be written is counted, warned of once, and
stops nothing; lines are appended whole, and the file may be moved away at any time: SIGHUP opens it anew.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from typing import Any

from broker.core.events import INTERNAL_USER, Event

log = logging.getLogger("hubbub.audit")

LOGIN = "user.authentication."
CHANGES = ("user.", "permission.", "topic.", "vhost.", "policy.", "parameter.", "api.")
OBJECTS = ("queue.", "exchange.", "binding.")
WITHHELD = {"value", "password", "password_hash", "client_properties"}
"""Fields that may hold a secret: a parameter's value, such as a shovel's, has URLs with passwords."""
TEXT_MAX = 1024
REPEATED_MS = 60_000
"""Requests to the HTTP API log in each for itself: the same user from the same address is told once in so long."""
REPEATED_MAX = 10_000


class AuditLog:
    """One file. `written`, `lost`: lines."""

    def __init__(self, path: str, clock: Any, *, objects: bool) -> None:
        """Opens the file. Raises OSError. `objects`: also what is declared and deleted by whom."""
        self.path = path
        self.clock = clock
        self.prefixes = CHANGES + OBJECTS if objects else CHANGES
        self.written = 0
        self.lost = 0
        self._waiting: list[bytes] = []
        self._is_failing = False
        self._logged_in: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._file = self._open()

    def on_event(self, event: Event) -> None:
        """See core.events.Listener. The lines of a turn are written together when it is over."""
        if not event.name.startswith(self.prefixes) or self._is_repeated(event):
            return
        if not self._waiting:
            self.clock.call_at(self.clock.now_ms, self.flush)
        self._waiting.append(line(event))

    def flush(self) -> None:
        """Write what waits. A failure is counted, and a warning once until it is over."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            if self._file is None:
                self._file = self._open()
            self._write(b"".join(waiting))
        except OSError as error:
            self.lost += len(waiting)
            if not self._is_failing:
                log.error("the audit log cannot be written: %s", error.strerror, extra={"path": self.path})
            self._is_failing = True
            return
        self.written += len(waiting)
        if self._is_failing:
            log.warning("the audit log is written again", extra={"path": self.path, "lost": self.lost})
        self._is_failing = False

    def reopen(self) -> None:
        """The file was moved away: begin a new one under its name."""
        self.flush()
        self.close()
        try:
            self._file = self._open()
        except OSError as error:
            log.error("the audit log cannot be opened: %s", error.strerror, extra={"path": self.path})

    def close(self) -> None:
        """Write what waits, and close the file."""
        self.flush()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int | None:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _write(self, text: bytes) -> None:
        """All of it, or nothing: where the disk is full in the midst, what was written of it is taken back."""
        assert self._file is not None
        left = text
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            if len(left) < len(text):
                os.ftruncate(self._file, os.fstat(self._file).st_size - (len(text) - len(left)))
            raise

    def _is_repeated(self, event: Event) -> bool:
        """A success over HTTP that was told a moment ago."""
        fields = event.fields
        if event.name != LOGIN + "success" or fields.get("connection_type") != "http":
            return False
        who = (fields.get("name", ""), fields.get("peer_host", ""))
        told_ms = self._logged_in.get(who)
        if told_ms is not None and event.at_ms - told_ms < REPEATED_MS:
            return True
        self._logged_in[who] = event.at_ms
        self._logged_in.move_to_end(who)
        while len(self._logged_in) > REPEATED_MAX:
            self._logged_in.popitem(last=False)
        return False


def line(event: Event) -> bytes:
    """One event, with its newline."""
    seconds, milliseconds = divmod(event.at_ms, 1000)
    told: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{milliseconds:03}Z",
        "event": event.name,
    }
    if event.user != INTERNAL_USER:
        told["by"] = event.user
    told |= {name: shortened(value) for name, value in event.fields.items() if name not in WITHHELD}
    return json.dumps(told, ensure_ascii=True, default=lambda value: str(value)[:TEXT_MAX]).encode() + b"\n"


def shortened(value: Any) -> Any:
    """A peer chooses how long some texts are."""
    return value[:TEXT_MAX] if isinstance(value, str) else value
