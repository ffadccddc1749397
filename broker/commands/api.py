"""A running broker's HTTP API, for commands: requests, and what goes wrong in words for the operator.

Owns the login and where the broker is. An answer that is no success, or no answer, ends the command with one line and
exit code 1: `CommandFailed`.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import quote

import click

TIMEOUT_S = 60.0
NOT_WELL = 503


class CommandFailed(click.ClickException):
    """One line for the operator; exit code 1."""

    def show(self, file: Any = None) -> None:
        """On standard error, as every other error of the command."""
        click.echo(f"hubbub: {self.message}", err=True)


class Api:
    """One broker, as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self.user = user
        self.password = password
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """`path` below /api. The decoded answer; None where there is none. Raises CommandFailed."""
        url = f"{self.url}/api/{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Authorization": self.login, **(headers or {})}, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise CommandFailed(self.reason(error)) from None
        except (OSError, ValueError) as error:
            raise CommandFailed(f"no broker answers on {self.url}: {getattr(error, 'reason', error)}") from None
        return json.loads(text) if text else None

    def reason(self, error: urllib.error.HTTPError) -> str:
        """What the broker says of a request that it refuses."""
        try:
            said = json.loads(error.read())
            reason = said.get("reason") or said.get("error")
        except (ValueError, AttributeError):
            reason = error.reason
        return f"the broker refused ({error.code}): {reason}"

    def health(self, path: str) -> Any:
        """A health check: what is not well is an answer, too (503)."""
        request = urllib.request.Request(f"{self.url}/api/{path}", headers={"Authorization": self.login})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == NOT_WELL:
                return json.loads(error.read())
            raise CommandFailed(self.reason(error)) from None
        except (OSError, ValueError) as error:
            raise CommandFailed(f"no broker answers on {self.url}: {getattr(error, 'reason', error)}") from None

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


def asks_broker(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its `api`, from options that every such command has."""

    @click.option(
        "--url",
        default="http://127.0.0.1:15672",
        envvar="HUBBUB_URL",
        show_default=True,
        show_envvar=True,
        help="The broker's HTTP API.",
    )
    @click.option("--user", "login_user", default="guest", envvar="HUBBUB_USER", show_default=True, show_envvar=True)
    @click.option("--password", "login_password", default="guest", envvar="HUBBUB_PASSWORD", show_envvar=True)
    @wraps(command)
    def with_api(url: str, login_user: str, login_password: str, **arguments: Any) -> None:
        command(Api(url, login_user, login_password), **arguments)

    return with_api  # fmt: skip


vhost_option = click.option("--vhost", default="/", show_default=True, help="The virtual host.")
json_option = click.option("--json", "as_json", is_flag=True, help="For scripts: the API's JSON instead of a table.")
