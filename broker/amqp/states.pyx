"""The states of a connection, as Python's names: see states.pxd."""
