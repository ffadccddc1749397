"""The password file: its formats, what is wrong with a line, and when it is read again."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from broker.authentication.backend import Login, RefusedError
from broker.authentication.password_file import FileError, PasswordFile, read, verifier
from broker.core.access import Permission

EVERYTHING = {"/": Permission(".*", ".*", ".*")}


def sha512(password: bytes, salt: bytes = b"0123456789ab") -> str:
    encoded = (base64.b64encode(each).decode() for each in (salt, hashlib.sha512(password + salt).digest()))
    return "$6$" + "$".join(encoded)


def pbkdf2(password: bytes, salt: bytes = b"0123456789ab", iterations: int = 101) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password, salt, iterations)
    return f"$7${iterations}$" + "$".join(base64.b64encode(each).decode() for each in (salt, digest))


def login(name: str, password: bytes | None) -> Login:
    return Login(name, password, "10.0.0.1", False)


@pytest.mark.parametrize(
    "hashed",
    [
        sha512(b"s3cret"),
        pbkdf2(b"s3cret"),
        pbkdf2(b"s3cret", iterations=1000),
        PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(b"s3cret"),
    ],
    ids=["sha512", "pbkdf2", "more iterations", "argon2id"],
)
def test_a_hash_fits_its_password_alone(hashed: str) -> None:
    verify = verifier(hashed)

    assert verify is not None
    assert verify(b"s3cret")
    assert not verify(b"s3cret ")
    assert not verify(b"")


@pytest.mark.parametrize(
    "line",
    ["alice", "alice:s3cret", "alice:$6$x", "alice:$7$0$eA==$eA==", ":$6$eA==$eA==", "alice:$7$a$eA==$eA==",
     "alice:$7$101$eA==$eA==", "alice:$5$eA==$eA=="],
)  # fmt: skip
def test_a_line_of_another_kind_is_an_error_that_does_not_repeat_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "passwords"
    path.write_text("# users\n" + line + "\n")

    with pytest.raises(FileError, match=r"passwords:2: expected name:") as error:
        read(str(path))

    assert "s3cret" not in str(error.value)


def test_a_user_stands_there_once(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"alice:{sha512(b'a')}\n\nalice:{sha512(b'b')}\n")

    with pytest.raises(FileError, match=r"passwords:3: user 'alice' stands there twice"):
        read(str(path))


async def test_its_users_have_tags_and_what_they_may_is_told(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"alice:{pbkdf2(b'a')}: monitoring, policymaker \n")
    file = PasswordFile(str(path), EVERYTHING)

    identity = await file.authenticate(login("alice", b"a"))
    assert identity is not None
    user = await file.authorize(identity, login("alice", b"a"))

    assert user is not None
    assert user.tags == ("monitoring", "policymaker")
    assert user.may_access("/")
    assert not user.may_access("other")
    assert user.may_read("/", "anything")


async def test_who_is_there_is_told_from_who_is_not(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"alice:{pbkdf2(b'a')}\n")
    file = PasswordFile(str(path), EVERYTHING)

    with pytest.raises(RefusedError):
        await file.authenticate(login("alice", b"b"))
    assert await file.authenticate(login("bob", b"a")) is None
    assert await file.authenticate(login("alice", None)) is not None


async def test_a_changed_file_is_read_at_the_next_login(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"alice:{pbkdf2(b'a')}\n")
    file = PasswordFile(str(path), EVERYTHING)

    path.write_text(f"bob:{pbkdf2(b'b')}\ncarol:{pbkdf2(b'c')}\n")

    assert await file.authenticate(login("bob", b"b")) is not None
    assert await file.authenticate(login("alice", b"a")) is None
    assert file.reloads == {"done": 1, "refused": 0}


async def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"alice:{pbkdf2(b'a')}\n")
    file = PasswordFile(str(path), EVERYTHING)

    path.write_text("nonsense\n")
    assert await file.authenticate(login("alice", b"a")) is not None
    path.unlink()
    assert await file.authenticate(login("alice", b"a")) is not None

    assert file.reloads == {"done": 0, "refused": 2}


def test_without_a_file_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        PasswordFile(str(tmp_path / "none"), EVERYTHING)
