"""A running broker's HTTP API, for commands: requests, and what goes wrong in words for the operator.

Owns the login and where the broker is. An answer that is no success, or no answer, ends the command with one line and
exit code 1: `CommandFailed`.
"""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Any
from urllib.parse import quote

import click

from broker.commands.profiles import FILE_VARIABLE, Profile, ProfileError, chosen

TIMEOUT_S = 60.0
NOT_WELL = 503


class CommandFailed(click.ClickException):
    """One line for the operator; exit code 1."""

    def show(self, file: Any = None) -> None:
        """On standard error, as every other error of the command."""
        click.echo(f"hubbub: {self.message}", err=True)


class Api:
    """One broker, as one user."""

    def __init__(
        self, url: str, user: str, password: str, *, ca: str = "", certificate: str = "", key: str = ""
    ) -> None:
        """`ca`: who signs the broker's certificate; "": whom the system trusts. `certificate`, `key`: our own. PEM."""
        self.url = url.rstrip("/")
        self.user = user
        self.password = password
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.ca = ca
        self.certificate = certificate
        self.key = key

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """What is asked of the broker's certificate, for every protocol. Raises CommandFailed."""
        return context_of(self.ca, self.certificate, self.key)

    def open(self, request: urllib.request.Request, timeout_s: float = TIMEOUT_S) -> bytes:
        """The answer's body. Raises urllib.error.HTTPError, CommandFailed."""
        tls = self.tls if self.url.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=timeout_s, context=tls) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError) as error:
            raise CommandFailed(f"no broker answers on {self.url}: {getattr(error, 'reason', error)}") from None

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """`path` below /api. The decoded answer; None where there is none. Raises CommandFailed."""
        data = None if body is None else json.dumps(body).encode()
        asked = {"Authorization": self.login, **(headers or {})}
        try:
            request = urllib.request.Request(f"{self.url}/api/{path}", data, asked, method=method)
        except ValueError as error:
            raise CommandFailed(f"--url: expected http://… or https://…: {error}") from None
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            text = self.open(request)
        except urllib.error.HTTPError as error:
            raise CommandFailed(self.reason(error)) from None
        return json.loads(text) if text else None

    def reason(self, error: urllib.error.HTTPError) -> str:
        """What the broker says of a request that it refuses."""
        try:
            said = json.loads(error.read())
            reason = said.get("reason") or said.get("error")
            detail = said.get("hubbub", {}).get("detail")
            reason = f"{reason}: {detail}" if detail else reason
        except (ValueError, AttributeError):
            reason = error.reason
        return f"the broker refused ({error.code}): {reason}"

    def health(self, path: str) -> Any:
        """A health check: what is not well is an answer, too (503)."""
        request = urllib.request.Request(f"{self.url}/api/{path}", headers={"Authorization": self.login})
        try:
            return json.loads(self.open(request))
        except urllib.error.HTTPError as error:
            if error.code == NOT_WELL:
                return json.loads(error.read())
            raise CommandFailed(self.reason(error)) from None

    def get(self, path: str) -> Any:
        """GET."""
        return self.request("GET", path)

    def put(self, path: str, body: Any) -> None:
        """PUT."""
        self.request("PUT", path, body)

    def post(self, path: str, body: Any) -> Any:
        """POST."""
        return self.request("POST", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)


def path_of(*names: str) -> str:
    """Names as a path, each escaped: a vhost is `%2F`."""
    return "/".join(quote(name, safe="") for name in names)


def context_of(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """A client's. Raises CommandFailed."""
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except OSError as error:
        named = ", ".join(each for each in (ca, certificate, key) if each)
        raise CommandFailed(f"TLS: {named} cannot be used: {error}") from None
    return context


PLACE_OPTIONS = (
    click.option("--url", envvar="HUBBUB_URL", show_envvar=True, show_default="http://127.0.0.1:15672",
                 help="The broker's HTTP API."),
    click.option("--user", "login_user", envvar="HUBBUB_USER", show_envvar=True, show_default="guest"),
    click.option("--password", "login_password", envvar="HUBBUB_PASSWORD", show_envvar=True, show_default="guest"),
    click.option("--ca", envvar="HUBBUB_CA", show_envvar=True, help="https: who signs the broker's certificate (PEM)."),
    click.option("--certificate", envvar="HUBBUB_CERTIFICATE", show_envvar=True, help="https: our own (PEM)."),
    click.option("--key", envvar="HUBBUB_KEY", show_envvar=True, help="https: its key (PEM)."),
    click.option("--profile", envvar="HUBBUB_PROFILE", show_envvar=True,
                 help=f"All of these from a section of ~/.config/hubbub/client.yaml, or ${FILE_VARIABLE}."),
)  # fmt: skip


def asks_broker(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its `api`, from options that every such command has."""

    @wraps(command)
    def with_api(
        url: str | None,
        login_user: str | None,
        login_password: str | None,
        ca: str | None,
        certificate: str | None,
        key: str | None,
        profile: str | None,
        **arguments: Any,
    ) -> None:
        said = Profile(url=url, user=login_user, password=login_password, ca=ca, certificate=certificate, key=key)
        command(api_of(said, profile), **arguments)

    for option in reversed(PLACE_OPTIONS):
        with_api = option(with_api)
    return with_api


def api_of(said: Profile, profile: str | None) -> Api:
    """The broker that options and variables mean, and a profile where they say nothing. Raises CommandFailed."""
    try:
        found = chosen(profile)
    except ProfileError as error:
        raise CommandFailed(str(error)) from None
    return Api(
        said.url or found.url or "http://127.0.0.1:15672",
        said.user or found.user or "guest",
        said.password if said.password is not None else found.password if found.password is not None else "guest",
        ca=said.ca or found.ca or "",
        certificate=said.certificate or found.certificate or "",
        key=said.key or found.key or "",
    )


def changes_broker(command: Callable[..., None]) -> Callable[..., None]:
    """As `asks_broker`, for a command that has nothing to say: with --json it says that it is done."""

    @json_option
    @asks_broker
    @wraps(command)
    def with_answer(api: Api, as_json: bool, **arguments: Any) -> None:
        command(api, **arguments)
        if as_json:
            click.echo(json.dumps({"done": True}))

    return with_answer


vhost_option = click.option("--vhost", default="/", show_default=True, help="The virtual host.")
json_option = click.option("--json", "as_json", is_flag=True, help="For scripts: the API's JSON instead of a table.")
