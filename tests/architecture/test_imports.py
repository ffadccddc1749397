"""Who may import whom: the table of docs/architecture.md, over `import` and `cimport` in .py, .pyx and .pxd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A module belongs to the longest of these names that it begins with. It may import its own group and those listed.
ALLOWED: dict[str, set[str]] = {
    "storage": set(),
    "broker.wire": set(),
    "broker.core": {"storage"},
    "broker.amqp": {"broker.core", "broker.wire", "broker.version"},
    "broker.mqtt": {"broker.core", "broker.wire", "broker.version"},
    "broker.websocket": {"broker.wire", "broker.client", "broker.version"},
    "broker.net": {"broker.wire"},
    "broker.management": {"broker.core", "broker.version"},
    "broker.client": {"broker.core"},
    "broker.authentication": {"broker.core"},
    "broker.version": set(),
    "broker.limits": set(),
    "broker.logs": set(),
    "broker.sections": set(),
    "broker.authentication_settings": {"broker.sections"},
    "broker.telemetry_settings": {"broker.sections"},
    "broker.mqtt_settings": {"broker.sections"},
    "broker.environment": set(),
    "broker.settings_file": set(),
    "broker.config": {"broker.authentication_settings", "broker.environment", "broker.limits", "broker.logs",
                      "broker.mqtt_settings", "broker.telemetry_settings", "broker.sections", "broker.settings_file"},
    # The composition root, and what belongs to it, may know everything below it.
    "broker": {"storage", "broker.wire", "broker.core", "broker.net", "broker.amqp", "broker.mqtt", "broker.websocket",
               "broker.authentication", "broker.authentication_settings", "broker.client", "broker.management",
               "broker.telemetry_settings", "broker.mqtt_settings",
               "broker.sections",
               "broker.config", "broker.environment", "broker.limits", "broker.logs", "broker.settings_file",
               "broker.version"},
    "bridges": {"broker.client"},
}  # fmt: skip

# Not ours, and yet not for everybody: semantics and codecs run to completion and do not ask what time it is.
FORBIDDEN: dict[str, set[str]] = {
    "storage": {"asyncio"},
    "broker.wire": {"asyncio", "socket", "ssl"},
    "broker.core": {"asyncio", "socket", "ssl"},
    "broker.amqp": {"asyncio", "socket", "ssl"},
    "broker.mqtt": {"asyncio", "socket", "ssl"},
}

IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+(?:\s*(?:as\s+\w+)?\s*,\s*[\w.]+)*))", re.M)


def _sources() -> list[Path]:
    return sorted(
        path
        for package in ("storage", "broker", "bridges")
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".pyx", ".pxd", ".pyi"}
    )


def _group(module: str) -> str | None:
    """The row of the table that a module of ours stands in; None for other people's modules."""
    return max((name for name in ALLOWED if module == name or module.startswith(name + ".")), key=len, default=None)


def imported(text: str) -> Iterator[str]:
    """The modules that a source text imports, relative imports aside (this project has none)."""
    text = re.sub(r'"""(?:.|\n)*?"""', "", text)
    for found in IMPORT.finditer(text):
        if found.group(1):
            yield found.group(1)
        else:
            yield from (name.split()[0] for name in found.group(2).split(","))


@pytest.mark.parametrize("path", _sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_the_table_allows(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    group = _group(module)
    assert group is not None, f"{module} has no row in the table"
    for name in imported(path.read_text()):
        other = _group(name)
        if other is not None:
            assert other == group or other in ALLOWED[group], f"{module} ({group}) must not import {name} ({other})"
        assert name.partition(".")[0] not in FORBIDDEN.get(group, set()), f"{group} must not import {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in _sources() if {"core", "amqp", "mqtt"} & set(path.relative_to(ROOT).parts)],
    ids=lambda path: path.name,
)
def test_the_core_and_the_dialects_ask_only_their_clock_for_the_time(path: Path) -> None:
    assert not re.search(r"\btime\.time(_ns)?\(|\bmonotonic(_ns)?\(|\.now\(|\butcnow\(|clock_gettime", path.read_text())


def test_the_reader_of_imports_sees_every_form() -> None:
    text = '"""from broker.x import y"""\nimport a.b, c as d\nfrom e.f import g\nfrom h cimport i\n  cimport j\nx = 1\n'

    assert list(imported(text)) == ["a.b", "c", "e.f", "h", "j"]
    assert _group("broker.core.queue") == "broker.core"
    assert _group("broker.server") == "broker"
    assert _group("asyncio") is None
