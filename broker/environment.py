"""Settings from the process's environment, for containers: `HUBBUB_AMQP_PORT=5673` is `amqp.port`.

Owns how a key is spelled as a variable, and which variables begin like ours and are none of ours. Refuses to know what
the values mean.

    HUBBUB_ + key in capitals, _ for each dot     the value: YAML, as for `--set`; empty is as none, `null` is null
    the same + _FILE                              the value stands in that file: how containers are given secrets

Invariant: a variable that begins with HUBBUB_ is a setting, or one of the commands' own, or Kubernetes's, or an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PREFIX = "HUBBUB_"
FILE = "_FILE"
OF_COMMANDS = frozenset(
    PREFIX + name
    for name in ("CONFIG", "URL", "USER", "PASSWORD", "CA", "CERTIFICATE", "KEY", "PROFILE", "CLIENT_CONFIG")
)
"""What the command itself reads."""
SERVICE = re.compile(r"_SERVICE_(HOST|PORT\w*)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")
"""Kubernetes tells every pod so of a Service that is called `hubbub…`."""
SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")
"""… and `HUBBUB_METRICS_PORT=tcp://10.0.0.7:15692` of one that is called `hubbub-metrics`."""


class VariableError(ValueError):
    """A variable cannot be used. The text is for the operator."""


class Variable(NamedTuple):
    """One setting."""

    name: str
    key: str
    text: str


def name_of(key: str) -> str:
    """A key's variable."""
    return PREFIX + key.replace(".", "_").upper()


def variables(environment: Mapping[str, str], keys: Iterable[str]) -> Iterator[Variable]:
    """What the environment says of these keys. Raises VariableError."""
    names = {name_of(key): key for key in keys}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in OF_COMMANDS or not text or is_kubernetes(name, text):
            continue
        if name in names:
            yield Variable(name, names[name], text)
        elif name.endswith(FILE) and name.removesuffix(FILE) in names:
            yield Variable(name, names[name.removesuffix(FILE)], content_of(name, Path(text)))
        else:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise VariableError(f"{name}: expected {PREFIX} and a setting's key, got an unknown key{hint}")


def is_kubernetes(name: str, text: str) -> bool:
    """Whether it is a Service's."""
    return SERVICE.search(name) is not None or (name.endswith("_PORT") and SERVICE_URL.match(text) is not None)


def content_of(name: str, path: Path) -> str:
    """A file's text, without the end of its last line. Raises VariableError."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise VariableError(f"{name}: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise VariableError(f"{name}: {path}: expected UTF-8 text") from None
