"""Definitions that are there at every start: a file in the format of `/api/definitions`, taken before anybody connects.

Owns reading the file, and that a start without it fails. What it means is `management.resources.definitions`' to know:
it adds and changes, and removes nothing.
"""

from __future__ import annotations

from pathlib import Path

from broker.authentication.backend import SetupError
from broker.core.errors import CoreError
from broker.management.observed import ObservedServer
from broker.management.replies import ApiError
from broker.management.resources.definitions import Definitions


async def take_definitions(server: ObservedServer, path: str) -> None:
    """All of the file, on disk when it returns. SetupError: it cannot be read, or says what cannot be."""
    try:
        await Definitions(server).take(Path(path).read_text(encoding="utf-8"), None)
    except OSError as error:
        raise SetupError(f"definitions_file: {path}: {error.strerror}") from None
    except (UnicodeDecodeError, ApiError, CoreError) as error:
        raise SetupError(f"definitions_file: {path}: {error}") from None
    await server.stored()
