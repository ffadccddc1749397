"""Clients of a running broker, one module per protocol: they publish and receive for the commands, and for nobody else.

Each has `publish(place, …)` and `receive(place, …)`; what goes wrong is a `CommandFailed`.
"""
