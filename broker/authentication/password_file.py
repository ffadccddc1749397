"""Users in a file: Mosquitto's password file, and lines of our own that say tags as well.

    name:$6$SALT$HASH               SHA-512 of password and salt                  (mosquitto_passwd before 2.0)
    name:$7$ITERATIONS$SALT$HASH    PBKDF2-HMAC-SHA512, 64 octets                 (mosquitto_passwd; salt, hash: base64)
    name:$argon2id$…                argon2id as PHC string
    name:HASH:tag,tag               any of them, with the user's tags

Owns the file's format and when it is read. Refuses to know what its users may: it is told.

Invariants: a file that cannot be read, or has a line that is none of these, changes nothing (at the start it is an
error); hashing is done in a thread; no text has a hash in it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.authentication.backend import Identity, Login, OtherUser, RefusedError, SetupError, UnavailableError
from broker.core.access import Permission, User

log = logging.getLogger("hubbub.authentication")

FILE_BYTES_MAX = 64 * 1024 * 1024
ITERATIONS_MAX = 10_000_000
DIGEST_BYTES = 64


class FileError(SetupError):
    """The file cannot be used. `FILE:LINE: what is wrong`."""


class Entry(NamedTuple):
    """One user. `verify`: whether this is the password."""

    verify: Callable[[bytes], bool]
    tags: tuple[str, ...]


class PasswordFile:
    """One file."""

    name = "password_file"

    def __init__(self, path: str, permissions: Mapping[str, Permission]) -> None:
        """Reads it. Raises FileError. `permissions`: what each of its users may, by vhost."""
        self.path = path
        self.permissions = dict(permissions)
        self.reloads = {"done": 0, "refused": 0}
        """How often a changed file was taken into use, or could not be."""
        self._seen = self._state()
        self.entries = read(path)
        self._nobody = Entry(lambda password: derived(password, b"nobody", 101) == b"", ())

    async def authenticate(self, login: Login) -> Identity | None:
        """See Backend."""
        self._look()
        entry = self.entries.get(login.name)
        if login.password is not None:
            is_right = await asyncio.to_thread((entry or self._nobody).verify, login.password)
            if entry is not None and not is_right:
                raise RefusedError("invalid credentials")
        return None if entry is None else Identity(login.name)

    async def authorize(self, identity: Identity, login: Login) -> User | None:
        """See Backend."""
        entry = self.entries.get(identity.name)
        return None if entry is None else OtherUser(identity.name, entry.tags, dict(self.permissions))

    def reload(self) -> None:
        """Read it again; where it cannot be used, what was read before stays."""
        self._seen = self._state()
        try:
            self.entries = read(self.path)
        except FileError as error:
            self.reloads["refused"] += 1
            log.error("the password file stays as it was: %s", error)
            return
        self.reloads["done"] += 1
        log.info("the password file is read anew", extra={"path": self.path, "users": len(self.entries)})

    async def close(self) -> None:
        """There is nothing to close."""

    def _look(self) -> None:
        """Read it again if it has changed."""
        if self._state() != self._seen:
            self.reload()

    def _state(self) -> tuple[int, ...]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            return (error.errno or 0,)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def read(path: str) -> dict[str, Entry]:
    """The users of a file. Raises FileError."""
    try:
        if os.path.getsize(path) > FILE_BYTES_MAX:
            raise FileError(f"{path}: expected at most {FILE_BYTES_MAX} bytes")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(f"{path}: expected UTF-8 text") from None
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        hashed, _, tags = rest.partition(":")
        verify = verifier(hashed.strip())
        if not colon or not name or verify is None:
            raise FileError(f"{path}:{number}: expected name:$6$…, name:$7$… or name:$argon2id$…")
        if name in entries:
            raise FileError(f"{path}:{number}: user '{name}' stands there twice")
        entries[name] = Entry(verify, tuple(tag.strip() for tag in tags.split(",") if tag.strip()))
    return entries


def verifier(hashed: str) -> Callable[[bytes], bool] | None:
    """What a password is checked by; None for a hash of another kind."""
    if hashed.startswith("$argon2id$"):
        return argon2_verifier(hashed)
    parts = hashed.split("$")
    try:
        if parts[:2] == ["", "6"] and len(parts) == 4:
            salt, digest = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
            if len(digest) != DIGEST_BYTES:
                return None
            return lambda password: hmac.compare_digest(hashlib.sha512(password + salt).digest(), digest)
        if parts[:2] == ["", "7"] and len(parts) == 5:
            iterations = int(parts[2])
            salt, digest = base64.b64decode(parts[3], validate=True), base64.b64decode(parts[4], validate=True)
            if not 0 < iterations <= ITERATIONS_MAX or len(digest) != DIGEST_BYTES:
                return None
            return lambda password: hmac.compare_digest(derived(password, salt, iterations), digest)
    except (binascii.Error, ValueError):
        return None
    return None


def argon2_verifier(hashed: str) -> Callable[[bytes], bool]:
    """For a PHC string, with the parameters that it says."""

    def verify(password: bytes) -> bool:
        try:
            return PasswordHasher().verify(hashed, password)
        except InvalidHashError:
            raise UnavailableError("the file has an argon2id hash that cannot be read") from None
        except Argon2Error:
            return False

    return verify


def derived(password: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2 (RFC 8018 §5.2), as mosquitto_passwd has it."""
    return hashlib.pbkdf2_hmac("sha512", password, salt, iterations, DIGEST_BYTES)
