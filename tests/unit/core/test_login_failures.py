"""How long a login has to wait: by user and address, by address, by user; and what is forgotten."""

from __future__ import annotations

import pytest

from broker.core.login_failures import Defaults, Failures
from broker.sections import LoginFailures


class Clock:
    now_ms = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> Failures:
    return Failures(clock)


def test_what_the_configuration_says_unsaid_is_what_the_core_does() -> None:
    settings = LoginFailures()
    assert {name: getattr(settings, name) for name in Defaults._fields} == Defaults()._asdict()


def test_the_wait_doubles_up_to_its_limit(failures, clock):
    failures.use(Defaults(per_pair=2, wait_first_ms=100, wait_max_ms=350))
    waits = []
    for _ in range(5):
        failures.count("ann", "10.0.0.1")
        waits.append(failures.wait_ms("ann", "10.0.0.1"))
        clock.now_ms += 350
    assert waits == [0, 100, 200, 350, 350]
    assert failures.wait_ms("ann", "10.0.0.1") == 0


def test_an_address_that_tries_many_users_waits(failures):
    failures.use(Defaults(per_address=3))
    for name in ("ann", "bob", "cid"):
        failures.count(name, "10.0.0.1")
    assert failures.wait_ms("dan", "10.0.0.1") == 1000
    assert failures.wait_ms("dan", "10.0.0.2") == 0


def test_a_user_who_is_tried_from_many_addresses_waits_but_not_longer_each_time(failures):
    failures.use(Defaults(per_user=3))
    for number in range(30):
        failures.count("ann", f"10.0.0.{number}")
    assert failures.wait_ms("ann", "10.1.0.1") == 1000
    assert failures.wait_ms("bob", "10.1.0.1") == 0


def test_after_a_while_counting_begins_anew(failures, clock):
    failures.use(Defaults(per_pair=2, forget_s=60))
    failures.count("ann", "10.0.0.1")
    clock.now_ms += 60_001
    failures.count("ann", "10.0.0.1")
    assert failures.wait_ms("ann", "10.0.0.1") == 0
    clock.now_ms += 60_000
    failures.count("ann", "10.0.0.1")
    assert failures.wait_ms("ann", "10.0.0.1") == 1000


def test_a_right_password_forgets_the_pair(failures):
    failures.use(Defaults(per_pair=1))
    failures.count("ann", "[::1]")
    assert failures.wait_ms("ann", "::1") == 1000
    failures.forget("ann", "::1")
    assert failures.wait_ms("ann", "[::1]") == 0


def test_no_more_is_remembered_than_is_allowed_and_the_oldest_goes_first(failures):
    failures.use(Defaults(per_pair=1, remembered_max=6))
    for number in range(100):
        failures.count("ann", f"10.0.0.{number}")
    assert len(failures.by_pair) == 6
    assert failures.wait_ms("ann", "10.0.0.99") == 1000
    assert failures.counted == 100


def test_an_ipv6_network_of_64_bits_is_one_address(failures):
    failures.use(Defaults(per_pair=100, per_address=3))
    for number in range(3):
        failures.count(f"user{number}", f"[2001:db8:0:1::{number}]")

    assert failures.wait_ms("other", "2001:db8:0:1:ffff::9") == 1_000
    assert failures.wait_ms("other", "2001:db8:0:2::1") == 0
    assert len(failures.by_pair) == 3 + 1 + 3


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "[::ffff:10.0.0.1]"])
def test_an_ipv4_address_is_the_same_written_as_ipv6(failures, peer):
    failures.use(Defaults(per_pair=1))
    failures.count("ann", peer)

    assert failures.wait_ms("ann", "10.0.0.1") == 1_000
    assert failures.wait_ms("ann", "10.0.0.2") == 0


@pytest.mark.parametrize("peer", ["unix:/run/x:y", "", "fe80::1%eth0"])
def test_a_peer_of_another_kind_is_counted_by_its_name(failures, peer):
    failures.use(Defaults(per_pair=1))
    failures.count("ann", peer)

    assert failures.wait_ms("ann", peer) == 1_000


def test_who_guesses_behind_a_shared_address_does_not_keep_others_out(failures):
    failures.use(Defaults(per_pair=2, per_address=3, shared=["10.0.0.0/24", "2001:db8::1"]))
    for peer in ("10.0.0.1", "::ffff:10.0.0.1", "[2001:db8::1]", "10.0.1.1"):
        for number in range(4):
            failures.count(f"user{number % 2}", peer)

    assert failures.wait_ms("user0", "10.0.0.1") > 0
    assert failures.wait_ms("user0", "2001:db8::1") > 0
    assert failures.wait_ms("ann", "10.0.0.1") == 0
    assert failures.wait_ms("ann", "2001:db8::1") == 0
    assert failures.wait_ms("ann", "10.0.1.1") > 0
