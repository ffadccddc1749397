"""The operator's commands: each asks a running broker over its HTTP API.

A module is a family; its `COMMANDS` are what it adds to `hubbub`, and `broker.cli` lists the families.
"""
