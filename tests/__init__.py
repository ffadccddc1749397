"""The tests: see `tests/support` for the servers and clients that they share."""
