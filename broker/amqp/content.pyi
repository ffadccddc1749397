"""`content.pyx` has no Python half."""
