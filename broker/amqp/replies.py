"""Answers to methods: at once, or when the store has what was asked for (law 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.amqp.codec import method_frame

if TYPE_CHECKING:
    from broker.amqp.channel import Channel


def reply(channel: Channel, name: str, *arguments: Any) -> None:
    """Answer at once."""
    channel.send_frames(method_frame(channel.number, name, *arguments))


def reply_when_stored(channel: Channel, changes_before: int, no_wait: bool, name: str, *arguments: Any) -> None:
    """Answer when the store has what the method changed; at once if it changed nothing that outlives a restart."""
    frames = b"" if no_wait else method_frame(channel.number, name, *arguments)
    if channel.vhost.broker.definitions_changed == changes_before:
        channel.send_frames(frames)
    else:
        channel.connection.answer_when_stored(frames)
