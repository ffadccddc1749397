"""SCRAM-SHA-256 and enhanced authentication: RFC 7677's example, what is refused, and which AUTH may come when."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from broker.core.access import Access
from broker.core.clock import ManualClock
from broker.core.errors import AccessRefused
from broker.core.scram_verifier import derive
from broker.mqtt.authentication import Authentication
from broker.mqtt.packets import Auth
from broker.mqtt.properties import Properties
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.scram import MESSAGE_BYTES_MAX, ScramServer
from tests.support.fake_store import FakeStore
from tests.support.peer import cheap_passwords

PEER = "192.0.2.1"
LAST = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="


@pytest.fixture(scope="module")
def cheap():
    with cheap_passwords():
        yield


@pytest.fixture
def access(cheap):
    access = Access(FakeStore(), ManualClock())
    access.restore()
    access.add_user("user", b"pencil")
    access.add_user("a,b=c", "pass wörd".encode())
    return access


def answer_to(challenge: bytes, first_bare: str, password: str, header: str = "n,,") -> bytes:
    """What a client says last, worked out slowly (RFC 5802 §3)."""
    fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    bare = f"c={base64.b64encode(header.encode()).decode()},r={fields['r']}"
    message = f"{first_bare},{challenge.decode()},{bare}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
    return f"{bare},p={base64.b64encode(proof).decode()}".encode()


def log_in(server: ScramServer, name: str = "user", password: str = "pencil", header: str = "n,,") -> bytes:
    first = f"n={name},r=abc"
    return server.respond(answer_to(server.respond((header + first).encode()), first, password, header))


def test_the_example_of_rfc_7677(access):
    access.user("user").scram = derive(b"pencil", 4096, base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    server = ScramServer(access, False, PEER, nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")

    first = server.respond(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    last = server.respond(LAST.encode())

    assert first == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert last == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert server.user is access.user("user")


@pytest.mark.parametrize("header", ["n,,", "y,,", "n,a=user,"])
def test_a_client_may_say_what_channel_binding_it_knows_and_who_it_is(access, header):
    server = ScramServer(access, False, PEER)

    log_in(server, header=header)

    assert server.user is access.user("user")


def test_names_are_unescaped_and_passwords_are_utf_8(access):
    server = ScramServer(access, False, PEER)

    log_in(server, "a=2Cb=3Dc", "pass wörd")

    assert server.user is access.user("a,b=c")


def test_the_name_may_hold_more_than_the_user(access):
    server = ScramServer(access, False, PEER, account=lambda name: name.rpartition(":")[2])

    log_in(server, "vhost:user")

    assert (server.name_given, server.user) == ("vhost:user", access.user("user"))


def test_a_wrong_password_and_an_unknown_name_look_alike_and_are_counted(access):
    refused = access.logins_refused
    texts = []
    for name in ("user", "nobody"):
        server = ScramServer(access, False, PEER)
        with pytest.raises(AccessRefused) as error:
            log_in(server, name, "wrong")
        texts.append(error.value.text.replace(f"'{name}'", "NAME"))
        assert server.user is None

    assert texts[0] == texts[1]
    assert access.logins_refused == refused + 2


def test_an_unknown_name_always_has_the_same_salt(access):
    salts = {ScramServer(access, False, PEER).respond(b"n,,n=nobody,r=a").split(b",s=")[1] for _ in range(3)}

    assert len(salts) == 1


def test_who_fails_too_often_has_to_wait(access):
    for _ in range(5):
        with pytest.raises(AccessRefused):
            log_in(ScramServer(access, False, PEER), password="wrong")

    with pytest.raises(AccessRefused, match="too often"):
        log_in(ScramServer(access, False, PEER))


def test_a_user_for_the_machine_itself_stays_there(access):
    access.user("user").loopback_only = True

    with pytest.raises(AccessRefused, match="localhost"):
        log_in(ScramServer(access, False, PEER))
    log_in(ScramServer(access, True, "127.0.0.1"))


def test_a_user_who_came_with_a_hash_has_no_verifier(access):
    access.import_user("user", access.user("user").password_hash, "argon2id")

    with pytest.raises(AccessRefused):
        log_in(ScramServer(access, False, PEER))


def test_the_verifier_is_kept_with_the_user_and_changes_with_the_password(cheap):
    store = FakeStore()
    access = Access(store, ManualClock())
    access.restore()
    access.add_user("user", b"old")
    access.set_password("user", b"new")
    store.commit()

    again = Access(store, ManualClock())
    again.restore()

    log_in(ScramServer(again, False, PEER), password="new")
    with pytest.raises(AccessRefused):
        log_in(ScramServer(again, False, PEER), password="old")


def test_a_password_that_changes_meanwhile_is_not_proven(access):
    server = ScramServer(access, False, PEER)
    challenge = server.respond(b"n,,n=user,r=abc")
    access.set_password("user", b"other")

    with pytest.raises(AccessRefused):
        server.respond(answer_to(challenge, "n=user,r=abc", "pencil"))


@pytest.mark.parametrize(
    "message",
    [
        b"", b"n", b"n,,", b"n,,n=user", b"n,,r=abc,n=user", b"n,,n=,r=abc", b"n,,n=user,r=", b"n,,n=user,r=a b",
        b"p=tls-unique,,n=user,r=abc", b"n,a=other,n=user,r=abc", b"n,,m=x,n=user,r=abc", b"n,,n=us=er,r=abc",
        b"n,,n=\xff,r=abc", b"n,,n=user,r=" + b"a" * MESSAGE_BYTES_MAX,
    ],
)  # fmt: skip
def test_a_malformed_first_message_is_refused_and_counted(access, message):
    refused = access.logins_refused
    server = ScramServer(access, False, PEER)

    with pytest.raises(AccessRefused):
        server.respond(message)
    with pytest.raises(AccessRefused):
        server.respond(b"n,,n=user,r=abc")

    assert access.logins_refused == refused + 2


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"c=biws", b"c=eSws"), (b"c=biws", b"c=*"), (b"c=biws", b"x=biws"), (b"r=abc", b"r=abd"), (b",p=", b",q="),
     (b",p=", b",p=*"), (b",p=", b",p=AAAA")],
)  # fmt: skip
def test_a_last_message_that_differs_anywhere_is_refused(access, old, new):
    server = ScramServer(access, False, PEER)
    last = answer_to(server.respond(b"n,,n=user,r=abc"), "n=user,r=abc", "pencil")

    with pytest.raises(AccessRefused):
        server.respond(last.replace(old, new))

    assert server.user is None


def test_a_login_is_over_after_its_last_message(access):
    server = ScramServer(access, False, PEER)
    log_in(server)

    with pytest.raises(AccessRefused):
        server.respond(b"n,,n=user,r=abc")


# ── enhanced authentication ───────────────────────────────────────────────────────────────────────────────────────────


def auth(reason: Reason, data: bytes | None, method: str = "SCRAM-SHA-256") -> Auth:
    return Auth(reason, Properties(authentication_method=method, authentication_data=data))


@pytest.fixture
def exchange(access):
    return Authentication({"SCRAM-SHA-256": lambda: ScramServer(access, False, PEER)}, "SCRAM-SHA-256")


def complete(exchange: Authentication, challenge: bytes, name: str = "user", password: str = "pencil"):
    last = answer_to(challenge, f"n={name},r=abc", password)
    return exchange.on_auth(auth(Reason.CONTINUE_AUTHENTICATION, last))


def reason_of(call, *arguments) -> Reason:
    with pytest.raises(MqttError) as error:
        call(*arguments)
    return error.value.reason


def test_connect_begins_and_auth_completes(access, exchange):
    step = exchange.begin(b"n,,n=user,r=abc")
    assert step.reason == Reason.CONTINUE_AUTHENTICATION  # [MQTT-4.12.0-2]
    assert not exchange.is_complete

    done = complete(exchange, step.data)

    assert (done.reason, done.user) == (Reason.SUCCESS, access.user("user"))
    assert done.data.startswith(b"v=")
    assert exchange.is_complete


def test_connect_may_name_the_method_alone(exchange):
    assert exchange.begin(None) == (Reason.CONTINUE_AUTHENTICATION, b"", None)
    step = exchange.on_auth(auth(Reason.CONTINUE_AUTHENTICATION, b"n,,n=user,r=abc"))
    assert complete(exchange, step.data).reason == Reason.SUCCESS


def test_a_method_that_is_not_there_is_refused():  # [MQTT-4.12.0-1]
    assert reason_of(Authentication, {}, "GSSAPI") == Reason.BAD_AUTHENTICATION_METHOD


def test_a_wrong_proof_is_not_authorized(exchange):  # [MQTT-4.12.0-4]
    challenge = exchange.begin(b"n,,n=user,r=abc").data

    assert reason_of(complete, exchange, challenge, "user", "wrong") == Reason.NOT_AUTHORIZED


def test_auth_out_of_turn_or_with_another_method_is_a_protocol_error(exchange):
    other = auth(Reason.CONTINUE_AUTHENTICATION, b"", "OTHER")
    assert reason_of(exchange.on_auth, other) == Reason.PROTOCOL_ERROR  # [MQTT-4.12.0-5]
    assert reason_of(exchange.on_auth, auth(Reason.REAUTHENTICATE, b"")) == Reason.PROTOCOL_ERROR
    complete(exchange, exchange.begin(b"n,,n=user,r=abc").data)
    assert reason_of(exchange.on_auth, auth(Reason.CONTINUE_AUTHENTICATION, b"")) == Reason.PROTOCOL_ERROR
    assert reason_of(exchange.on_auth, auth(Reason.REAUTHENTICATE, b"", "OTHER")) == Reason.PROTOCOL_ERROR


def test_re_authentication_is_the_same_again_for_the_same_user(exchange):  # [MQTT-4.12.1-1]
    complete(exchange, exchange.begin(b"n,,n=user,r=abc").data)

    step = exchange.on_auth(auth(Reason.REAUTHENTICATE, b"n,,n=user,r=abc"))

    assert step.reason == Reason.CONTINUE_AUTHENTICATION
    assert complete(exchange, step.data).reason == Reason.SUCCESS


def test_re_authentication_as_somebody_else_or_with_a_wrong_password_is_refused(exchange):  # [MQTT-4.12.1-2]
    complete(exchange, exchange.begin(b"n,,n=user,r=abc").data)
    step = exchange.on_auth(auth(Reason.REAUTHENTICATE, b"n,,n=a=2Cb=3Dc,r=abc"))

    assert reason_of(complete, exchange, step.data, "a=2Cb=3Dc", "pass wörd") == Reason.NOT_AUTHORIZED
