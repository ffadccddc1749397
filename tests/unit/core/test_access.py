"""Users, passwords and permissions: who gets in, from where, how often, and what survives a restart."""

import base64
import hashlib
import time
from typing import Any

import pytest

from broker.core.access import ARGON2ID, Access
from broker.core.errors import AccessRefused, NotFound, PreconditionFailed
from tests.support.fake_store import FakeStore


class Clock:
    now_ms = 1_700_000_000_000


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(store, clock) -> Access:
    access = Access(store, clock)
    access.restore()
    store.commit()
    return access


def restarted(store: FakeStore) -> Access:
    access = Access(store, Clock())
    access.restore()
    return access


def refused(access: Access, *login: Any) -> str:
    with pytest.raises(AccessRefused) as error:
        access.authenticate(*login)
    return error.value.text


def test_an_empty_store_gets_guest_who_may_do_everything_from_the_machine_itself(access):
    guest = access.authenticate("guest", b"guest", True)
    assert guest.tags == ("administrator",)
    assert guest.may_access("/")
    assert guest.may_configure("/", "q")
    assert guest.may_write("/", "")
    assert guest.may_read("/", "q")
    assert not guest.may_access("other")
    assert refused(access, "guest", b"guest", False) == "user 'guest' can only connect via localhost"


def test_a_store_with_users_gets_no_guest(access, store):
    access.add_user("alice", b"secret")
    access.delete_user("guest")
    store.commit()
    assert list(restarted(store).users) == ["alice"]


@pytest.mark.parametrize("login", [("alice", b"wrong"), ("nobody", b"secret"), ("alice", b""), ("", b"")])
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(access, login):
    access.add_user("alice", b"secret")
    assert refused(access, *login, True) == f"user '{login[0]}' was refused: invalid credentials"
    assert access.logins_refused == 1


def test_everything_survives_a_restart(access, store):
    access.add_user("alice", b"secret", tags=["monitoring", "management"])
    access.set_permission("v", "alice", "^c", "^w", "")
    store.commit()
    again = restarted(store)
    alice = again.authenticate("alice", b"secret", False)
    assert alice.tags == ("monitoring", "management")
    assert not alice.loopback_only
    assert (alice.may_configure("v", "cc"), alice.may_configure("v", "w"), alice.may_read("v", "c")) == (
        True,
        False,
        False,
    )
    assert again.users["guest"].loopback_only


def test_more_users_than_one_scan_gives_are_all_restored(access, store):
    for number in range(1001):
        access.import_user(f"user {number}", access.users["guest"].password_hash, ARGON2ID)
    store.commit()
    assert len(restarted(store).users) == 1002


def test_a_changed_password_replaces_the_old_one_at_once(access):
    access.add_user("alice", b"old")
    access.authenticate("alice", b"old", True)
    access.set_password("alice", b"new")
    refused(access, "alice", b"old", True)
    assert access.authenticate("alice", b"new", True).name == "alice"


def test_a_password_that_was_right_is_not_hashed_again(access):
    access.add_user("alice", b"secret")
    access.authenticate("alice", b"secret", True)
    started = time.perf_counter()
    for _ in range(1000):
        access.authenticate("alice", b"secret", True)
    assert time.perf_counter() - started < 1
    assert b"secret" not in repr(access.right).encode()


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_rabbitmqs_hashes_are_verified(access, digest):
    salt = bytes.fromhex("908d3f5c")
    hashed = base64.b64encode(salt + hashlib.new(digest, salt + b"test12").digest()).decode()
    access.import_user("alice", hashed, f"rabbit_password_hashing_{digest}")
    assert access.authenticate("alice", b"test12", True).name == "alice"
    refused(access, "alice", b"test13", True)


def test_a_hash_from_rabbitmqs_documentation_is_verified(access):
    # https://www.rabbitmq.com/docs/passwords: the password is "test12"
    access.import_user("alice", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "rabbit_password_hashing_sha256")
    assert access.authenticate("alice", b"test12", True).name == "alice"


@pytest.mark.parametrize(
    ("hashed", "algorithm"),
    [("x", "md5"), ("not base64!", "rabbit_password_hashing_sha256"), ("c2hv", "rabbit_password_hashing_sha512")],
)
def test_a_hash_that_cannot_be_verified_is_not_taken(access, hashed, algorithm):
    with pytest.raises(PreconditionFailed):
        access.import_user("alice", hashed, algorithm)
    assert "alice" not in access.users


def test_a_stored_argon2_hash_that_is_garbage_refuses_instead_of_failing(access):
    access.import_user("alice", "garbage", ARGON2ID)
    assert "invalid credentials" in refused(access, "alice", b"garbage", True)


# ── throttling ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cheap_user(access: Access, name: str = "alice") -> None:
    hashed = base64.b64encode(b"salt" + hashlib.sha256(b"salt" + b"secret").digest()).decode()
    access.import_user(name, hashed, "rabbit_password_hashing_sha256")


def test_after_five_failures_a_user_waits_longer_each_time_and_gets_in_afterwards(access, clock):
    cheap_user(access)
    for _ in range(5):
        assert "invalid credentials" in refused(access, "alice", b"wrong", True, "10.0.0.1")
    assert refused(access, "alice", b"secret", True, "10.0.0.1").endswith("wait 1 s")
    clock.now_ms += 1000
    refused(access, "alice", b"wrong", True, "10.0.0.1")
    assert refused(access, "alice", b"secret", True, "10.0.0.1").endswith("wait 2 s")
    clock.now_ms += 2000
    assert access.authenticate("alice", b"secret", True, "10.0.0.1").name == "alice"
    assert access.failures.wait_ms("alice", "10.0.0.1") == 0


def test_the_wait_has_a_limit(access, clock):
    cheap_user(access)
    for _ in range(40):
        refused(access, "alice", b"wrong", True, "10.0.0.1")
        clock.now_ms += 60_000
    refused(access, "alice", b"wrong", True, "10.0.0.1")
    assert access.failures.wait_ms("alice", "10.0.0.1") == 60_000


def test_throttling_is_per_user_and_peer(access):
    cheap_user(access)
    cheap_user(access, "bob")
    for _ in range(6):
        refused(access, "alice", b"wrong", True, "10.0.0.1")
    assert access.authenticate("alice", b"secret", True, "10.0.0.2").name == "alice"
    assert access.authenticate("bob", b"secret", True, "10.0.0.1").name == "bob"


def test_a_user_who_was_in_before_is_not_locked_out_by_others_guessing_from_the_same_peer(access):
    cheap_user(access)
    access.authenticate("alice", b"secret", True, "10.0.0.1")
    for _ in range(6):
        refused(access, "alice", b"wrong", True, "10.0.0.1")
    assert access.authenticate("alice", b"secret", True, "10.0.0.1").name == "alice"


def test_a_peer_that_tries_many_names_waits_too(access):
    for number in range(60):
        cheap_user(access, f"user {number}")
    for number in range(50):
        refused(access, f"user {number}", b"wrong", True, "10.0.0.1")
    assert "too often" in refused(access, "user 55", b"secret", True, "10.0.0.1")


def test_the_memory_of_failures_is_bounded(access):
    for number in range(20_000):
        access.failures.count("alice", f"peer {number}")
    assert len(access.failures.by_pair) == 10_000
    assert access.failures.by_pair[("alice", "peer 19999")]


# ── permissions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        (".*", "q", True), ("", "q", False), ("", "amq.default", False), ("^q$", "q", True), ("^q$", "qq", False),
        ("q", "a queue", True), ("^(a|b)-", "b-1", True), ("^amq\\.default$", "", True), ("^$", "", False),
    ],
)  # fmt: skip
def test_patterns_are_searched_as_rabbitmq_does(access, pattern, name, expected):
    access.add_user("alice", b"secret")
    access.set_permission("/", "alice", "^none$", pattern, "^none$")
    alice = access.user("alice")
    assert [alice.may_write("/", name) for _ in range(2)] == [expected] * 2
    assert not alice.may_configure("/", name)
    assert not alice.may_read("/", name)


def test_an_edit_shows_at_once_and_changes_the_generation(access):
    alice = access.add_user("alice", b"secret")
    edits = [
        lambda: access.set_permission("/", "alice", ".*", ".*", ".*"),
        lambda: access.set_permission("/", "alice", "", "", ""),
        lambda: access.set_permission("/", "alice", ".*", ".*", ".*"),
        lambda: access.clear_permission("/", "alice"),
        lambda: access.set_permission("/", "alice", ".*", ".*", ".*"),
        lambda: access.delete_vhost("/"),
        lambda: access.set_permission("/", "alice", ".*", ".*", ".*"),
        lambda: access.delete_user("alice"),
    ]
    answers = []
    for edit in edits:
        before = access.generation
        edit()
        assert access.generation > before
        answers.append(alice.may_read("/", "q"))
    assert answers == [True, False] * 4
    assert not alice.may_access("/")


def test_a_deleted_user_and_its_permissions_stay_deleted(access, store):
    access.add_user("alice", b"secret")
    access.set_permission("/", "alice", ".*", ".*", ".*")
    access.delete_user("alice")
    access.add_user("alice", b"secret")
    store.commit()
    assert not restarted(store).user("alice").may_access("/")
    refused(access, "alice", b"wrong", True)


def test_a_vhosts_end_takes_its_permissions_along(access, store):
    access.set_permission("v", "guest", ".*", ".*", ".*")
    access.delete_vhost("v")
    store.commit()
    guest = restarted(store).user("guest")
    assert (guest.may_access("v"), guest.may_access("/")) == (False, True)


def test_a_pattern_that_is_no_regular_expression_is_refused(access):
    with pytest.raises(PreconditionFailed, match="regular expression"):
        access.set_permission("/", "guest", "(", ".*", ".*")
    assert access.user("guest").may_configure("/", "q")


@pytest.mark.parametrize(
    "edit",
    [
        lambda access: access.set_password("nobody", b""),
        lambda access: access.set_tags("nobody", []),
        lambda access: access.delete_user("nobody"),
        lambda access: access.set_permission("/", "nobody", "", "", ""),
        lambda access: access.clear_permission("/", "nobody"),
    ],
)
def test_who_does_not_exist_cannot_be_edited(access, edit):
    with pytest.raises(NotFound):
        edit(access)


def test_the_answers_that_are_kept_are_bounded(access):
    guest = access.user("guest")
    for number in range(10_000):
        assert guest.may_read("/", f"q{number}")
    assert len(guest.answers) <= 4096


def test_an_external_user_is_admitted_without_a_password_but_not_from_everywhere(access):
    assert access.admit_external("guest", True).name == "guest"
    for name, loopback in (("guest", False), ("nobody", True)):
        with pytest.raises(AccessRefused):
            access.admit_external(name, loopback)


def test_a_user_needs_a_name(access):
    with pytest.raises(PreconditionFailed):
        access.add_user("", b"secret")
