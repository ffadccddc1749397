"""A broker with everything of operations switched on at once, and the services around it.

Owns its files and its neighbours: certificates for two names, a password file, a web service, an authorization server,
a directory that is away, an OTLP collector, an audit log. What comes from OTHER_HOST is behind a load balancer, as it
says itself (PROXY protocol).
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from argon2 import PasswordHasher

from tests.support.authentication_service import authentication_service
from tests.support.certificates import Authority
from tests.support.otlp_collector import Collector, collector
from tests.support.server import HOST, HubbubServer, free_port
from tests.support.tokens import AuthorizationServer

OTHER_HOST = "127.0.0.2"
NAMED = "mqtt.example.org"


class Everything(HubbubServer):
    """`settings` go into its file, which `reload` changes; ports are told on the command line."""

    def __init__(self, directory: Path, issuer: AuthorizationServer, spans: Collector, service: Any) -> None:
        self.authority = Authority(directory / "certificates")
        self.issuer, self.spans, self.service = issuer, spans, service
        self.ports = {
            name: free_port()
            for name in ("amqp.tls_port", "mqtt.port", "mqtt.tls_port", "websocket.port", "websocket.tls_port",
                         "management.port", "metrics.port")
        }  # fmt: skip
        addresses = {f"{name}.address": HOST for name in ("mqtt", "websocket", "management", "metrics")}
        # Every address of this machine: OTHER_HOST connects there as well.
        super().__init__(directory, {**self.ports, **addresses, "amqp.address": "0.0.0.0"})
        self.path = directory / "hubbub.yaml"
        self.audit = directory / "audit.json"
        self.passwords = directory / "passwords"
        self.passwords.write_text(f"filed:{PasswordHasher(time_cost=1, memory_cost=64).hash('filed')}:management\n")
        self.rotate_certificates()
        self.write_settings()

    @property
    def command(self) -> Sequence[str]:
        return [*super().command, "--config", str(self.path)]

    def rotate_certificates(self) -> None:
        """New ones under the old names."""
        self.authority.issue("server")
        self.authority.issue("named", hosts=[NAMED])

    def write_settings(self, **changes: Any) -> None:
        """The file, with other settings at the top level."""
        files = self.authority.directory
        own = {"certificate": f"{files}/server.pem", "key": f"{files}/server.key", "ca": f"{files}/ca.pem"}
        named = {"certificate": f"{files}/named.pem", "key": f"{files}/named.key"}
        settings: dict[str, Any] = {
            "tls": {**own, "verify": "optional", "certificates": [named], "reload_interval_s": 1},
            "audit": {"file": str(self.audit), "objects": True},
            "log": {"format": "json", "stall_ms": 100},
            "telemetry": {"endpoint": self.spans.url, "share": 0.2},
            "events": {"exchange": True},
            "amqp": {"proxy_protocol": True},
            "proxy_protocol": {"trusted": [OTHER_HOST]},
            "mqtt": {
                "acl_default": "allow",
                "acls": [
                    {"permission": "deny", "topic": "secret/#"},
                    {"permission": "allow", "action": "publish", "topic": "noise/%c/#"},
                ],
                "sys_interval_s": 1,
                "session_messages_max": 100,
            },
            "authentication": {
                "backends": ["internal", "password_file", "http", "oauth", "ldap"],
                "cache_s": 1,
                "timeout_ms": 500,
                "password_file": {"path": str(self.passwords)},
                "http": self.service.paths(),
                "oauth": {"resource_server_id": "hub", "jwks_url": self.issuer.url},
                "ldap": {"url": "ldap://127.0.0.1:9", "user_dn_pattern": "uid={username},dc=example"},
            },
            **changes,
        }
        self.path.write_text(yaml.safe_dump(settings))

    # ── what an operator asks ─────────────────────────────────────────────────────────────────────────────────────────

    def api(self, method: str, path: str, body: Any = None, login: str = "guest:guest") -> tuple[int, Any]:
        """(status, decoded answer) of the HTTP API; OSError where it is away."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.ports['management.port']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(login.encode()).decode()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def metric(self, line: str) -> float:
        """The value of exactly this line of /metrics."""
        url = f"http://{HOST}:{self.ports['metrics.port']}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found = re.search(rf"^{re.escape(line)} (\S+)$", answer.read().decode(), re.M)
        assert found is not None, line
        return float(found.group(1))


def web_service(path: str, asked: dict[str, str]) -> str:
    """Knows one user, and refuses it what begins with `forbidden`."""
    if asked.get("username") != "remote":
        return "deny"
    if path == "user":
        return "allow management" if asked.get("password") == "remote" else "deny"
    return "deny" if asked.get("name", "").startswith("forbidden") else "allow"


@contextmanager
def everything(directory: Path) -> Iterator[Everything]:
    """The broker, not yet started, with its neighbours at work; killed at the end."""
    with ExitStack() as stack:
        issuer = AuthorizationServer()
        stack.callback(issuer.close)
        issuer.make_key("one")
        spans = stack.enter_context(collector())
        service = stack.enter_context(authentication_service(web_service))
        directory.mkdir(parents=True, exist_ok=True)
        broker = Everything(directory, issuer, spans, service)
        stack.callback(broker.kill)
        yield broker
