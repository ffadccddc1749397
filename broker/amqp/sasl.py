# cython: annotation_typing=False
"""SASL mechanisms of the handshake (RFC 4422): PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS.

A mechanism turns responses into a user, or into another challenge. It knows nothing of frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.core.certificate_login import name_in
from broker.core.errors import AccessRefused, TableError
from broker.core.peers import host_of, is_loopback
from broker.core.properties import decode_table

if TYPE_CHECKING:
    from broker.amqp.connection import AmqpConnection
    from broker.core.access import User


class Mechanism:
    """One login in progress."""

    name = ""

    def __init__(self, connection: AmqpConnection) -> None:
        """Asks the connection who its peer is, and the broker's access whether that is true."""
        self.connection = connection
        self.user_name = ""

    def respond(self, response: bytes) -> Any:
        """The user, or `bytes`: the next challenge. Raises AccessRefused."""
        raise NotImplementedError

    def update_secret(self, secret: bytes) -> User:
        """The same user, by new credentials. Raises AccessRefused, Undecided.

        A user of the store has nothing that runs out, so the secret is not looked at, as in RabbitMQ.
        """
        known: User = self.connection.user
        if self.connection.broker.access.users.get(known.name) is known:
            return known
        user: User = self.authenticate(self.user_name, secret)
        if user.name != self.connection.user.name:
            raise AccessRefused("not allowed to change the user")
        return user

    def authenticate(self, name: str, password: bytes) -> Any:
        """The user of that name, if the password is right."""
        self.user_name = name
        peer = self.connection.peer
        return self.connection.broker.access.authenticate(name, password, is_loopback(peer), host_of(peer))


class Plain(Mechanism):
    """RFC 4616: authorization identity, NUL, name, NUL, password."""

    name = "PLAIN"

    def respond(self, response: bytes) -> Any:
        """See Mechanism."""
        parts = response.split(b"\0")
        if len(parts) != 3:
            raise AccessRefused("a PLAIN response is not of the form [authzid] NUL name NUL password")
        return self.authenticate(parts[1].decode("utf-8", "replace"), parts[2])


class AmqPlain(Mechanism):
    """AMQP 0-8's own: a field table with LOGIN and PASSWORD, without the table's length."""

    name = "AMQPLAIN"

    def respond(self, response: bytes) -> Any:
        """See Mechanism."""
        try:
            table = decode_table(len(response).to_bytes(4, "big") + response)
        except TableError as error:
            raise AccessRefused(f"AMQPLAIN response: {error}") from None
        name, password = table.get("LOGIN"), table.get("PASSWORD")
        if not isinstance(name, str) or not isinstance(password, str):
            raise AccessRefused("an AMQPLAIN response lacks LOGIN or PASSWORD")
        return self.authenticate(name, password.encode("utf-8", "surrogateescape"))


class External(Mechanism):
    """RFC 4422 appendix A: the user is named by the certificate that the peer proved in the TLS handshake."""

    name = "EXTERNAL"

    def respond(self, _response: bytes) -> Any:
        """See Mechanism."""
        connection = self.connection
        access = connection.broker.access
        certificate = connection.tls.getpeercert() if connection.tls is not None else None
        self.user_name = name_in(certificate, access.certificate_name)
        return access.admit_external(self.user_name, is_loopback(connection.peer), host_of(connection.peer))

    def update_secret(self, secret: bytes) -> User:
        """A certificate can't be replaced by a secret."""
        raise AccessRefused("EXTERNAL has no secret")


class Anonymous(Mechanism):
    """RFC 4505, where the operator allows it: everybody is the user that the configuration names."""

    name = "ANONYMOUS"

    def respond(self, _response: bytes) -> Any:
        """See Mechanism."""
        self.user_name = self.connection.endpoint.anonymous_user
        return self.connection.broker.access.admit_external(
            self.user_name, is_loopback(self.connection.peer), host_of(self.connection.peer)
        )

    def update_secret(self, secret: bytes) -> User:
        """Nobody has no secret."""
        raise AccessRefused("ANONYMOUS has no secret")


MECHANISMS: dict[str, type[Mechanism]] = {kind.name: kind for kind in (Plain, AmqPlain, External, Anonymous)}


def offered(connection: AmqpConnection) -> str:
    """What may be chosen on this connection: names with a space between, as connection.start has them."""
    names = "PLAIN AMQPLAIN"
    if connection.tls is not None and connection.tls.getpeercert():
        names = "EXTERNAL " + names
    return names + " ANONYMOUS" if connection.endpoint.anonymous_user else names
