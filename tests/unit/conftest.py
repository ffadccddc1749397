"""A broker of a test's own, for the tests of the core and of the dialects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.peer import Core, Peer, cheap_passwords


@pytest.fixture
def make_core() -> Iterator[Callable[..., Core]]:
    made: list[Core] = []

    def make(*arguments: Any, **limits: Any) -> Core:
        made.append(Core(*arguments, **limits))
        return made[-1]

    with cheap_passwords():
        yield make
    for core in made:
        core.crash()


@pytest.fixture
def core(make_core: Callable[..., Core]) -> Core:
    return make_core()


@pytest.fixture
def peer(core: Core) -> Peer:
    """A client with channel 1 open."""
    return core.connect()
