"""`entry.pyx` has no Python half."""
