"""Enhanced authentication (MQTT 5 §4.12): which AUTH may come when, and what it is answered.

Owns the exchange that CONNECT begins, and re-authentication. Refuses to know sockets and CONNACK: the connection asks,
and sends what it is given.

Invariant: once an error was raised, the connection is to be closed; nothing more is asked of this object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from broker.core.errors import AccessRefused
from broker.core.undecided import Undecided
from broker.mqtt.reasons import MqttError, Reason, protocol_error

if TYPE_CHECKING:
    from broker.core.access import User
    from broker.mqtt.packets import Auth


class Mechanism(Protocol):
    """One login in progress, such as scram.ScramServer."""

    user: User | None
    name_given: str

    def respond(self, message: bytes) -> bytes:
        """The next answer; once it is the last, `user` is set. Raises AccessRefused."""


class Step(NamedTuple):
    """What to answer: AUTH 0x18 with `data`, or, at the end, CONNACK or AUTH 0x00 with it."""

    reason: Reason
    """CONTINUE_AUTHENTICATION or SUCCESS."""
    data: bytes
    user: User | None
    """Who was proven, at the end."""


class Authentication:
    """Of one connection whose CONNECT named a method."""

    def __init__(self, mechanisms: Mapping[str, Callable[[], Mechanism]], method: str) -> None:
        """`mechanisms`: by their names, each making a new login. Raises MqttError for a method that is not there."""
        if method not in mechanisms:  # [MQTT-4.12.0-1]
            raise MqttError(Reason.BAD_AUTHENTICATION_METHOD, f"the authentication method '{method[:64]}' is unknown")
        self.method = method
        self.make = mechanisms[method]
        self.login: Mechanism | None = self.make()
        self.user: User | None = None
        self.name_given = ""

    @property
    def is_complete(self) -> bool:
        """The first exchange is over: CONNACK may go out."""
        return self.user is not None

    def begin(self, data: bytes | None) -> Step:
        """The data of CONNECT; without, the client is asked to go on. Raises MqttError."""
        if data is None:
            return Step(Reason.CONTINUE_AUTHENTICATION, b"", None)
        return self.advance(data)

    def on_auth(self, auth: Auth) -> Step:
        """An AUTH of the client. Raises MqttError."""
        if auth.properties.authentication_method != self.method:  # [MQTT-4.12.0-5], [MQTT-4.12.1-1]
            raise protocol_error("AUTH with another method than CONNECT's")
        data = auth.properties.authentication_data
        if auth.reason == Reason.REAUTHENTICATE:
            if self.login is not None:
                raise protocol_error("re-authentication while an authentication is going on")
            self.login = self.make()
            try:
                return self.begin(data)
            except Undecided:  # the same AUTH comes again
                self.login = None
                raise
        if self.login is None:
            raise protocol_error("AUTH continues what has not begun")
        return self.advance(data or b"")

    def advance(self, data: bytes) -> Step:
        """One message of the mechanism."""
        login = self.login
        assert login is not None
        try:
            answer = login.respond(data)
        except AccessRefused as refused:
            raise MqttError(Reason.NOT_AUTHORIZED, refused.text) from None  # [MQTT-4.12.0-4], [MQTT-4.12.1-2]
        if login.user is None:
            return Step(Reason.CONTINUE_AUTHENTICATION, answer, None)
        if self.user is not None and (login.user.name != self.user.name or login.name_given != self.name_given):
            # Deviation: MQTT does not say it, but a session belongs to the user who opened it.
            raise MqttError(Reason.NOT_AUTHORIZED, "re-authentication as another user")
        self.user, self.name_given, self.login = login.user, login.name_given, None
        return Step(Reason.SUCCESS, answer, login.user)
