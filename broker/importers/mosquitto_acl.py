"""Mosquitto's ACL file as the rules of `mqtt.acls`.

    user NAME                                   what follows is this user's; before the first: of clients without a name
    topic [read|write|readwrite|deny] FILTER
    pattern [read|write|readwrite|deny] FILTER  everybody's; %c the client identifier, %u the user

Owns the file's words and the order in which Mosquitto asks. Invariant: with a file only what is listed is allowed; the
order here, where the first rule that fits decides, is Mosquitto's: a user's denials, its grants, then those of the
patterns likewise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from broker.importers.findings import Imported, ImportFailedError

ACCESS = {"read": "subscribe", "write": "publish", "readwrite": "all", "deny": "all"}
RULES_MAX = 10_000


def read_rules(imported: Imported, path: Path, anonymous: str | None) -> list[dict[str, Any]]:
    """The rules in order. `anonymous`: as whom clients without a name act; None: there are none. ImportFailedError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ImportFailedError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ImportFailedError(f"{path}: expected UTF-8 text") from None
    user, is_named, unused = anonymous, False, 0
    ordered: tuple[list[dict[str, Any]], ...] = ([], [], [], [])
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        place = f"{path}:{number}"
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if not rest or word not in ("user", "topic", "pattern"):
            raise ImportFailedError(f"{place}: expected user, topic or pattern, and what it is about")
        if word == "user":
            user, is_named = rest, True
        elif word == "topic" and not is_named and anonymous is None:
            unused += 1
        else:
            access, topic = split(rest)
            if word == "topic" and {"%c", "%u"}.intersection(topic.split("/")):
                imported.say(place, "topic", f"{topic}: %c and %u stand for names here, and not for themselves")
            rule: dict[str, Any] = {
                "permission": "deny" if access == "deny" else "allow",
                "topic": topic,
                "action": ACCESS[access],
            }
            if word == "topic":
                rule["user"] = user
            ordered[(word == "pattern") * 2 + (access != "deny")].append(rule)
    if unused:
        imported.say(str(path), "topic", f"{unused} rules for clients without a name, who may not come in: left out")
    rules = [rule for part in ordered for rule in part]
    if len(rules) > RULES_MAX:
        raise ImportFailedError(f"{path}: expected at most {RULES_MAX} rules, got {len(rules)}")
    return rules


def split(rest: str) -> tuple[str, str]:
    """The access, readwrite where none is named, and the filter, which may hold spaces where one is."""
    access, space, topic = rest.partition(" ")
    if space and access in ACCESS:
        return access, topic.strip()
    return "readwrite", rest
