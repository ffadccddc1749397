"""`unacked.pyx` has no Python half."""
