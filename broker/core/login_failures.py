"""How often logins failed, and how long the next has to wait: whatever protocol they come by.

    counted by                 free         then
    user and address           per_pair     waits that double, from wait_first_ms to wait_max_ms
    address, any user          per_address  likewise
    user, from anywhere        per_user     wait_first_ms, each time: nobody can lock a user out for long

An IPv6 host has a whole network of 64 bits to choose its address from, so that network is the address. Addresses that
many share (`shared`: a NAT's, a balancer's that does not say who the client is) are not counted for themselves: one
who guesses there would keep out all who have not been in yet.

Owns counting, and the waits. Refuses to know passwords and protocols. A password that was right before is not asked
about here: whoever is in comes back (`core.access`).

Invariants: at most `remembered_max` counts are kept, the oldest is forgotten first; one after which nothing failed for
`forget_s` begins anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Protocol

IPV6_BITS = 64
"""What is assigned to one customer, at least (RFC 6177), and to one link (RFC 4291 §2.5.1)."""
ANY = "\0"
"""Stands for every user, or for every address."""


class Clock(Protocol):
    """What is needed of core.clock.Clock."""

    now_ms: int


class Rules(Protocol):
    """When to wait, and how long: such as sections.LoginFailures."""

    @property
    def per_pair(self) -> int:
        """Failures of one user from one address that are free."""

    @property
    def per_address(self) -> int:
        """Of one address."""

    @property
    def per_user(self) -> int:
        """Of one user."""

    @property
    def wait_first_ms(self) -> int:
        """The first wait."""

    @property
    def wait_max_ms(self) -> int:
        """The longest."""

    @property
    def forget_s(self) -> int:
        """After so long without a failure."""

    @property
    def remembered_max(self) -> int:
        """Counts that are kept."""

    @property
    def shared(self) -> Sequence[str]:
        """Addresses and networks behind which are many."""


class Defaults(NamedTuple):
    """Rules where nobody gives others."""

    per_pair: int = 5
    per_address: int = 50
    per_user: int = 100
    wait_first_ms: int = 1_000
    wait_max_ms: int = 60_000
    forget_s: int = 3_600
    remembered_max: int = 10_000
    shared: Sequence[str] = []


class Failed(NamedTuple):
    """How often, when last, and until when to wait."""

    times: int
    at_ms: int
    until_ms: int


NEVER = Failed(0, 0, 0)


class Failures:
    """Of all users and addresses."""

    def __init__(self, clock: Clock) -> None:
        """`clock`: now_ms."""
        self.clock = clock
        self.rules: Rules = Defaults()
        self.shared: list[IPv4Network | IPv6Network] = []
        self.by_pair: OrderedDict[tuple[str, str], Failed] = OrderedDict()
        self.counted = 0
        self.made_to_wait = 0

    def use(self, rules: Rules) -> None:
        """From the next failure on."""
        self.rules = rules
        self.shared = [ip_network(each, strict=False) for each in rules.shared]

    def wait_ms(self, name: str, peer: str) -> int:
        """How long until this user may try again from there; 0: now."""
        if not self.by_pair:
            return 0
        now_ms = self.clock.now_ms
        pairs = keys(name, peer)
        return max(0, *(self.by_pair.get(pair, NEVER).until_ms - now_ms for pair in pairs))

    def count(self, name: str, peer: str) -> None:
        """One more."""
        rules, now_ms = self.rules, self.clock.now_ms
        self.counted += 1
        of_pair, of_address, of_user = keys(name, peer)
        for pair, free in ((of_pair, rules.per_pair), (of_address, rules.per_address), (of_user, rules.per_user)):
            if pair is of_address and self.shared and self.is_shared(peer):
                continue
            before = self.by_pair.pop(pair, NEVER)
            failed = 1 if now_ms - before.at_ms > rules.forget_s * 1000 else before.times + 1
            wait_ms = 0
            if failed >= free:
                doubled = 0 if pair is of_user else min(failed - free, 20)
                wait_ms = min(rules.wait_max_ms, rules.wait_first_ms << doubled)
            self.by_pair[pair] = Failed(failed, now_ms, now_ms + wait_ms)
        while len(self.by_pair) > rules.remembered_max:
            self.by_pair.popitem(last=False)

    def is_shared(self, peer: str) -> bool:
        """Are there many behind this address?"""
        address = parsed(peer.strip("[]"))
        return address is not None and any(address in network for network in self.shared)

    def forget(self, name: str, peer: str) -> None:
        """The password was right: of this user from there nothing counts any more."""
        self.by_pair.pop(keys(name, peer)[0], None)


def keys(name: str, peer: str) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    """Of user and address, of the address, of the user. An IPv6 address is the same with and without brackets."""
    address = peer.strip("[]")
    if ":" in address:
        found = parsed(address)
        if isinstance(found, IPv6Address):
            address = str(IPv6Network((int(found) >> IPV6_BITS << IPV6_BITS, IPV6_BITS)))
        elif found is not None:
            address = str(found)
    return (name, address), (ANY, address), (name, ANY)


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address also where it is written as IPv6. None: a path, or nothing."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
