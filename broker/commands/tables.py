"""Answers as tables for people, or as JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

WIDTH_UNSEEN = 1000
"""Where nobody looks but a program, rows stay on their line."""


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """A row per object. A column may reach into an object by dots: `queue.name`."""
    found = list(rows)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = bool(found) and all(isinstance(value_at(row, column), int | float) for row in found)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in found:
        table.add_row(*(text_of(value_at(row, column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDTH_UNSEEN).print(table)


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column; None where there is none."""
    value: Any = row
    for step in column.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def text_of(value: Any) -> str:
    """A value for people."""
    if value is None or value == {} or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text_of(inner)}" for name, inner in value.items())
    return str(value)
