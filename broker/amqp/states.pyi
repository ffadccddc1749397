"""The states of a connection, as Python's names: see states.pxd."""

AWAIT_HEADER: int
AWAIT_START_OK: int
AWAIT_SECURE_OK: int
AWAIT_TUNE_OK: int
AWAIT_OPEN: int
RUNNING: int
CLOSING: int
CLOSED: int
