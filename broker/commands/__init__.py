"""The operator's commands: each asks a running broker over its HTTP API."""
