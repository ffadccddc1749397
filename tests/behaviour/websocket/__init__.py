"""Behaviour tests over WebSocket."""
