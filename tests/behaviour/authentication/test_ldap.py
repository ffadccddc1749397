"""Users of a directory (slapd): found by pattern or by search, over TLS or without, what their groups grant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest

from broker.authentication.backend import Identity, Login, RefusedError, UnavailableError
from broker.authentication.ldap import Directory as Place
from broker.authentication.ldap import Found, Group, Ldap, either, normal
from broker.core.access import Permission
from tests.support.certificates import Authority
from tests.support.directory import GROUPS, PASSWORDS, PEOPLE, READER, Directory
from tests.support.entrances import ENTRANCES, enter, server_with_entrances
from tests.support.entrances import RefusedError as EntranceRefusedError
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, serving

pytestmark = pytest.mark.hubbub_only


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.issue("server")
    return made


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Directory]:
    running = Directory(tmp_path_factory.mktemp("slapd"), authority)
    running.start()
    yield running
    running.stop()


Make = Callable[..., Ldap]
BY_SEARCH = {"search_base": PEOPLE, "bind_dn": READER, "bind_password": PASSWORDS["cn=reader"]}
BY_PATTERN = {"user_dn_pattern": f"uid={{username}},{PEOPLE}"}


@pytest.fixture
def make(directory: Directory, authority: Authority) -> Make:
    def make_backend(**changes: Any) -> Ldap:
        groups = {
            f"CN=operators, {GROUPS}": Group(("administrator",), {"/": Permission(".*", "", "^logs$")}),
            f"cn=writers,{GROUPS}": Group(("management",), {"/": Permission("", "^in", "^out$")}),
        }
        place: dict[str, Any] = {
            "url": directory.url,
            "start_tls": False,
            "ca": None,
            "certificate": None,
            "key": None,
            "bind_dn": None,
            "bind_password": None,
            "user_dn_pattern": None,
            "search_base": None,
            "search_filter": "(uid={username})",
            "group_base": GROUPS,
            "group_filter": "(member={dn})",
        }
        return Ldap(Place(**{**place, **changes}), groups, Group((), {}), timeout_ms=2_000)

    return make_backend


def login(name: str, password: str | None) -> Login:
    return Login(name, None if password is None else password.encode(), "10.0.0.1", False)


async def found(backend: Ldap, name: str, password: str | None = None) -> Found | None:
    identity = await backend.authenticate(login(name, password))
    return None if identity is None else identity.details


WAYS = pytest.mark.parametrize("way", [BY_SEARCH, BY_PATTERN], ids=["search", "pattern"])


@WAYS
@pytest.mark.parametrize("name", ["ann", "bob", "o'neil (x)"])
async def test_a_bind_says_who_it_is(make: Make, way: dict[str, str], name: str) -> None:
    user = await found(make(**way), name, PASSWORDS[name])

    assert user is not None
    assert normal(user.dn) == normal(f"uid={name},{PEOPLE}")
    assert len(user.groups) == {"ann": 2, "bob": 1}.get(name, 0)


async def test_after_a_bind_by_pattern_the_entry_may_be_searched_for(make: Make) -> None:
    way = {**BY_PATTERN, "search_base": PEOPLE}
    user = await found(make(**way, search_filter="(cn={username})"), "ann", "ann-s3cret")
    assert user is not None
    assert (normal(user.dn), len(user.groups)) == (normal(f"uid=ann,{PEOPLE}"), 2)
    with pytest.raises(RefusedError, match="the user's entry is not found"):
        await found(make(**way, search_filter="(sn={username})"), "ann", "ann-s3cret")
    assert await found(make(**way), "ann", "wrong") is None


async def test_a_wrong_password_of_a_known_user_is_a_refusal(make: Make) -> None:
    with pytest.raises(RefusedError, match="invalid credentials"):
        await found(make(**BY_SEARCH), "ann", "wrong")


async def test_by_a_pattern_nobody_can_tell_whether_it_is_known(make: Make) -> None:
    assert await found(make(**BY_PATTERN), "ann", "wrong") is None
    assert await found(make(**BY_PATTERN), "nobody", "wrong") is None


@WAYS
@pytest.mark.parametrize(
    "name", ["nobody", "*", "a*", "ann)(uid=*", "ann,ou=people", "", "uid=ann", "\\2a", "ann\0", "ann+sn=A"]
)
async def test_a_name_is_only_a_name(make: Make, way: dict[str, str], name: str) -> None:
    assert await found(make(**way), name, "ann-s3cret") is None


@WAYS
async def test_an_empty_password_is_never_a_bind(make: Make, way: dict[str, str]) -> None:
    assert await found(make(**way), "ann", "") is None


async def test_two_entries_of_one_name_are_nobody(make: Make) -> None:
    with pytest.raises(RefusedError, match="more than one entry"):
        await found(make(**BY_SEARCH), "twin", "twin-s3cret")


async def test_groups_grant_tags_and_permissions_together(make: Make) -> None:
    backend = make(**BY_SEARCH)

    users = {}
    for name in ("ann", "bob"):
        identity = await backend.authenticate(login(name, PASSWORDS[name]))
        assert identity is not None
        users[name] = await backend.authorize(identity, login(name, None))

    ann, bob = users["ann"], users["bob"]
    assert ann is not None
    assert bob is not None
    assert (ann.tags, bob.tags) == (("administrator", "management"), ("management",))
    assert [ann.may_read("/", name) for name in ("logs", "out", "in")] == [True, True, False]
    assert [bob.may_read("/", name) for name in ("logs", "out", "in")] == [False, True, False]
    assert ann.may_configure("/", "x")
    assert not bob.may_configure("/", "x")
    assert bob.may_write("/", "inbox")


async def test_who_is_in_no_group_may_enter_nowhere(make: Make) -> None:
    backend = make(**BY_SEARCH)
    user = await backend.authorize(Identity("o'neil (x)"), login("o'neil (x)", None))

    assert user is not None
    assert not user.may_access("/")


async def test_where_another_knows_who_it_is_the_directory_says_what_they_may(make: Make) -> None:
    backend = make(**BY_SEARCH)

    user = await backend.authorize(Identity("ann"), login("ann", None))

    assert user is not None
    assert "administrator" in user.tags
    assert await backend.authorize(Identity("nobody"), login("nobody", None)) is None


async def test_a_proven_name_must_be_in_the_directory(make: Make) -> None:
    service = {"bind_dn": READER, "bind_password": PASSWORDS["cn=reader"]}
    for way in (BY_SEARCH, {**BY_PATTERN, **service}):
        assert await found(make(**way), "ann") is not None
        assert await found(make(**way), "nobody") is None


@pytest.mark.parametrize("start_tls", [False, True])
async def test_over_tls(make: Make, directory: Directory, authority: Authority, start_tls: bool) -> None:
    place = {"url": directory.url if start_tls else directory.tls_url, "start_tls": start_tls}
    assert await found(make(**BY_SEARCH, **place, ca=str(authority.certificate)), "ann", "ann-s3cret") is not None

    with pytest.raises(UnavailableError, match=r"(?i)certificate.verify.failed"):
        await found(make(**BY_SEARCH, **place), "ann", "ann-s3cret")  # signed by nobody whom the system trusts


@pytest.mark.parametrize("start_tls", [False, True])
async def test_a_certificate_for_another_host_is_refused(
    tmp_path: Path, make: Make, authority: Authority, start_tls: bool
) -> None:
    elsewhere = Authority(tmp_path / "elsewhere")
    elsewhere.issue("server", hosts=["ldap.example.org"], here=False)
    other = Directory(tmp_path / "slapd", elsewhere)
    other.start()
    try:
        place = {"url": other.url if start_tls else other.tls_url, "start_tls": start_tls}
        with pytest.raises(UnavailableError, match="doesn't match"):
            await found(make(**BY_SEARCH, **place, ca=str(elsewhere.certificate)), "ann", "ann-s3cret")
    finally:
        other.stop()


@pytest.mark.parametrize("start_tls", [False, True])
async def test_a_directory_may_want_to_see_our_certificate(
    tmp_path: Path, make: Make, authority: Authority, start_tls: bool
) -> None:
    strict = Directory(tmp_path / "slapd", authority, "TLSVerifyClient demand")
    strict.start()
    certificate, key = authority.issue("hubbub")
    try:
        place = {"url": strict.url if start_tls else strict.tls_url, "start_tls": start_tls}
        place["ca"] = str(authority.certificate)
        with pytest.raises(UnavailableError):
            await found(make(**BY_SEARCH, **place), "ann", "ann-s3cret")
        shown = make(**BY_SEARCH, **place, certificate=str(certificate), key=str(key))
        assert await found(shown, "ann", "ann-s3cret") is not None
    finally:
        strict.stop()


async def test_a_directory_that_is_not_there_is_not_available(make: Make) -> None:
    with pytest.raises(UnavailableError, match="LDAPSocketOpenError"):
        await found(make(**BY_SEARCH, url="ldap://127.0.0.1:1"), "ann", "ann-s3cret")


async def test_a_wrong_password_of_ours_is_not_the_users_fault(make: Make) -> None:
    with pytest.raises(UnavailableError, match="bind to search failed") as error:
        await found(make(**{**BY_SEARCH, "bind_password": "our-s3cret"}), "ann", "ann-s3cret")
    assert "s3cret" not in str(error.value)


def test_one_pattern_of_several() -> None:
    assert either(["a"]) == "a"
    assert Permission(either(["^a", "", "b$"]), "", "").patterns["configure"].fits("")
    assert Permission(either(["^a", "b$"]), "", "").patterns["configure"].fits("xb")


# ── a running broker ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, directory: Directory, authority: Authority
) -> Iterator[HubbubServer]:
    everything = [{"vhost": "/"}]
    groups = [{"dn": f"cn=operators,{GROUPS}", "tags": ["administrator"], "permissions": everything}]
    ldap = {
        "url": directory.tls_url,
        "ca": authority.certificate,
        "search_base": PEOPLE,
        "bind_dn": READER,
        "bind_password": PASSWORDS["cn=reader"],
        "group_base": GROUPS,
        "groups": json.dumps(groups),
        "permissions": json.dumps([{"vhost": "/", "configure": "^amq\\.", "write": "", "read": ""}]),
    }
    settings: dict[str, object] = {f"authentication.ldap.{name}": value for name, value in ldap.items()}
    settings["authentication.backends"] = "[ldap, internal]"
    running = server_with_entrances(tmp_path_factory.mktemp("directed"), settings)
    with serving(running):
        eventually(lambda: "is ready" in running.log)
        yield running


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_user_of_the_directory_comes_in(broker: HubbubServer, entrance: str) -> None:
    assert enter(broker, entrance, "ann", PASSWORDS["ann"]) == "ann"


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_wrong_password_is_refused(broker: HubbubServer, entrance: str) -> None:
    with pytest.raises(EntranceRefusedError):
        enter(broker, entrance, "ann", "another-s3cret")


def test_the_next_is_asked_for_who_is_not_in_it(broker: HubbubServer) -> None:
    assert enter(broker, "amqp", "limited", "limited") == "limited"


def test_what_everybody_may_and_what_groups_add(broker: HubbubServer) -> None:
    for name, may in (("ann", True), ("bob", False)):
        credentials = pika.PlainCredentials(name, PASSWORDS[name])
        connection = pika.BlockingConnection(pika.ConnectionParameters(HOST, broker.port, credentials=credentials))
        channel = connection.channel()
        channel.queue_declare("", exclusive=True)
        if may:
            channel.queue_declare("orders", exclusive=True)
        else:
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
                channel.queue_declare("orders", exclusive=True)
        connection.close()


def test_no_password_reaches_the_log(broker: HubbubServer) -> None:
    for secret in (*PASSWORDS.values(), "another-s3cret"):
        assert secret not in broker.log


def test_while_the_directory_is_away_others_come_in(
    tmp_path_factory: pytest.TempPathFactory, broker: HubbubServer, directory: Directory, tmp_path: Path
) -> None:
    directory.stop()
    try:
        assert enter(broker, "amqp", "guest", "guest") == "guest"
        with pytest.raises(EntranceRefusedError):
            enter(broker, "amqp", "bob", "bob-was-never-here")
        assert "backend ldap cannot say who 'bob' is: LDAPSocketOpenError" in broker.log
    finally:
        directory.start()
