"""Runtime parameters, and the limits of vhosts and users: values that operators set while the broker runs.

Owns their names and where they are kept. Parameters of components that do not exist here are kept and given back, so
that another broker's definitions pass through unharmed. Limits are numbers; a negative one is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from broker.core.errors import NotFound, PreconditionFailed
from broker.core.events import Events
from broker.core.policy_words import shown
from broker.core.stored import definitions
from storage.layout import Database, definition_key

RATES = ("max-messages-per-second", "max-bytes-per-second")
"""Ours, beside RabbitMQ's: how fast may be published (core.publish_rates)."""
VHOST_LIMITS = ("max-connections", "max-queues", *RATES)
USER_LIMITS = ("max-connections", "max-channels", *RATES)
LIMITS = ("vhost-limits", "user-limits")
"""The components under which limits are kept; they have events of their own."""
NAMES_MAX = 10_000
"""Parameters of all kinds together."""

Key = tuple[str, str, str]


class Parameters:
    """Of the whole broker. A parameter has a component, a vhost ("" where it is global) and a name."""

    def __init__(self, store: Any, events: Events) -> None:
        """Empty until `restore`. `events`: hears of what is set and cleared."""
        self.store = store
        self.events = events
        self.values: dict[Key, Any] = {}
        self.vhost_limits: dict[str, dict[str, int]] = {}
        self.user_limits: dict[str, dict[str, int]] = {}
        self.on_limits_changed: Callable[[str | None], None] = lambda user: None
        """Told whose limits have changed; None: a vhost's."""

    def restore(self) -> None:
        """Read everything."""
        for kept in definitions(self.store, "parameter"):
            self.values[(kept["component"], kept["vhost"], kept["name"])] = kept["value"]
        for (component, vhost, name), value in self.values.items():
            if component == "vhost-limits":
                self.vhost_limits[vhost] = value
            elif component == "user-limits":
                self.user_limits[name] = value

    def find(self, component: str | None = None, vhost: str | None = None) -> Iterator[tuple[Key, Any]]:
        """Those of a component, of a vhost, or all; limits are not listed among them."""
        for key, value in list(self.values.items()):
            if key[0].endswith("-limits"):
                continue
            if component in (None, key[0]) and vhost in (None, key[1]):
                yield key, value

    def get(self, component: str, vhost: str, name: str) -> Any:
        """One value. Raises NotFound."""
        try:
            return self.values[(component, vhost, name)]
        except KeyError:
            raise NotFound(f"no parameter '{name}' of component '{component}'") from None

    def put(self, component: str, vhost: str, name: str, value: Any) -> None:
        """Set one, with the open batch. Raises PreconditionFailed at the limit, or for what cannot be kept."""
        key = (component, vhost, name)
        if key not in self.values and len(self.values) >= NAMES_MAX:
            raise PreconditionFailed(f"there are {NAMES_MAX} parameters already")
        kept = {"component": component, "vhost": vhost, "name": name, "value": value}
        try:
            packed = msgpack.packb(kept)
        except (OverflowError, ValueError) as error:
            raise PreconditionFailed(f"the value of parameter '{name}' cannot be kept: {error}") from None
        self.values[key] = value
        self.store.put(Database.DEFINITIONS, definition_key("parameter", *key), packed)
        if component not in LIMITS:
            self.events.tell("parameter.set", **kept)

    def remove(self, component: str, vhost: str, name: str) -> None:
        """Forget one. Raises NotFound."""
        self.get(component, vhost, name)
        del self.values[(component, vhost, name)]
        self.store.delete(Database.DEFINITIONS, definition_key("parameter", component, vhost, name))
        if component not in LIMITS:
            self.events.tell("parameter.cleared", component=component, vhost=vhost, name=name)

    def forget_vhost(self, vhost: str) -> None:
        """The vhost is gone, and with it what was set for it."""
        self.vhost_limits.pop(vhost, None)
        for component, of, name in list(self.values):
            if of == vhost and vhost:
                self.remove(component, of, name)

    # ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_vhost_limit(self, vhost: str, name: str, value: Any) -> None:
        """`max-connections` or `max-queues`. Raises PreconditionFailed."""
        limits = changed_limits(self.vhost_limits.get(vhost, {}), name, value, VHOST_LIMITS, "limits")
        self.vhost_limits[vhost] = limits
        self.put("vhost-limits", vhost, "limits", limits)
        self.events.tell("vhost.limits.set", name=vhost, limits=limits)
        self.on_limits_changed(None)

    def set_user_limit(self, user: str, name: str, value: Any) -> None:
        """`max-connections` or `max-channels`. Raises PreconditionFailed."""
        limits = changed_limits(self.user_limits.get(user, {}), name, value, USER_LIMITS, "user-limits")
        self.user_limits[user] = limits
        self.put("user-limits", "", user, limits)
        self.events.tell("user.limits.set", name=user, limits=limits)
        self.on_limits_changed(user)

    def clear_vhost_limit(self, vhost: str, name: str) -> None:
        """No limit any more."""
        limits = {word: value for word, value in self.vhost_limits.get(vhost, {}).items() if word != name}
        self.vhost_limits[vhost] = limits
        self.put("vhost-limits", vhost, "limits", limits)
        self.events.tell("vhost.limits.cleared", name=vhost, limit=name)
        self.on_limits_changed(None)

    def clear_user_limit(self, user: str, name: str) -> None:
        """No limit any more."""
        limits = {word: value for word, value in self.user_limits.get(user, {}).items() if word != name}
        self.user_limits[user] = limits
        self.put("user-limits", "", user, limits)
        self.events.tell("user.limits.cleared", name=user, limit=name)
        self.on_limits_changed(user)

    def vhost_limit(self, vhost: str, name: str) -> int | None:
        """The limit, or None where there is none."""
        value = self.vhost_limits.get(vhost, {}).get(name, -1)
        return value if value >= 0 else None

    def user_limit(self, user: str, name: str) -> int | None:
        """The limit, or None where there is none."""
        value = self.user_limits.get(user, {}).get(name, -1)
        return value if value >= 0 else None


def changed_limits(
    limits: dict[str, int], name: str, value: object, known: tuple[str, ...], kind: str
) -> dict[str, int]:
    """The limits with one more. Raises PreconditionFailed for an unknown name, or what is no number."""
    opening, end = ("Validation failed\n\n", "\n") if kind == "limits" else ("", "")  # as RabbitMQ says it
    if name not in known:
        raise PreconditionFailed(
            f"{opening}Unrecognised terms [{name}] in {kind}: expected one of {', '.join(known)}{end}"
        )
    if isinstance(value, bool) or not isinstance(value, int):
        raise PreconditionFailed(f"{opening}{name} should be a number, actually was {shown(value)}{end}")
    return {**limits, name: value}
