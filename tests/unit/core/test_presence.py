"""Limits of connections and channels, by vhost and user: RabbitMQ's words and reply code over AMQP, too."""

from __future__ import annotations

import pytest

from broker.core.errors import LimitExceeded
from tests.support.peer import Peer


class Connected:
    """Counts how often it is told."""

    def __init__(self) -> None:
        self.told = 0

    def on_rights_changed(self) -> None:
        self.told += 1


ANN, BOB = Connected(), Connected()


def test_connections_of_a_vhost_and_of_a_user_are_limited(core):
    presence, parameters = core.broker.presence, core.broker.parameters
    parameters.set_vhost_limit("/", "max-connections", 2)
    parameters.set_user_limit("ann", "max-connections", 1)
    presence.enter("ann", "/", ANN)
    with pytest.raises(LimitExceeded, match="user connection limit \\(1\\) is reached"):
        presence.enter("ann", "/", ANN)
    presence.enter("bob", "/", BOB)
    with pytest.raises(LimitExceeded, match="connection limit \\(2\\) is reached"):
        presence.enter("bob", "/", BOB)

    presence.leave("ann", "/", ANN)
    presence.enter("bob", "/", BOB)
    assert (presence.in_vhost, presence.of_user, presence.refused) == ({"/": 2}, {"bob": 2}, 2)


def test_a_negative_limit_is_none_and_zero_lets_nobody_in(core):
    presence, parameters = core.broker.presence, core.broker.parameters
    parameters.set_vhost_limit("/", "max-connections", -1)
    presence.enter("ann", "/", ANN)
    parameters.set_vhost_limit("/", "max-connections", 0)
    with pytest.raises(LimitExceeded):
        presence.enter("bob", "/", BOB)


def test_over_amqp_the_connection_is_refused_with_530(core):
    core.connect()
    core.broker.parameters.set_vhost_limit("/", "max-connections", 1)
    with pytest.raises(AssertionError, match=r"530.*connection limit \(1\) is reached"):
        Peer(core).handshake()


def test_channels_of_a_user_are_limited_and_given_back(core):
    core.broker.parameters.set_user_limit("guest", "max-channels", 2)
    peer = core.connect()
    peer.call("channel.open", 2)
    peer.call("channel.close", 2)
    peer.call("channel.open", 3)
    refused = peer.call("channel.open", 4)
    assert (refused.name, refused.fields["reply_code"]) == ("connection.close", 530)

    peer.connection.lost("gone")
    assert core.broker.presence.channels == {}
    assert core.broker.presence.of_user == {}


def test_connections_of_a_user_whose_rights_change_are_told_and_no_others(core):
    presence, ann, bob = core.broker.presence, Connected(), Connected()
    presence.enter("ann", "/", ann)
    presence.enter("bob", "/", bob)

    presence.rights_changed("ann")
    assert (ann.told, bob.told) == (1, 0)
    presence.rights_changed(None)
    assert (ann.told, bob.told) == (2, 1)

    presence.leave("ann", "/", ann)
    presence.rights_changed(None)
    assert ann.told == 2
    assert list(presence.connections) == ["bob"]
