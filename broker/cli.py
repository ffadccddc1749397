"""The `hubbub` command.

Owns what the operator types and reads. Refuses to know how anything is done: `server` serves, `config` reads settings.

Exit codes: 0 done, 1 it did not work, 2 the command or the configuration is wrong. Never a traceback for what the
operator can mend.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from broker import config, logs
from broker.authentication.backend import SetupError
from broker.commands import (
    acls,
    checks,
    completion,
    connections,
    conversations,
    definitions,
    examples,
    explain,
    importing,
    lists,
    messages,
    moving,
    objects,
    operation,
    passwords,
    perf,
    policies,
    top,
    traces,
    users,
    vhosts,
)
from broker.commands.api import Api, asks_broker, json_option
from broker.net.listener import ListenError
from broker.net.tls import TlsError
from broker.version import VERSION
from storage.errors import StoreError, StoreLockedError

FAMILIES = (
    lists,
    checks,
    messages,
    conversations,
    moving,
    objects,
    top,
    perf,
    completion,
    connections,
    users,
    passwords,
    acls,
    vhosts,
    policies,
    definitions,
    explain,
    importing,
    operation,
    traces,
)
"""One a line: each module's `COMMANDS` are commands of `hubbub`."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HUBBUB_CONFIG",
    show_envvar=True,
    help="A YAML file with settings.",
)
data_dir_option = click.option("--data-dir", type=str, help="Where the store is. Overrides `data_dir` of the settings.")
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting, with dots: amqp.port=5673."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="hubbub")
def main() -> None:
    """Hubbub, a message broker."""


@main.command()
@config_option
@data_dir_option
@set_option
def serve(config_path: Path | None, data_dir: str | None, assignments: tuple[str, ...]) -> None:
    """Run the broker until SIGTERM or SIGINT."""
    from broker import server  # the compiled core: a command that only reads settings need not load it

    again = partial(config.load, config_path, assignments, data_dir=data_dir, environment=os.environ)
    settings = _load(config_path, assignments, data_dir)
    logs.configure(settings.log.format, settings.log.level)
    try:
        server.run(settings, again)
    except (StoreError, ListenError, TlsError, SetupError, OSError) as error:
        _fail(str(error))


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@config_option
@data_dir_option
@set_option
@json_option
@asks_broker
def backup(
    api: Api,
    directory: Path,
    config_path: Path | None,
    data_dir: str | None,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a consistent copy of the store to DIRECTORY, which must not exist or be empty.

    A running broker is asked through its HTTP API (where --config or --set are given, on their management port), and
    goes on meanwhile. Where none runs, --data-dir is opened.
    """
    settings = _load(config_path, assignments, data_dir)
    directory = directory.resolve()
    if directory.exists() and any(directory.iterdir()):
        _fail(f"{directory} is not empty")
    if data_dir is not None:
        try:
            _backup_offline(settings, directory)
        except StoreLockedError:
            pass  # it runs: ask it
        except (StoreError, OSError) as error:
            _fail(str(error))
        else:
            said = f"backed up {settings.data_dir} to {directory}"
            click.echo(json.dumps({"directory": str(directory), "online": False}) if as_json else said)
            return
    if config_path is not None or assignments:
        api.url = _management_url(settings)
    api.post("hubbub/backup", {"directory": str(directory)})
    said = f"the broker has backed up its store to {directory}"
    click.echo(json.dumps({"directory": str(directory), "online": True}) if as_json else said)


@main.group("config")
def config_group() -> None:
    """Look at settings."""


@config_group.command("check")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check(path: Path, as_json: bool) -> None:
    """Say whether the file PATH is a valid configuration, whatever the environment says."""
    _load(path, (), None, {})
    click.echo(json.dumps({"valid": True}) if as_json else f"{path}: valid")


@config_group.command("show")
@config_option
@data_dir_option
@set_option
@json_option
def show(config_path: Path | None, data_dir: str | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Print all settings as `serve` would have them, as YAML; passwords are hidden."""
    found = config.shown(_load(config_path, assignments, data_dir))
    click.echo(json.dumps(found, indent=2) if as_json else config.dumped(found), nl=as_json)


@config_group.command("running")
@asks_broker
@json_option
def running(api: Api, as_json: bool) -> None:
    """Print the settings that are in force in a running broker; passwords are hidden. For administrators."""
    found = api.get("hubbub/config")
    click.echo(json.dumps(found, indent=2) if as_json else config.dumped(found), nl=as_json)


for family in FAMILIES:
    for command in family.COMMANDS:
        main.add_command(command)
examples.add(main)


def _load(
    path: Path | None,
    assignments: tuple[str, ...],
    data_dir: str | None,
    environment: Mapping[str, str] = os.environ,
) -> config.Settings:
    try:
        return config.load(path, assignments, data_dir=data_dir, environment=environment)
    except config.ConfigError as error:
        click.echo(f"hubbub: {error}", err=True)
        sys.exit(2)


def _backup_offline(settings: config.Settings, directory: Path) -> None:
    from storage.lmdb_store import LmdbStore

    if not Path(settings.data_dir).is_dir():
        _fail(f"{settings.data_dir}: there is no such data directory")
    store = LmdbStore(settings.data_dir, journal_bytes=settings.durability.journal_bytes)
    try:
        store.backup(str(directory))
    finally:
        store.abandon()


def _management_url(settings: config.Settings) -> str:
    management = settings.management
    port, scheme = (management.port, "http") if management.port is not None else (management.tls_port, "https")
    if port is None:
        _fail("the broker has no management port to ask")
    address = {"::": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(management.address, management.address)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def _fail(text: str) -> None:
    click.echo(f"hubbub: {text}", err=True)
    sys.exit(1)
