"""Where brokers are and as whom they are asked, from a file: what would be typed with every command.

    default:                       used where no profile is named
      url: https://broker:15671
      user: ann
      password: secret
      ca: /etc/ssl/our-ca.pem
    staging: {url: http://10.0.0.9:15672}

Owns the file: `client.yaml` in `$XDG_CONFIG_HOME/hubbub` (~/.config/hubbub), or the one that $HUBBUB_CLIENT_CONFIG
names.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import yaml

FILE_VARIABLE = "HUBBUB_CLIENT_CONFIG"
DEFAULT = "default"


class ProfileError(Exception):
    """The file cannot be used. The text is for the operator."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One broker; None: nothing is said of it."""

    url: str | None = None
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def path() -> Path:
    """Where the file is."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.environ.get(FILE_VARIABLE) or f"{home}/hubbub/client.yaml").expanduser()


def chosen(name: str | None) -> Profile:
    """The profile of this name; without one `default`, where there is any. Raises ProfileError."""
    file = path()
    if not file.exists() and FILE_VARIABLE not in os.environ and name is None:
        return Profile()
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        profiles = msgspec.convert(tree, dict[str, Profile])
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: expected YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise ProfileError(f"{file}: {error}") from None
    if name is not None and name not in profiles:
        raise ProfileError(f"{file}: there is no profile {name}; expected one of {', '.join(sorted(profiles))}")
    return profiles.get(name or DEFAULT, Profile())
