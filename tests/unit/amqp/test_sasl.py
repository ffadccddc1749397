"""SASL mechanisms: who gets in, by what, and from where."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from broker.amqp import sasl
from broker.core.errors import AccessRefused
from broker.core.peers import is_loopback
from tests.support import amqp_codec as codec


class Tls:
    """A TLS object whose peer proved this subject."""

    def __init__(self, *subject):
        self.subject = subject

    def getpeercert(self):
        return {"subject": tuple(((key, value),) for key, value in self.subject)} if self.subject else {}


@pytest.fixture
def connection(core):
    core.broker.access.add_user("alice", b"s3cr\xc3\xa9t")
    return SimpleNamespace(
        broker=core.broker, endpoint=SimpleNamespace(anonymous_user=""), tls=None, peer="10.0.0.1:5000"
    )


def respond(mechanism, connection, response=b""):
    return sasl.MECHANISMS[mechanism](connection).respond(response)


def amqplain(**values):
    return codec.encode_table(values)[4:]


# ── PLAIN (RFC 4616) ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("response", ["\0alice\0s3crét", "ignored\0alice\0s3crét"])
def test_plain_admits_with_the_right_password(connection, response):
    assert respond("PLAIN", connection, response.encode()).name == "alice"


@pytest.mark.parametrize(
    "response",
    [b"", b"alice", b"\0alice", b"\0alice\0", b"\0alice\0wrong", b"\0nobody\0s3cret", b"\0a\0b\0c", b"\0\xff\xfe\0x"],
)
def test_plain_refuses_anything_else(connection, response):
    with pytest.raises(AccessRefused):
        respond("PLAIN", connection, response)


# ── AMQPLAIN ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_amqplain_admits_with_the_right_password(connection):
    assert respond("AMQPLAIN", connection, amqplain(LOGIN="alice", PASSWORD="s3crét")).name == "alice"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\xff",
        amqplain(LOGIN="alice"),
        amqplain(PASSWORD="s3crét"),
        amqplain(LOGIN="alice", PASSWORD="wrong"),
        amqplain(LOGIN=1, PASSWORD="s3crét"),
        amqplain(LOGIN="alice", PASSWORD=None),
        codec.encode_table({"LOGIN": "alice", "PASSWORD": "s3crét"}),  # with the length that does not belong there
    ],
)
def test_amqplain_refuses_anything_else(connection, response):
    with pytest.raises(AccessRefused):
        respond("AMQPLAIN", connection, response)


# ── EXTERNAL (RFC 4422, appendix A) ───────────────────────────────────────────────────────────────────────────────────


def test_external_admits_the_certificates_common_name(connection):
    connection.tls = Tls(("organizationName", "x"), ("commonName", "alice"))
    assert respond("EXTERNAL", connection).name == "alice"


@pytest.mark.parametrize(
    "tls",
    [None, Tls(), Tls(("organizationName", "alice")), Tls(("commonName", "nobody"))],
    ids=["plain", "no", "o", "cn"],
)
def test_external_refuses_without_a_certificate_that_names_a_user(connection, tls):
    connection.tls = tls
    with pytest.raises(AccessRefused):
        respond("EXTERNAL", connection)


# ── ANONYMOUS (RFC 4505) ──────────────────────────────────────────────────────────────────────────────────────────────


def test_anonymous_is_the_user_that_the_operator_names(connection):
    connection.endpoint.anonymous_user = "alice"
    assert respond("ANONYMOUS", connection, b"trace@example.org").name == "alice"


def test_anonymous_as_a_user_that_does_not_exist_is_refused(connection):
    connection.endpoint.anonymous_user = "nobody"
    with pytest.raises(AccessRefused):
        respond("ANONYMOUS", connection)


# ── what is offered, and where from ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tls", "anonymous_user", "offered"),
    [
        (None, "", "PLAIN AMQPLAIN"),
        (None, "alice", "PLAIN AMQPLAIN ANONYMOUS"),
        (Tls(), "", "PLAIN AMQPLAIN"),
        (Tls(("commonName", "alice")), "", "EXTERNAL PLAIN AMQPLAIN"),
    ],
)
def test_only_what_can_work_is_offered(connection, tls, anonymous_user, offered):
    connection.tls = tls
    connection.endpoint.anonymous_user = anonymous_user
    assert sasl.offered(connection) == offered


@pytest.mark.parametrize(
    ("peer", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("unix:/run/hubbub", True),
        ("128.0.0.1:1", False),
        ("[::2]:1", False),
        ("[::ffff:10.0.0.1]:1", False),
        ("", False),
    ],
)
def test_a_user_for_the_machine_itself_comes_from_there_only(connection, peer, loopback):
    assert is_loopback(peer) == loopback
    connection.peer = peer
    if loopback:
        assert respond("PLAIN", connection, b"\0guest\0guest").name == "guest"
    else:
        with pytest.raises(AccessRefused, match="localhost"):
            respond("PLAIN", connection, b"\0guest\0guest")


# ── new secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_of_the_store_has_nothing_to_renew(connection):
    mechanism = sasl.MECHANISMS["PLAIN"](connection)
    connection.user = mechanism.respond("\0alice\0s3crét".encode())
    assert mechanism.update_secret(b"whatever") is connection.user


def test_a_new_secret_of_somebody_else_s_user_is_checked(connection):
    mechanism = sasl.MECHANISMS["PLAIN"](connection)
    mechanism.respond("\0alice\0s3crét".encode())
    connection.user = SimpleNamespace(name="alice")  # of a token, say
    assert mechanism.update_secret("s3crét".encode()).name == "alice"
    with pytest.raises(AccessRefused):
        mechanism.update_secret(b"wrong")
    connection.user = SimpleNamespace(name="bob")
    with pytest.raises(AccessRefused, match="change the user"):
        mechanism.update_secret("s3crét".encode())


@pytest.mark.parametrize("name", ["EXTERNAL", "ANONYMOUS"])
def test_who_has_no_secret_cannot_update_it(connection, name):
    with pytest.raises(AccessRefused):
        sasl.MECHANISMS[name](connection).update_secret(b"x")
