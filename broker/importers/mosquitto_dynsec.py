"""The store of Mosquitto's dynamic security plugin (`dynamic-security.json`) as a password file and `mqtt.acls`.

    clients ─▶ name:$7$ITERATIONS$SALT$HASH, a line each (mosquitto_passwd's format)
    roles, groups ─▶ for each client its roles' ACLs, then its groups', each in the order of their priorities

Owns the plugin's words and the order in which it asks. Invariant: nobody may read or write here what they might not
there. Mosquitto asks when a client subscribes and again when it is sent something; here one rule stands for both, so
what is granted is what both grant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from broker.importers.findings import Imported, ImportFailedError

Row = dict[str, Any]
RULES_MAX = 10_000
SEND, RECEIVE, LITERAL, PATTERN = "publishclientsend", "publishclientreceive", "subscribeliteral", "subscribepattern"
CONTROL = "$CONTROL"


class Acl(NamedTuple):
    """One of a role's."""

    kind: str
    topic: str
    allow: bool


def read_store(imported: Imported, path: Path, anonymous: str | None) -> tuple[str, list[Row]]:
    """The password file's text, and the rules. `anonymous`: as whom clients without a name act. ImportFailedError."""
    try:
        store = json.loads(path.read_text(encoding="utf-8"))
        return Store(imported, path, store).taken(anonymous)
    except OSError as error:
        raise ImportFailedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ImportFailedError(f"{path}: expected JSON: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ImportFailedError(f"{path}: expected clients, groups and roles of dynamic security: {error!r}") from None


class Store:
    """One file, being read."""

    def __init__(self, imported: Imported, path: Path, store: Row) -> None:
        self.imported = imported
        self.place = str(path)
        self.clients: list[Row] = store.get("clients", [])
        self.groups: Row = {each["groupname"]: each for each in store.get("groups", [])}
        self.anonymous_group: str | None = store.get("anonymousGroup")
        given = {name.lower(): bool(allow) for name, allow in store.get("defaultACLAccess", {}).items()}
        self.defaults = {SEND: False, RECEIVE: True, "subscribe": False, **given}
        self.roles: dict[str, list[Acl]] = {each["rolename"]: list(self.acls(each)) for each in store.get("roles", [])}

    def taken(self, anonymous: str | None) -> tuple[str, list[Row]]:
        """Passwords and rules."""
        lines, rules = [], []
        for client in self.clients:
            name = client["username"]
            if client.get("disabled"):
                self.say(f"client {name}", "is disabled: not taken")
                continue
            if client.get("clientid"):
                self.say(f"client {name}", "its client identifier is not asked for; mqtt.client_id has rules for all")
            if "password" in client:
                lines.append(f"{name}:$7${client.get('iterations', 101)}${client['salt']}${client['password']}\n")
            else:
                self.say(f"client {name}", "has no password: it cannot log in")
            rules += self.rules(name, self.acls_of(client))
        if anonymous is not None and self.anonymous_group is not None:
            rules += self.rules(anonymous, self.by_roles(self.groups[self.anonymous_group]))
        rules += self.otherwise()
        if len(rules) > RULES_MAX:
            raise ImportFailedError(f"{self.place}: expected at most {RULES_MAX} rules, got {len(rules)}")
        return "".join(lines), rules

    def say(self, what: str, text: str) -> None:
        """A finding."""
        self.imported.say(self.place, what, text)

    def acls(self, role: Row) -> Iterator[Acl]:
        """A role's, in the order in which they are asked."""
        name = f"role {role['rolename']}"
        if not role.get("allowwildcardsubs", True):
            self.say(name, "allowwildcardsubs is not taken: a subscription with wildcards is judged by what it covers")
        for each in sorted(role.get("acls", []), key=lambda acl: -acl.get("priority", 0)):
            kind, topic, allow = each["acltype"].lower(), each["topic"], bool(each["allow"])
            if topic.startswith(CONTROL):
                self.say(name, f"{topic}: there are no such topics; `hubbub user` and `hubbub acl` change rights")
            elif kind == LITERAL and not allow and ("#" in topic or "+" in topic):
                self.say(name, f"subscribeLiteral {topic} is denied to the letter there: not taken")
            elif kind in (SEND, RECEIVE, LITERAL, PATTERN):
                yield Acl(kind, topic, allow)

    def by_roles(self, holder: Row) -> list[Acl]:
        """Of a client's or a group's roles."""
        return [acl for name in in_order(holder.get("roles", []), "rolename") for acl in self.roles[name]]

    def acls_of(self, client: Row) -> list[Acl]:
        """Its own roles', then its groups'."""
        found = self.by_roles(client)
        memberships = [
            {"groupname": name, "priority": member.get("priority", 0)}
            for name, group in self.groups.items()
            for member in group.get("clients", [])
            if member["username"] == client["username"]
        ]
        for name in in_order(memberships, "groupname"):
            found += self.by_roles(self.groups[name])
        return found

    def rules(self, user: str, acls: list[Acl]) -> list[Row]:
        """A user's, in order."""
        sent = [rule(acl.allow, "publish", acl.topic, user) for acl in acls if acl.kind == SEND]
        received = [acl for acl in acls if acl.kind == RECEIVE]
        asked = [acl for acl in acls if acl.kind == LITERAL] + [acl for acl in acls if acl.kind == PATTERN]
        denied = [rule(False, "subscribe", acl.topic, user) for acl in received if not acl.allow]
        if denied and any(acl.allow for acl in received):
            self.say(f"client {user}", "publishClientReceive: what one role denies, no other grants here")
        is_open = self.defaults[RECEIVE] or any(acl.allow and acl.topic == "#" for acl in received)
        within = None if is_open else [acl.topic for acl in received if acl.allow]
        read = [
            rule(acl.allow, "subscribe", topic, user)
            for acl in asked
            for topic in ([acl.topic] if within is None or not acl.allow else narrowed(acl.topic, within))
        ]
        return [*sent, *denied, *read]

    def otherwise(self) -> list[Row]:
        """What holds for everybody where no rule of theirs fits."""
        found = []
        for action, allow in (("publish", self.defaults[SEND]), ("subscribe", self.defaults["subscribe"])):
            if allow and action == "subscribe" and not self.defaults[RECEIVE]:
                self.say("defaultACLAccess", "publishClientReceive is false: nothing may be subscribed to unasked")
            elif allow:
                found.append(rule(True, action, "#", None))
        return found


def in_order(rows: Iterable[Row], name: str) -> list[str]:
    """Names, the highest priority first, then by name."""
    return [row[name] for row in sorted(rows, key=lambda row: (-row.get("priority", 0), row[name]))]


def rule(allow: bool, action: str, topic: str, user: str | None) -> Row:
    """One rule of `mqtt.acls`."""
    found = {"permission": "allow" if allow else "deny", "topic": topic, "action": action}
    return found if user is None else {**found, "user": user}


def narrowed(topic: str, within: list[str]) -> list[str]:
    """What of a filter lies in these filters, as far as it is a filter itself."""
    if any(covers(each, topic) for each in within):
        return [topic]
    return [each for each in within if covers(topic, each)]


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches is one that `wide` matches."""
    wides, narrows = wide.split("/"), narrow.split("/")
    for index, level in enumerate(wides):
        if level == "#":
            return True
        if index == len(narrows) or narrows[index] == "#" or (level != "+" and level != narrows[index]):
            return False
    return len(wides) == len(narrows)
