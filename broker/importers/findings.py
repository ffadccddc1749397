"""What an import makes, and what it has to say about it.

Owns the shape of both. Invariant: whatever the other broker was told and Hubbub is not, or is told otherwise, is a
finding; nothing is left out in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class ImportFailedError(Exception):
    """The file cannot be read at all. The text is for the operator."""


class Finding(NamedTuple):
    """One line: `place: what: text`. `place` is `file:line`, or a section of definitions."""

    place: str
    what: str
    text: str

    def __str__(self) -> str:
        """For the operator."""
        return f"{self.place}: {self.what}: {self.text}"


@dataclass
class Imported:
    """`settings`: sections by name, as in hubbub.yaml; `definitions`: as RabbitMQ exports them."""

    settings: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By name: the setting that is to name it, and its text."""

    def put(self, key: str, value: Any) -> None:
        """One setting, by its key with dots."""
        *sections, name = key.split(".")
        inner = self.settings
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value

    def get(self, key: str) -> Any:
        """What was put; None where nothing was."""
        value: Any = self.settings
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def say(self, place: str, what: str, text: str) -> None:
        """One more finding."""
        self.findings.append(Finding(place, what, text))
