"""SASL ANONYMOUS (RFC 4505): only where the operator allows it, and then as the user whom the operator named."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pika.exceptions
import pytest
from pika.credentials import VALID_TYPES, PlainCredentials

from tests.support.amqp_raw import RawConnection, raw_connection
from tests.support.pika_client import closes_channel, connect
from tests.support.server import HubbubServer, Server, serving

pytestmark = pytest.mark.hubbub_only


class AnonymousCredentials(PlainCredentials):  # type: ignore[misc] # pika has no types
    """What an application writes for pika, which has no credentials of this kind."""

    TYPE = "ANONYMOUS"

    def response_for(self, start: object) -> tuple[str, bytes]:
        return self.TYPE, b"trace@example.org"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Where anonymous clients act as the user `limited`."""
    running = HubbubServer(
        tmp_path_factory.mktemp("anonymous"), {"anonymous.enabled": "true", "anonymous.user": "limited"}
    )
    with serving(running):
        yield running


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Iterator[None]:
    """pika takes only the kinds on its list."""
    VALID_TYPES.append(AnonymousCredentials)
    yield
    VALID_TYPES.remove(AnonymousCredentials)


def test_an_anonymous_client_acts_as_the_user_whom_the_operator_named(open_server: Server) -> None:
    connection = connect(open_server.url, credentials=AnonymousCredentials("", ""))
    channel = connection.channel()
    channel.queue_declare("limited-anonymous", auto_delete=True)
    with closes_channel(channel, 403):
        channel.queue_declare("anything-else")
    connection.close()


def test_anonymous_is_offered_and_needs_no_response(open_server: Server) -> None:
    """RFC 4505 §2: the trace information may be empty."""
    with raw_connection(open_server.address) as raw:
        assert b"ANONYMOUS" in raw.start().fields["mechanisms"].split()
        raw.start_ok(mechanism="ANONYMOUS", response=b"")
        raw.expect("connection.tune")


def test_passwords_count_as_ever_beside_it(open_server: Server) -> None:
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(open_server.url, credentials=PlainCredentials("guest", "wrong"))


def test_anonymous_is_neither_offered_nor_taken_by_default(raw: RawConnection) -> None:
    assert b"ANONYMOUS" not in raw.start().fields["mechanisms"].split()
    raw.start_ok(mechanism="ANONYMOUS", response=b"")
    assert raw.expect("connection.close").fields["reply_code"] == 503
