"""The normative statements of MQTT 3.1.1 and 5: who each binds, and what it says in our words.

A line of the tables: the number without `MQTT-`, a letter, the words. The letter: S binds a server, C a client, B both
(a server's part is tested), W a server over WebSocket, X a server in a case that does not arise here; the case follows
a bar. Owns no tests: these carry `@clause("3.3.1-4")`, see `clauses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from tests.conformance import statements_3_1_1, statements_5
from tests.support.mqtt_codec import V5, V311

VERSIONS = {V311: "3.1.1", V5: "5"}


@dataclass(frozen=True)
class Statement:
    version: int
    number: str
    binds: str
    words: str
    reason: str

    @property
    def to_test(self) -> bool:
        """Whether a server that speaks MQTT over TCP must have a test of it."""
        return self.binds in "SB"


def _read(version: int, table: str) -> dict[tuple[int, str], Statement]:
    found = {}
    for line in table.strip().splitlines():
        number, binds, rest = line.split(" ", 2)
        words, _, reason = rest.partition(" | ")
        assert binds in "SCBWX", line
        assert (binds == "X") == bool(reason), line
        assert (version, number) not in found, line
        found[version, number] = Statement(version, number, binds, words, reason)
    return found


STATEMENTS = {**_read(V311, statements_3_1_1.TABLE), **_read(V5, statements_5.TABLE)}

Test = TypeVar("Test", bound=Callable[..., object])


def clause(v311: str = "", v5: str = "") -> Callable[[Test], Test]:
    """Names the statements that a test shows, by their numbers in each version, separated by spaces.

    The test runs once for each version that has any, with `version` as its argument.
    """
    numbers = {V311: v311.split(), V5: v5.split()}
    for version, each in numbers.items():
        for number in each:
            assert (version, number) in STATEMENTS, f"MQTT {VERSIONS[version]} has no [MQTT-{number}]"
    versions = [version for version, each in numbers.items() if each]

    def mark(test: Test) -> Test:
        parametrized: Test = pytest.mark.parametrize("version", versions, ids=[VERSIONS[each] for each in versions])(
            test
        )
        vars(parametrized)["clauses"] = numbers
        return parametrized

    return mark
