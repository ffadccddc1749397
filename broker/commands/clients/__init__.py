"""Clients of a running broker, one module per protocol: they publish and receive for the commands, and for nobody else.

Each has `publish(place, …)` and `receive(place, …)`; what goes wrong is a `CommandFailed`. A client's library takes
longer to load than most commands take to run, so each is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

MODULES = {"ws": "over_websocket", "amqp": "over_amqp", "mqtt": "over_mqtt"}


def client_of(protocol: str) -> Any:
    """The module that speaks a protocol, by the word that operators use for it."""
    return importlib.import_module(f"broker.commands.clients.{MODULES[protocol]}")
