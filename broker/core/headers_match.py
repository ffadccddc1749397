"""The headers exchange: which bindings' arguments match a message's headers (AMQP 0-9-1 §3.1.3.4, RabbitMQ's x-match).

Owns the index of one exchange's bindings. Refuses to know what a destination is.

A binding is found by its index entries instead of by looking at every binding: an `all` binding stands under one of
its conditions, the rarest, and is then compared whole; an `any` binding stands under each. So a message costs what its
headers select.

Invariant: a binding that can match stands under a (name, value) that the message must have, or under `everything`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from broker.core.arguments import shown, type_name
from broker.core.errors import BindingInvalid

X_MATCH = "x-match"
X_MATCHES = ("all", "any", "all-with-x", "any-with-x")
PRESENT = ("present",)
"""The condition that the header is there, whatever its value."""

Condition = tuple[str, Any]


def comparable(value: object) -> Any:
    """`value` in a form that is equal exactly where RabbitMQ finds the values equal, and can be hashed.

    1, 1.0 and true are three different values; a timestamp is a number, and bytes are bytes whatever their field type.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int", int(value))
    if isinstance(value, float):
        return ("float", value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Mapping):
        return ("table", tuple((name, comparable(inner)) for name, inner in sorted(value.items())))
    if isinstance(value, list | tuple):
        return ("array", tuple(comparable(inner) for inner in value))
    if isinstance(value, Decimal):
        return ("decimal", value.as_tuple())
    return ("void",) if value is None else ("other", value)


class Row:
    """One binding, prepared for matching."""

    __slots__ = ("conditions", "destination", "match_all")

    def __init__(self, arguments: Mapping[str, object], destination: Any) -> None:
        """Raises BindingInvalid for an `x-match` that does not exist."""
        x_match = check_x_match(arguments)
        with_x = x_match.endswith("-with-x")
        self.match_all = x_match.startswith("all")
        self.destination = destination
        # A binding's value of no type asks only whether the header is there.
        self.conditions: tuple[Condition, ...] = tuple(
            sorted(
                (
                    (name, PRESENT if value is None else comparable(value))
                    for name, value in arguments.items()
                    if name != X_MATCH and (with_x or not name.startswith("x-"))
                ),
                key=repr,
            )
        )

    def equals(self, other: Row) -> bool:
        """True where both are the same rule for the same destination."""
        return (
            self.destination is other.destination
            and self.match_all == other.match_all
            and self.conditions == other.conditions
        )


def check_x_match(arguments: Mapping[str, object]) -> str:
    """The binding's `x-match`; "all" where there is none. Raises BindingInvalid with RabbitMQ's texts."""
    x_match = arguments.get(X_MATCH, "all")
    if not isinstance(x_match, str):
        raise BindingInvalid(
            f"Invalid x-match field type {type_name(x_match)} (value {shown(x_match)}); expected longstr"
        )
    if x_match not in X_MATCHES:
        raise BindingInvalid(
            f'Invalid x-match field value <<"{x_match}">>; expected all, any, all-with-x, or any-with-x'
        )
    return x_match


class HeadersBindings:
    """The bindings of one headers exchange."""

    def __init__(self) -> None:
        """Without bindings."""
        self.by_condition: dict[Condition, list[Row]] = {}
        self.everything: list[Row] = []

    def add(self, arguments: Mapping[str, object], destination: Any) -> None:
        """Add a binding; the same twice counts twice. Raises BindingInvalid."""
        row = Row(arguments, destination)
        if not row.match_all:
            # An empty `any` matches nothing and stands nowhere.
            for condition in row.conditions:
                self.by_condition.setdefault(condition, []).append(row)
        elif row.conditions:
            rarest = min(row.conditions, key=lambda condition: len(self.by_condition.get(condition, ())))
            self.by_condition.setdefault(rarest, []).append(row)
        else:
            self.everything.append(row)

    def remove(self, arguments: Mapping[str, object], destination: Any) -> bool:
        """Remove one such binding; False where there is none."""
        wanted = Row(arguments, destination)
        standing = [(condition, self.by_condition.get(condition, [])) for condition in wanted.conditions]
        row = next(
            (row for rows in [self.everything, *(rows for _, rows in standing)] for row in rows if row.equals(wanted)),
            None,
        )
        if row is None:
            return False
        for rows in [self.everything, *(rows for _, rows in standing)]:
            if row in rows:
                rows.remove(row)
        for condition, rows in standing:
            if not rows:
                self.by_condition.pop(condition, None)
        return True

    def match(self, headers: Mapping[str, object]) -> list[Any]:
        """The destinations whose bindings match, each once."""
        found = {id(row.destination): row.destination for row in self.everything}
        if self.by_condition and headers:
            conditions = {(name, comparable(value)) for name, value in headers.items()}
            conditions.update((name, PRESENT) for name in headers)
            for condition in conditions:
                for row in self.by_condition.get(condition, ()):
                    if not row.match_all or conditions.issuperset(row.conditions):
                        found[id(row.destination)] = row.destination
        return list(found.values())
