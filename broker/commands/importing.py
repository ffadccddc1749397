"""`hubbub import …`: from RabbitMQ's definitions and Mosquitto's configuration.

Writes files and changes no broker: settings are for `hubbub serve --config`, definitions for `hubbub definitions
import`. What will differ is said line by line.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import yaml

from broker import config
from broker.commands.api import CommandFailed, json_option
from broker.importers import mosquitto, rabbitmq, rabbitmq_conf
from broker.importers.findings import Imported, ImportFailedError


@click.group("import")
def import_group() -> None:
    """Take over what another broker was told; says what will differ."""


def writes_files(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every such command has."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Only say what would differ."),
        click.option(
            "--to",
            "directory",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path(),
            show_default=".",
            help="Where the files go; those that are there are not written over.",
        ),
    ):
        command = option(command)
    return command


@import_group.command("rabbitmq")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@writes_files
def import_rabbitmq(file: Path, directory: Path, dry_run: bool, as_json: bool) -> None:
    """Take FILE, RabbitMQ's definitions as JSON, into definitions.json, or a rabbitmq.conf into hubbub.yaml.

    Definitions come from `rabbitmqctl export_definitions FILE`, or GET /api/definitions.
    """
    read = rabbitmq_conf.read_conf if file.suffix == ".conf" else rabbitmq.read
    finish(taken(read, file), directory, dry_run, as_json)


@import_group.command("mosquitto")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@writes_files
def import_mosquitto(file: Path, directory: Path, dry_run: bool, as_json: bool) -> None:
    """Take FILE, a mosquitto.conf with what it includes, into hubbub.yaml."""
    finish(taken(mosquitto.read, file), directory, dry_run, as_json)


def taken(read: Callable[[Path], Imported], file: Path) -> Imported:
    """What an importer makes of the file."""
    try:
        return read(file)
    except ImportFailedError as error:
        raise CommandFailed(str(error)) from None


def finish(imported: Imported, directory: Path, dry_run: bool, as_json: bool) -> None:
    """Say what will differ, and write."""
    counts = {name: len(rows) for name, rows in imported.definitions.items() if rows}
    problem = problem_of(imported)
    files = [] if dry_run else written(imported, directory)
    if as_json:
        found = [finding._asdict() for finding in imported.findings]
        click.echo(json.dumps({"findings": found, "taken": counts, "problem": problem, "files": list(map(str, files))}))
        return
    for finding in imported.findings:
        click.echo(str(finding))
    if counts:
        click.echo("taken: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
    if problem:
        click.echo(f"hubbub.yaml cannot be used as it is: {problem}")
    for path in files:
        click.echo(f"written: {path}" + (f"; {NEXT[path.name]} {path}" if path.name in NEXT else ""))


NEXT = {
    "hubbub.yaml": "start with: hubbub serve --config",
    "definitions.json": "take it into a running broker with: hubbub definitions import",
}
"""What to do with the files."""


def written(imported: Imported, directory: Path) -> list[Path]:
    """The files."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {}
    for name, (key, text) in imported.files.items():
        imported.put(key, str((directory / name).resolve()))
        texts[name] = text
    if imported.settings:
        texts["hubbub.yaml"] = yaml.safe_dump(imported.settings, sort_keys=False, allow_unicode=True)
    if imported.definitions:
        texts["definitions.json"] = json.dumps(imported.definitions, indent=2) + "\n"
    return [write(directory / name, text) for name, text in texts.items()]


def problem_of(imported: Imported) -> str:
    """Why the settings cannot be used; "" where they can."""
    if not imported.settings:
        return ""
    with tempfile.TemporaryDirectory() as directory:
        *_, path = written(Imported(copy.deepcopy(imported.settings), files=imported.files), Path(directory))
        try:
            config.load(path)
        except config.ConfigError as error:
            return str(error).removeprefix(f"{path.parent}/")
    return ""


def write(path: Path, text: str) -> Path:
    """A new file, for its owner only: it may hold passwords and hashes."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already") from None
    path.write_text(text, encoding="utf-8")
    return path


COMMANDS = (import_group,)
