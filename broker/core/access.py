"""Who may do what: users, their passwords and tags, and their permissions in each vhost.

Owns authentication and authorization. Refuses to know SASL mechanisms and connections: it gets a name, a password and
where the peer is. Definitions live in the store, one per user and one per (vhost, user).

Passwords are hashed with argon2id; RabbitMQ's salted SHA-256 and SHA-512 hashes, as its definitions export them, are
accepted too. Verifying one costs about 20 ms on purpose (in a thread, where `checks` has any), so a password that was
right is remembered for the life of the process, as a keyed hash, and wrong ones are counted: after a few, the pair of
user and peer has to wait, and after some more the peer, whatever name it tries.

Beside the hash stands a SCRAM verifier, made when a password is set; a user who came with a hash has none, and logs in
by password only.

Invariants: `generation` changes with every edit, so that whoever keeps an answer knows when it is stale; a User that
was deleted may nothing, though connections still hold it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn, Protocol

import msgpack
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.core import scram_verifier
from broker.core.certificate_login import COMMON_NAME
from broker.core.errors import AccessRefused, NotFound, PreconditionFailed
from broker.core.events import Events
from broker.core.login_failures import Clock, Failures
from broker.core.patterns import Pattern
from broker.core.scram_verifier import Verifier
from broker.core.stored import definitions
from broker.core.topic_access import TopicAccess
from storage.layout import Database, definition_key

ARGON2ID = "argon2id"
SALTED = {"rabbit_password_hashing_sha256": hashlib.sha256, "rabbit_password_hashing_sha512": hashlib.sha512}
SALT_BYTES = 4
SCRAM_ITERATIONS = scram_verifier.ITERATIONS
DEFAULT_EXCHANGE_NAME = "amq.default"
"""The name by which permissions speak of the nameless exchange, as in RabbitMQ."""

ANSWERS_MAX = 4096


class Store(Protocol):
    """What is needed of storage.interface.Store."""

    def put(self, database: int, key: bytes, value: bytes) -> None:
        """Set with the open batch."""

    def delete(self, database: int, key: bytes) -> None:
        """Remove with the open batch."""

    def scan(self, database: int, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Committed pairs in order."""


class Others(Protocol):
    """What is needed of authentication.chain.Chain."""

    takes_tokens: bool
    """A password may be a token, which says itself who the user is."""
    asks_internal: bool
    """The store's users are among those who are asked who somebody is."""

    def authenticate(self, name: str, password: bytes | None, peer_is_loopback: bool, peer: str) -> User:
        """The user, of the store or of somebody else; a password of None is not asked for. AccessRefused, Undecided."""

    def who(self, name: str, token: bytes | None, peer: str) -> tuple[User, str, str]:
        """A user as a login from there would find it, who knew it and who says what it may. NotFound, Undecided."""


class Checks(Protocol):
    """What is needed of authentication.password_checks.PasswordChecks."""

    def check(self, name: str, password: bytes, peer: str) -> NoReturn:
        """Have a password verified that is not remembered; it will be, where it is right. AccessRefused, Undecided."""


class Permission:
    """What one user may do in one vhost: three regular expressions over names."""

    __slots__ = ("configure", "patterns", "read", "write")

    def __init__(self, configure: str, write: str, read: str) -> None:
        """Raises InvalidPatternError."""
        self.configure = configure
        self.write = write
        self.read = read
        verbs = {"configure": configure, "write": write, "read": read}
        # An empty one matches only the empty name, as in RabbitMQ.
        self.patterns = {verb: Pattern(pattern or "^$") for verb, pattern in verbs.items()}


class User:
    """One user. Connections hold it, so an edit shows at their next question."""

    __slots__ = (
        "algorithm",
        "answers",
        "is_deleted",
        "loopback_only",
        "name",
        "password_hash",
        "permissions",
        "scram",
        "tags",
    )

    def __init__(self, name: str, password_hash: str, algorithm: str, tags: Iterable[str], loopback_only: bool) -> None:
        """`tags`: such as "administrator"; `loopback_only`: may come only from the machine itself."""
        self.name = name
        self.password_hash = password_hash
        self.algorithm = algorithm
        self.tags = tuple(tags)
        self.loopback_only = loopback_only
        self.scram: Verifier | None = None
        self.permissions: dict[str, Permission] = {}
        self.answers: dict[tuple[str, str, str], bool] = {}
        self.is_deleted = False

    expires_ms = 0
    """Since 1970: when the login ends, as a token's does; 0: never."""
    asks_others = False
    """Whether `may` may raise Undecided."""

    known_by = ("internal", "internal")
    """Who found out who it is, and who says what it may."""

    judges_topics = False
    """Whether `may_topic` is to be asked as well."""

    def may_topic(self, vhost: str, verb: str, exchange: str, key: str, client_id: str | None) -> bool:
        """May the user write to this routing key, or read by this binding key? Beside `core.topic_access`."""
        return True

    def may_access(self, vhost: str) -> bool:
        """May the user open a connection to the vhost?"""
        return vhost in self.permissions

    def may_configure(self, vhost: str, name: str, what: str = "queue") -> bool:
        """May the user declare and delete what has this name?"""
        return self.may(vhost, "configure", name, what)

    def may_write(self, vhost: str, name: str, what: str = "exchange") -> bool:
        """May the user publish to this exchange, or bind to this queue?"""
        return self.may(vhost, "write", name, what)

    def may_read(self, vhost: str, name: str, what: str = "queue") -> bool:
        """May the user consume from this queue, or bind from this exchange?"""
        return self.may(vhost, "read", name, what)

    def may(self, vhost: str, verb: str, name: str, what: str = "queue") -> bool:
        """`verb`: configure, write or read; `what`: queue or exchange, for those who tell them apart.

        The pattern may match anywhere in the name, as RabbitMQ's do.
        """
        question = (vhost, verb, name)
        answer = self.answers.get(question)
        if answer is None:
            permission = self.permissions.get(vhost)
            answer = permission is not None and permission.patterns[verb].fits(name or DEFAULT_EXCHANGE_NAME)
            if len(self.answers) >= ANSWERS_MAX:
                self.answers.clear()
            self.answers[question] = answer
        return answer


class Access:
    """All users and permissions."""

    def __init__(self, store: Store, clock: Clock, events: Events | None = None) -> None:
        """Empty until `restore`. `events`: hears of edits."""
        self.store = store
        self.events = events or Events(clock)
        self.users: dict[str, User] = {}
        self.generation = 0
        self.listeners: list[Callable[[str | None], None]] = []
        self.topics = TopicAccess(store, self.events, self.rights_changed)
        self.logins = 0
        self.logins_refused = 0
        self.failures = Failures(clock)
        self.others: Others | None = None
        """Who else knows users; None: the store's users are all."""
        self.checks: Checks | None = None
        """Who verifies passwords without keeping the loop; None: it is kept."""
        self.certificate_name = COMMON_NAME
        """Which name of a client's certificate is the user's: see core.certificate_login."""
        self.hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self.memory_hash = hashlib.blake2b(key=secrets.token_bytes(32))
        self.nobody_key = secrets.token_bytes(32)
        self.right: dict[str, tuple[bytes, str]] = {}
        # Verified for names that do not exist, so that the time it takes does not tell which names do.
        self.nobody = User("", self.hasher.hash(secrets.token_bytes(16)), ARGON2ID, (), False)

    # ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, default_vhost: str = "/") -> None:
        """Read all users and permissions. Where there is no user, guest/guest is made, for the machine itself."""
        for value in definitions(self.store, "user"):
            tags, loopback_only = value["tags"], value["loopback_only"]
            user = User(value["name"], value["password_hash"], value["algorithm"], tags, loopback_only)
            if value.get("scram"):
                user.scram = Verifier(*value["scram"])
            self.users[user.name] = user
        for value in definitions(self.store, "permission"):
            permitted = self.users.get(value["user"])
            if permitted is not None:
                permission = Permission(value["configure"], value["write"], value["read"])
                permitted.permissions[value["vhost"]] = permission
        self.topics.restore(lambda kind: definitions(self.store, kind))
        self.generation += 1
        if not self.users:
            self.add_user("guest", b"guest", tags=("administrator",), loopback_only=True)
            self.set_permission(default_vhost, "guest", ".*", ".*", ".*")

    def put_user(self, user: User) -> None:
        """Write a user down with the open batch."""
        value = {
            "name": user.name,
            "password_hash": user.password_hash,
            "algorithm": user.algorithm,
            "tags": list(user.tags),
            "loopback_only": user.loopback_only,
            "scram": user.scram,
        }
        self.store.put(Database.DEFINITIONS, definition_key("user", "", user.name), msgpack.packb(value))
        self.changed(user)

    def changed(self, user: User) -> None:
        """Forget what was answered before an edit, and tell whoever has acted on it."""
        user.answers.clear()
        self.rights_changed(user.name)

    def rights_changed(self, name: str | None) -> None:
        """What this user may is no more what it was; None: what anybody may."""
        self.generation += 1
        for listener in self.listeners:
            listener(name)

    def listen(self, listener: Callable[[str | None], None]) -> None:
        """From now on the listener hears whose rights have changed, or who is gone; None: anybody's may have."""
        self.listeners.append(listener)

    # ── edits ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def user(self, name: str) -> User:
        """The user of that name. Raises NotFound."""
        try:
            return self.users[name]
        except KeyError:
            raise NotFound(f"no user '{name}'") from None

    def add_user(self, name: str, password: bytes, *, tags: Iterable[str] = (), loopback_only: bool = False) -> User:
        """Create a user, or give an existing one this password and these tags."""
        hashed = self.hasher.hash(password)
        verifier = scram_verifier.derive(password, SCRAM_ITERATIONS)
        return self.import_user(name, hashed, ARGON2ID, tags=tags, loopback_only=loopback_only, scram=verifier)

    def import_user(
        self,
        name: str,
        password_hash: str,
        algorithm: str,
        *,
        tags: Iterable[str] = (),
        loopback_only: bool = False,
        scram: Verifier | None = None,
    ) -> User:
        """Create or change a user whose password is hashed already: `algorithm` is argon2id or one of RabbitMQ's names.

        An empty hash of RabbitMQ's is no password's: such a user logs in by a certificate, or not at all.

        Raises PreconditionFailed for a hash that cannot be verified.
        """
        if not name:
            raise PreconditionFailed("a user's name cannot be empty")
        verifiable = algorithm == ARGON2ID or (
            algorithm in SALTED and (not password_hash or len(salted_parts(password_hash)[0]) == SALT_BYTES)
        )
        if not verifiable:
            raise PreconditionFailed(f"the password hash of user '{name}' is not one of {algorithm}")
        user = self.users.get(name)
        known = user is not None
        if user is None:
            user = self.users[name] = User(name, password_hash, algorithm, tags, loopback_only)
        else:
            user.password_hash, user.algorithm = password_hash, algorithm
            user.tags, user.loopback_only = tuple(tags), loopback_only
        user.scram = scram
        self.right.pop(name, None)
        self.put_user(user)
        self.events.tell("user.password.changed" if known else "user.created", name=name)
        self.events.tell("user.tags.set", name=name, tags=list(user.tags))
        return user

    def set_password(self, name: str, password: bytes) -> None:
        """Change a password. Raises NotFound."""
        user = self.user(name)
        user.password_hash, user.algorithm = self.hasher.hash(password), ARGON2ID
        user.scram = scram_verifier.derive(password, SCRAM_ITERATIONS)
        self.right.pop(name, None)
        self.put_user(user)
        self.events.tell("user.password.changed", name=name)

    def set_tags(self, name: str, tags: Iterable[str]) -> None:
        """Replace a user's tags. Raises NotFound."""
        user = self.user(name)
        user.tags = tuple(tags)
        self.put_user(user)
        self.events.tell("user.tags.set", name=name, tags=list(user.tags))

    def delete_user(self, name: str) -> None:
        """Remove a user with all permissions. Raises NotFound."""
        user = self.user(name)
        del self.users[name]
        user.is_deleted = True
        self.right.pop(name, None)
        for vhost in list(user.permissions):
            self.forget_permission(vhost, user)
        self.topics.forget_user(name)
        self.store.delete(Database.DEFINITIONS, definition_key("user", "", name))
        self.changed(user)
        self.events.tell("user.deleted", name=name)

    def set_permission(self, vhost: str, name: str, configure: str, write: str, read: str) -> None:
        """Replace a user's permission in a vhost. Raises NotFound, PreconditionFailed."""
        user = self.user(name)
        user.permissions[vhost] = Permission(configure, write, read)
        value = {"vhost": vhost, "user": name, "configure": configure, "write": write, "read": read}
        self.store.put(Database.DEFINITIONS, definition_key("permission", vhost, name), msgpack.packb(value))
        self.changed(user)
        self.events.tell("permission.created", **value)

    def clear_permission(self, vhost: str, name: str) -> None:
        """Shut a user out of a vhost. Raises NotFound for an unknown user."""
        user = self.user(name)
        self.forget_permission(vhost, user)
        self.changed(user)

    def forget_permission(self, vhost: str, user: User) -> None:
        """Take it out of the store, too."""
        user.permissions.pop(vhost, None)
        self.store.delete(Database.DEFINITIONS, definition_key("permission", vhost, user.name))
        self.events.tell("permission.deleted", user=user.name, vhost=vhost)

    def delete_vhost(self, vhost: str) -> None:
        """The vhost is gone, and with it all permissions in it."""
        for user in self.users.values():
            if vhost in user.permissions:
                self.clear_permission(vhost, user.name)
        self.topics.forget_vhost(vhost)

    # ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_topic_permission(self, vhost: str, name: str, exchange: str, write: str, read: str) -> None:
        """Replace what a user may by topic at an exchange. Raises NotFound, PreconditionFailed."""
        self.topics.set_permission(vhost, self.user(name).name, exchange, write, read)

    def clear_topic_permission(self, vhost: str, name: str, exchange: str | None = None) -> None:
        """All topics again, at this exchange or at all of the vhost's. Raises NotFound for an unknown user."""
        self.topics.clear_permission(vhost, self.user(name).name, exchange)

    # ── authentication ────────────────────────────────────────────────────────────────────────────────────────────────

    def authenticate(self, name: str, password: bytes, peer_is_loopback: bool, peer: str = "") -> User:
        """The user whose password this is. `peer`: the peer's address, without its port.

        Raises AccessRefused, and Undecided where others are asked.
        """
        if self.others is not None:
            return self.others.authenticate(name, password, peer_is_loopback, peer)
        return self.authenticate_own(name, password, peer_is_loopback, peer)

    def authenticate_own(self, name: str, password: bytes, peer_is_loopback: bool, peer: str) -> User:
        """The same, of the store's users alone. Raises AccessRefused, and Undecided where threads verify."""
        user = self.users.get(name)
        if user is not None and self.is_remembered(user, password):
            return self.admitted(user, peer_is_loopback)
        if self.checks is not None:
            self.checks.check(name, password, peer)
        self.check_wait(name, peer)
        if user is None or not self.matches(user.algorithm, user.password_hash, password):
            if user is None:
                self.matches(ARGON2ID, self.nobody.password_hash, password)
            raise self.refusal(name, peer)
        self.failures.forget(name, peer)
        self.right[name] = (self.remembered_form(password), user.password_hash)
        return self.admitted(user, peer_is_loopback)

    def check_wait(self, name: str, peer: str) -> None:
        """Raises AccessRefused where this user failed too often from there, or the peer with any name."""
        wait_ms = self.failures.wait_ms(name, peer)
        if wait_ms:
            self.logins_refused += 1
            self.failures.made_to_wait += 1
            raise AccessRefused(f"user '{name}' failed to log in too often; wait {-(-wait_ms // 1000)} s")

    def refusal(self, name: str, peer: str, *, is_counted: bool = False) -> AccessRefused:
        """A login whose proof was wrong; what to raise. `is_counted`: that it failed is counted already."""
        if not is_counted:
            self.failures.count(name, peer)
        self.logins_refused += 1
        return AccessRefused(f"user '{name}' was refused: invalid credentials")

    def verifier(self, name: str, peer: str = "") -> Verifier:
        """What a proof of the password is checked by; nothing fits one that is made up. Raises AccessRefused."""
        self.check_wait(name, peer)
        user = self.users.get(name)
        if user is None or user.scram is None:
            return scram_verifier.of_nobody(name, SCRAM_ITERATIONS, self.nobody_key)
        return user.scram

    def admit_proven(
        self, name: str, verifier: Verifier, is_proven: bool, peer_is_loopback: bool, peer: str = ""
    ) -> User:
        """The user, where the password was proven, and is still the same one. Raises AccessRefused."""
        user = self.users.get(name)
        if user is None or user.scram != verifier or not is_proven:
            raise self.refusal(name, peer)
        self.failures.forget(name, peer)
        return self.admitted(user, peer_is_loopback)

    def admit_external(self, name: str, peer_is_loopback: bool, peer: str = "") -> User:
        """The user whom a certificate names (SASL EXTERNAL): no password is asked. Raises as `authenticate`."""
        if self.others is not None:
            return self.others.authenticate(name, None, peer_is_loopback, peer)
        user = self.users.get(name)
        if user is None:
            self.logins_refused += 1
            raise AccessRefused(f"user '{name}' was refused: invalid credentials")
        return self.admitted(user, peer_is_loopback)

    def admitted(self, user: User, peer_is_loopback: bool) -> User:
        """Where the user may come from is looked at only after the password was right."""
        if user.loopback_only and not peer_is_loopback:
            self.logins_refused += 1
            raise AccessRefused(f"user '{user.name}' can only connect via localhost")
        self.logins += 1
        return user

    def remembered_form(self, password: bytes) -> bytes:
        """A keyed hash: useless outside this process."""
        keyed = self.memory_hash.copy()
        keyed.update(password)
        return keyed.digest()

    def is_remembered(self, user: User, password: bytes) -> bool:
        """True where this password was right before, and the hash is still the same."""
        remembered = self.right.get(user.name)
        return (
            remembered is not None
            and remembered[1] == user.password_hash
            and hmac.compare_digest(remembered[0], self.remembered_form(password))
        )

    def matches(self, algorithm: str, password_hash: str, password: bytes) -> bool:
        """Verify against a hash, whatever it costs; a wrong one always costs as much. Touches nothing: for threads."""
        if algorithm == ARGON2ID:
            try:
                return self.hasher.verify(password_hash, password)
            except (Argon2Error, InvalidHashError):
                return False
        salt, digest = salted_parts(password_hash)
        if hmac.compare_digest(SALTED[algorithm](salt + password).digest(), digest):
            return True
        with suppress(Argon2Error):  # nor does the time tell who came with such a hash
            self.hasher.verify(self.nobody.password_hash, password)
        return False


def salted_parts(password_hash: str) -> tuple[bytes, bytes]:
    """(salt, digest) of RabbitMQ's base64(salt + hash(salt + password)); both empty where it is no base64."""
    try:
        decoded = base64.b64decode(password_hash, validate=True)
    except (binascii.Error, ValueError):
        return b"", b""
    return decoded[:SALT_BYTES], decoded[SALT_BYTES:]
