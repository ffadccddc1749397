"""Binding, and what the operator is told when a port is taken."""

from __future__ import annotations

import os
import socket

import pytest

from broker.net.listener import ListenError, join_address, listen, port_holder


def test_a_free_port_is_found_and_told() -> None:
    listener = listen("amqp", "127.0.0.1", 0, backlog=5)
    with socket.create_connection((listener.address, listener.port), timeout=5):
        pass
    assert str(listener) == f"127.0.0.1:{listener.port}"
    assert listener.port > 0
    listener.close()


def test_a_taken_port_is_named_with_who_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            listen("amqp", "127.0.0.1", port, backlog=5)

        holder = f"the port is taken by process {os.getpid()} ("
        assert f"amqp: cannot listen on 127.0.0.1:{port}: {holder}" in str(caught.value)
    assert port_holder(port) == ""


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ListenError, match=r"amqp: cannot listen on 192\.0\.2\.1:5672: "):
        listen("amqp", "192.0.2.1", 5672, backlog=5)


def test_every_address_is_ipv6_with_ipv4_and_peers_are_named_as_they_are() -> None:
    listener = listen("amqp", "::", 0, backlog=5)
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as peer:
        accepted, address = listener.listening.accept()
        accepted.close()
        assert join_address(*address[:2]) == join_address(*peer.getsockname())
    listener.close()


def test_every_address_is_ipv4_alone_where_there_is_no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.net.listener.has_ipv6", lambda: False)
    listener = listen("amqp", "::", 0, backlog=5)
    assert str(listener) == f"0.0.0.0:{listener.port}"
    listener.close()
